package oidc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"github.com/floe-k8s/floe/internal/auth"
)

const (
	lookEvery   = time.Second // at the file
	updateLimit = time.Minute // for all issuers of a new file to be found
	retireAfter = time.Minute // what was replaced, so that checks under way end
)

// Set is the issuers of a configuration, and of each that follows it in the file. It is safe for concurrent use.
type Set struct {
	cfg       Config
	file      string // "": there is none, and nothing changes
	anonymous *apiserver.AnonymousAuthConfig

	now  atomic.Pointer[generation]
	seen string // the file's content that was looked at last and is right or never will be; owned by Run
	old  []retired
}

// generation is the issuers of one content.
type generation struct {
	issuers []*issuer
	stop    context.CancelFunc // nil: it does not run
	done    sync.WaitGroup
}

type retired struct {
	*generation
	at time.Time
}

// New returns the set of the issuers in spec. file is where spec comes from, and content what stood there; "": from flags. It starts nothing.
func New(cfg Config, spec *apiserver.AuthenticationConfiguration, file, content string) (*Set, error) {
	s := &Set{cfg: cfg, file: file, anonymous: spec.Anonymous.DeepCopy(), seen: content}
	if file == "" { // else Read has
		if err := check(spec, cfg.Disallowed).ToAggregate(); err != nil {
			return nil, fmt.Errorf("invalid authentication configuration: %w", err)
		}
	}
	first, err := s.generation(spec)
	if err != nil {
		return nil, err
	}
	s.now.Store(first)
	if file != "" {
		cfg.Metrics.holds(content)
	}
	return s, nil
}

// generation makes the issuers of a configuration that was checked.
func (s *Set) generation(spec *apiserver.AuthenticationConfiguration) (*generation, error) {
	var compiler authenticationcel.Compiler
	if len(spec.JWT) > 0 {
		compiler = authenticationcel.NewDefaultCompiler()
	}
	g := &generation{}
	for _, one := range spec.JWT {
		i, err := newIssuer(s.cfg, one, compiler)
		if err != nil {
			return nil, err
		}
		g.issuers = append(g.issuers, i)
	}
	return g, nil
}

// Check is an auth.TokenChecker of tokens for the API.
func (s *Set) Check(ctx context.Context, token string, _ []string) (auth.Identity, bool, error) {
	for _, i := range s.now.Load().issuers {
		user, ok, err := i.check(ctx, token)
		if ok || err != nil {
			return auth.Identity{User: user}, ok, err
		}
	}
	return auth.Identity{}, false, nil
}

// run begins to look for the issuers.
func (g *generation) run(ctx context.Context) {
	ctx, g.stop = context.WithCancel(ctx)
	for _, i := range g.issuers {
		g.done.Go(func() { i.run(ctx) })
	}
}

// end stops what run began, and waits for it.
func (g *generation) end() {
	g.stop()
	g.done.Wait()
	for _, i := range g.issuers {
		i.transport.CloseIdleConnections()
	}
}

// Run looks for the issuers, and follows the file, until ctx ends.
func (s *Set) Run(ctx context.Context) error {
	s.now.Load().run(ctx)
	defer func() {
		s.now.Load().end()
		for _, g := range s.old {
			g.end()
		}
	}()
	if s.file == "" {
		<-ctx.Done()
		return ctx.Err()
	}
	ticker := s.cfg.Clock.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C():
			s.retire()
			s.look(ctx)
		}
	}
}

// look reads the file, and lets it hold if it is another than last time.
func (s *Set) look(ctx context.Context) {
	data, err := os.ReadFile(s.file)
	if err == nil && string(data) == s.seen {
		return
	}
	final := false
	if err == nil {
		final, err = s.update(ctx, data)
	}
	if ctx.Err() != nil {
		return
	}
	s.cfg.Metrics.again(err, s.cfg.Clock.Now())
	if final {
		s.seen = string(data)
	}
	if err != nil {
		s.cfg.Log.Error("the authentication configuration cannot be read again, and the one before holds", "file", s.file, "err", err)
		return
	}
	s.cfg.Metrics.holds(s.seen)
	s.cfg.Log.Info("the authentication configuration was read again", "file", s.file)
}

// update lets a content hold once its issuers are found. final: it does, or never will; else it is worth another try.
func (s *Set) update(ctx context.Context, data []byte) (final bool, err error) {
	spec, err := decode(s.file, data, s.checkNext)
	if err != nil {
		return true, err
	}
	next, err := s.generation(spec)
	if err != nil {
		return true, err
	}
	next.run(ctx)
	if err := next.wait(ctx, s.cfg); err != nil {
		next.end()
		return false, err
	}
	s.old = append(s.old, retired{s.now.Swap(next), s.cfg.Clock.Now()})
	return true, nil
}

// wait waits until all issuers are found, no longer than updateLimit.
func (g *generation) wait(ctx context.Context, cfg Config) error {
	limit := cfg.Clock.NewTimer(updateLimit)
	defer limit.Stop()
	for _, i := range g.issuers {
		select {
		case <-i.found:
		case <-limit.C():
			var errs []error
			for _, i := range g.issuers {
				errs = append(errs, i.health())
			}
			return errors.Join(errs...)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// retire ends what was replaced a while ago.
func (s *Set) retire() {
	now := s.cfg.Clock.Now()
	s.old = slices.DeleteFunc(s.old, func(g retired) bool {
		if now.Sub(g.at) < retireAfter {
			return false
		}
		g.end()
		for _, i := range g.issuers {
			if name := i.spec.Issuer.URL; !slices.ContainsFunc(s.now.Load().issuers, func(i *issuer) bool { return i.spec.Issuer.URL == name }) {
				s.cfg.Metrics.forget(name)
			}
		}
		return true
	})
}
