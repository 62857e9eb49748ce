package cluster

import (
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/rbac"
	"github.com/floe-k8s/floe/internal/auth/rbac/policy"
)

// authorizers are who decides what users may do, and who lists it.
func (s *server) authorizers() (auth.Authorizer, auth.Resolver) {
	roles := rbac.New(api.NewObjects(s.store, s.kinds))
	return auth.Chain(auth.AllowMasters, rbac.GroupMay(auth.Nodes, policy.Rules("system:node")), roles.Authorize), roles.Rules
}
