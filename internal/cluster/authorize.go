package cluster

import (
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/node"
	"github.com/floe-k8s/floe/internal/auth/rbac"
	"github.com/floe-k8s/floe/internal/auth/rbac/policy"
)

// authorizers are who decides what users may do, and who lists it.
func (s *server) authorizers() (auth.Authorizer, auth.Resolver) {
	objects := api.NewObjects(s.store, s.kinds)
	nodes, roles := node.New(objects, policy.Rules("system:node")), rbac.New(objects)
	return auth.Chain(auth.AllowMasters, nodes.Authorize, roles.Authorize), auth.Resolvers(nodes.Rules, roles.Rules)
}
