package authorization

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"
)

// lookEvery is how long a change of the file goes unseen at most.
const lookEvery = 5 * time.Second

// Follower decides by a file, and by what it becomes while Run runs. It is safe for concurrent use.
type Follower struct {
	path    string
	builder Builder
	log     *slog.Logger
	seen    []byte // Run's alone, once it runs
	chain   atomic.Pointer[Chain]
}

// Follow returns what decides by a file.
func Follow(path string, b Builder, log *slog.Logger) (*Follower, error) {
	f := &Follower{path: path, builder: b, log: log}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f.seen = data
	return f, f.use(data)
}

// use decides by data from here on, unless it is wrong.
func (f *Follower) use(data []byte) error {
	cfg, err := parse(f.path, data)
	if err != nil {
		return err
	}
	chain, err := f.builder.Build(cfg)
	if err != nil {
		return err
	}
	f.chain.Store(&chain)
	return nil
}

// Run looks for changes until ctx ends. A file that is wrong, or gone, changes nothing and is told in the log.
func (f *Follower) Run(ctx context.Context, c clock.WithTicker) error {
	ticker := c.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
		data, err := os.ReadFile(f.path)
		if bytes.Equal(data, f.seen) { // of a file that is gone nothing is seen, and that is told once
			continue
		}
		if f.seen = data; err == nil {
			err = f.use(data)
		}
		if err != nil {
			f.log.Error("the authorization configuration stays as it was", "err", err)
			continue
		}
		f.log.Info("the authorization configuration has changed", "file", f.path)
	}
}

// Authorize implements auth.Authorizer.
func (f *Follower) Authorize(ctx context.Context, user auth.User, attrs auth.Attributes) (auth.Decision, string, error) {
	return f.chain.Load().Authorize(ctx, user, attrs)
}

// Rules implements auth.Resolver.
func (f *Follower) Rules(user auth.User, namespace string) ([]rbacv1.PolicyRule, bool, error) {
	return f.chain.Load().Rules(user, namespace)
}
