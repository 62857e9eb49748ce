package api

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/rbac"
	"github.com/floe-k8s/floe/internal/kinds"
)

// powers are what the user of a request may do, for kinds that ask.
type powers struct {
	ctx    context.Context //nolint:containedctx // it lives as long as the request's decision
	server *Server
	user   auth.User
}

var _ kinds.Powers = (*powers)(nil)

// asking is the request's Env for rules that ask what its user may do.
func (s *Server) asking(ctx context.Context, req Request) kinds.Env {
	env := s.env(req)
	env.Verb, env.Powers = req.verb, &powers{ctx, s, req.User}
	return env
}

// Refuse implements kinds.Powers.
func (p *powers) Refuse(w kinds.Wish) error {
	return p.server.Allow(p.ctx, p.user, auth.Attributes{
		Verb: w.Verb, Group: w.Group, Version: "*", Resource: w.Resource, Subresource: w.Subresource, Namespace: w.Namespace, Name: w.Name,
	})
}

// Uncovered implements kinds.Powers.
func (p *powers) Uncovered(namespace string, rules []rbacv1.PolicyRule) error {
	held, _, err := p.server.Rules(p.user, namespace)
	return rbac.Uncovered(p.user, held, err, rules)
}
