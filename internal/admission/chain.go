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
	Plugins []Plugin // as Ordered returns them
	Off     []string // the names of those that are not asked, pure ones too
	Metrics *Metrics // told how long they take; nil: nobody is
}

// Admit asks every plug-in in turn, until one refuses, and all of them once more when one wishes so.
func (c Chain) Admit(ctx context.Context, a *Attributes) error {
	return c.Metrics.time("", admits, a, func() error { return c.admitAll(ctx, a) })
}

func (c Chain) admitAll(ctx context.Context, a *Attributes) error {
	if err := c.admit(ctx, a); err != nil || !a.again {
		return err
	}
	a.round = 1
	return c.admit(ctx, a)
}

func (c Chain) admit(ctx context.Context, a *Attributes) error {
	return c.each(a, func(p Plugin) error {
		if p.Admit == nil {
			return nil
		}
		return c.Metrics.time(p.Name, admits, a, func() error { return p.Admit(ctx, a) })
	}, func(p kinds.Admission) error {
		if p.Admit == nil {
			return nil
		}
		return c.Metrics.time(p.Plugin, admits, a, func() error { return pure(p.Admit, a) })
	})
}

// Validate asks every plug-in in turn, until one refuses.
func (c Chain) Validate(ctx context.Context, a *Attributes) error {
	return c.Metrics.time("", validates, a, func() error { return c.validateAll(ctx, a) })
}

func (c Chain) validateAll(ctx context.Context, a *Attributes) error {
	return c.each(a, func(p Plugin) error {
		if p.Validate == nil {
			return nil
		}
		return c.Metrics.time(p.Name, validates, a, func() error { return p.Validate(ctx, a) })
	}, func(p kinds.Admission) error {
		if p.Validate == nil {
			return nil
		}
		return c.Metrics.time(p.Plugin, validates, a, func() error { return pure(p.Validate, a) })
	})
}

// Charges says whether any plug-in may want to write: otherwise Charge need not be called.
func (c Chain) Charges() bool {
	return slices.ContainsFunc(c.Plugins, func(p Plugin) bool { return p.Charge != nil && !c.off(p.Name) })
}

// Charge asks every plug-in in turn what is to be written with the object.
func (c Chain) Charge(ctx context.Context, a *Attributes) (writes []kinds.Write, err error) {
	for _, p := range c.Plugins {
		if p.Charge == nil || c.off(p.Name) {
			continue
		}
		err := c.Metrics.time(p.Name, validates, a, func() error {
			more, err := p.Charge(ctx, a)
			writes = append(writes, more...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return writes, nil
}

func (c Chain) off(name string) bool { return slices.Contains(c.Off, name) }

// each calls known with the plug-ins and own with the pure ones of the kind, in the order of all, until one returns an error.
func (c Chain) each(a *Attributes, known func(Plugin) error, own func(kinds.Admission) error) error {
	mine := a.Kind.Admission // in order, as a test holds
	if a.Operation != Create && a.Operation != Update {
		mine = nil
	}
	for _, p := range c.Plugins {
		for len(mine) > 0 && rank(mine[0].Plugin) <= rank(p.Name) {
			if err := c.ask(a, mine[0], own); err != nil {
				return err
			}
			mine = mine[1:]
		}
		if c.off(p.Name) {
			continue
		}
		if err := known(p); err != nil {
			return err
		}
	}
	for _, p := range mine {
		if err := c.ask(a, p, own); err != nil {
			return err
		}
	}
	return nil
}

func (c Chain) ask(a *Attributes, p kinds.Admission, own func(kinds.Admission) error) error {
	if p.Part != a.Subresource || c.off(p.Plugin) {
		return nil
	}
	return own(p)
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
