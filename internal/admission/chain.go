package admission

import (
	"context"
	"slices"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Plugin is one admission plug-in. Functions may be nil where it has nothing to do. They are called for every operation, resource and subresource, and pass
// over what does not concern them; they return API status errors, or errors that are answered with their text. ctx ends with the request.
type Plugin struct {
	Name string // upstream's
	// Admit may change a.Object in place.
	Admit func(ctx context.Context, a *Attributes) error
	// Validate only looks.
	Validate func(ctx context.Context, a *Attributes) error
	// Charge returns what is written in one transaction with the object, on condition that nobody has changed it since a.See returned it. It is asked for
	// creations and updates, for a dry run too, which commits nothing, and again, alone, when another writer was quicker.
	Charge func(ctx context.Context, a *Attributes) ([]kinds.Write, error)
}

// Chain is the plug-ins that are asked. The zero value asks only the pure ones. It is not changed and is safe for concurrent use.
type Chain struct {
	admits, validates []asks
	charges           []charges
	off               []string // the names of those that are not asked, of which only pure ones are still to be kept out
	metrics           *Metrics
}

// asks is one phase of a plug-in, charges another.
type asks struct {
	place int // in the order
	ask   func(ctx context.Context, a *Attributes) error
}

type charges struct {
	place int
	ask   func(ctx context.Context, a *Attributes) ([]kinds.Write, error)
}

// NewChain asks the plug-ins of list in upstream's order, without those, pure ones too, whose names off has. metrics is told how long they take; nil: nobody is. It
// panics when a plug-in has a name that upstream does not know: the composition is wrong.
func NewChain(list []Plugin, off []string, metrics *Metrics) Chain {
	c := Chain{off: slices.Clone(off), metrics: metrics}
	for _, p := range ordered(list) {
		if slices.Contains(off, p.Name) {
			continue
		}
		place := rank(p.Name)
		if p.Admit != nil {
			c.admits = append(c.admits, asks{place, p.Admit})
		}
		if p.Validate != nil {
			c.validates = append(c.validates, asks{place, p.Validate})
		}
		if p.Charge != nil {
			c.charges = append(c.charges, charges{place, p.Charge})
		}
	}
	return c
}

// Admit asks every plug-in in turn, until one refuses, and all of them once more when one wishes so.
func (c Chain) Admit(ctx context.Context, a *Attributes) error {
	watch := c.metrics.start(admits, a)
	err := c.each(ctx, a, &watch, c.admits)
	if err == nil && a.again {
		a.round = 1
		err = c.each(ctx, a, &watch, c.admits)
	}
	watch.stop(err)
	return err
}

// Validate asks every plug-in in turn, until one refuses.
func (c Chain) Validate(ctx context.Context, a *Attributes) error {
	watch := c.metrics.start(validates, a)
	err := c.each(ctx, a, &watch, c.validates)
	watch.stop(err)
	return err
}

// Charges says whether any plug-in may want to write: otherwise Charge need not be called.
func (c Chain) Charges() bool { return len(c.charges) > 0 }

// Charge asks every plug-in in turn what is to be written with the object.
func (c Chain) Charge(ctx context.Context, a *Attributes) (writes []kinds.Write, err error) {
	watch := c.metrics.start(validates, a)
	for _, p := range c.charges {
		more, err := p.ask(ctx, a)
		watch.lap(p.place, err)
		if err != nil {
			return nil, err
		}
		writes = append(writes, more...)
	}
	return writes, nil
}

// each asks the plug-ins and the pure ones of the kind, in the order of all, until one returns an error.
func (c Chain) each(ctx context.Context, a *Attributes, watch *stopwatch, list []asks) error {
	mine := a.Kind.Admission // in order, as a test holds
	if a.Operation != Create && a.Operation != Update {
		mine = nil
	}
	for _, p := range list {
		if len(mine) > 0 {
			var err error
			if mine, err = c.pureTo(p.place, mine, a, watch); err != nil {
				return err
			}
		}
		err := p.ask(ctx, a)
		watch.lap(p.place, err)
		if err != nil {
			return err
		}
	}
	_, err := c.pureTo(len(order), mine, a, watch)
	return err
}

// pureTo asks those pure plug-ins of list that stand no later than a place, and returns the rest.
func (c Chain) pureTo(place int, list []kinds.Admission, a *Attributes, watch *stopwatch) (rest []kinds.Admission, err error) {
	for i, p := range list {
		at := rank(p.Plugin)
		if at > place {
			return list[i:], nil
		}
		rule := p.Admit
		if watch.phase == validates {
			rule = p.Validate
		}
		if rule == nil || p.Part != a.Subresource || slices.Contains(c.off, p.Plugin) {
			continue
		}
		err := pure(rule, a)
		watch.lap(at, err)
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// pure asks a pure plug-in's rule, which sees objects of the kind only.
func pure(rule func(env kinds.Env, obj, old kinds.Object, see kinds.Reader) error, a *Attributes) error {
	obj, ok := a.Object.(kinds.Object)
	if !ok || a.Type != a.Kind.GVK {
		return nil
	}
	old, _ := a.Old.(kinds.Object)
	return rule(a.Env, obj, old, a.See)
}
