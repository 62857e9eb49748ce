package impersonate

import (
	"context"
	"slices"
	"time"

	"k8s.io/utils/clock"
	"k8s.io/utils/lru"

	"github.com/floe-k8s/floe/internal/auth"
)

// mostRequestors bounds for how many requestors it is known which mode succeeded last: some 100 bytes each.
const mostRequestors = 10_000

// Decisions, as metrics name them.
const (
	allowed = "allowed"
	denied  = "denied"
)

// Config is what an Impersonator is made from. All fields are needed but Metrics.
type Config struct {
	Authorizer auth.Authorizer
	Clock      clock.PassiveClock
	// Constrained is the feature gate ConstrainedImpersonation; without it there is the old mode only.
	Constrained bool
	Metrics     *Metrics // nil: nothing is counted
}

// Impersonator decides who may act as whom. It is safe for concurrent use.
type Impersonator struct {
	cfg   Config
	modes []mode
	last  *lru.Cache // the index in modes by the requestor's name
}

// New returns an Impersonator.
func New(cfg Config) *Impersonator {
	i := &Impersonator{cfg: cfg, last: lru.New(mostRequestors)}
	if cfg.Constrained {
		i.modes = constrained[:]
	}
	i.modes = append(slices.Clip(i.modes), mode{old: true, verb: "impersonate", wants: func(auth.User, auth.User) bool { return true }})
	return i
}

// As returns the user that requestor acts as from here on in a request for attrs, and the right by which it does, "" for the old one. An error says why the
// requestor must not, as an API status.
func (i *Impersonator) As(ctx context.Context, requestor, wanted auth.User, attrs auth.Attributes) (user auth.User, constraint string, err error) {
	began := i.cfg.Clock.Now()
	won, user, err := i.find(ctx, requestor, wanted, attrs)
	took := i.cfg.Clock.Since(began)
	if err != nil {
		i.cfg.Metrics.attempt("", denied, took)
		return auth.User{}, "", err
	}
	m := i.modes[won]
	i.cfg.Metrics.attempt(m.label(), allowed, took)
	if m.old {
		return user, "", nil
	}
	return user, m.verb, nil
}

// find returns the first mode that lets the requestor act as wanted.
func (i *Impersonator) find(ctx context.Context, requestor, wanted auth.User, attrs auth.Attributes) (won int, user auth.User, first error) {
	order := make([]int, 0, len(i.modes)+1)
	known, ok := i.last.Get(requestor.Name)
	if ok {
		order = append(order, known.(int))
	}
	for n := range i.modes {
		if !ok || n != known.(int) {
			order = append(order, n)
		}
	}
	for _, n := range order {
		m := &i.modes[n]
		if !m.wants(wanted, requestor) {
			continue
		}
		user, err := m.check(ctx, i.ask, requestor, wanted, attrs)
		if err == nil {
			i.last.Add(requestor.Name, n)
			return n, user, nil
		}
		if first == nil {
			first = err
		}
	}
	return 0, auth.User{}, first // the old mode wants everybody, so that there is one
}

// asker says why a user may not do something; nil: they may.
type asker func(ctx context.Context, label string, user auth.User, attrs auth.Attributes) error

func (i *Impersonator) ask(ctx context.Context, label string, user auth.User, attrs auth.Attributes) error {
	began := i.cfg.Clock.Now()
	decision, reason, err := i.cfg.Authorizer(ctx, user, attrs)
	i.cfg.Metrics.asked(label, decision, i.cfg.Clock.Since(began))
	if decision == auth.Allow {
		return nil // whatever else could not be asked
	}
	switch {
	case err != nil && reason != "":
		reason = err.Error() + ": " + reason
	case err != nil:
		reason = err.Error()
	}
	return auth.Forbidden(user, attrs, reason)
}

// seconds is never negative, also when a clock was set back.
func seconds(d time.Duration) float64 { return max(0, d.Seconds()) }
