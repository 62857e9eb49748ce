package cluster

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/review"
	"github.com/floe-k8s/floe/internal/auth"
)

// asked bounds how long the log is asked whether it answers, as upstream's probes.
const asked = 20 * time.Second

var errNotRunning = errors.New("it is not running")

// running are the parts that componentstatuses tell of. It is safe for concurrent use.
type running struct{ controllers, scheduler atomic.Bool }

// marked sets on while the part runs.
func marked(on *atomic.Bool, p part) part {
	return part{p.name, func(ctx context.Context) error {
		on.Store(true)
		defer on.Store(false)
		return p.run(ctx)
	}}
}

// answers serve what is never stored.
func (s *server) answers(authorizer auth.Authorizer, rules auth.Resolver, users *users) api.Answers {
	return review.Answers(review.Config{
		Authorizer: authorizer, Authenticator: users.requests, Tokens: users.tokens, Rules: rules, Clock: s.Clock, Components: s.health,
	})
}

// health asks the parts of the control plane how they are, under upstream's names: etcd-0 is the log, whichever it is.
func (s *server) health(ctx context.Context) []review.Component {
	runs := func(on *atomic.Bool) error {
		if !on.Load() {
			return errNotRunning
		}
		return nil
	}
	ctx, cancel := api.WithTimeout(ctx, s.Clock, asked)
	defer cancel()
	return []review.Component{
		{Name: "controller-manager", Err: runs(&s.running.controllers)},
		{Name: "scheduler", Err: runs(&s.running.scheduler)},
		{Name: "etcd-0", Err: s.store.Sync(ctx), Unasked: true},
	}
}
