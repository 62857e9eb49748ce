package fairness

import (
	"cmp"
	"errors"
	"math"
	"slices"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	mandatory "k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
)

// Configure takes what is stored now. Levels that are stored no more run on until nobody is left at them; no new request gets to them. What cannot be made
// sense of is passed over, with a line in the log. The objects are kept, and must not change.
func (c *Controller) Configure(schemas []*flowcontrolv1.FlowSchema, levels []*flowcontrolv1.PriorityLevelConfiguration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored = stored{schemas, levels}
	c.configureLocked()
}

func (c *Controller) configureLocked() {
	was := map[string]*level{}
	if now := c.current.Load(); now != nil {
		for _, l := range now.levels {
			was[l.name] = l
		}
	}
	next := &rules{}
	desired := map[string]*level{}
	for _, object := range withMandatory(c.soundLevels(), mandatory.MandatoryPriorityLevelConfigurations, (*flowcontrolv1.PriorityLevelConfiguration).GetName) {
		l := was[object.Name]
		if l == nil {
			l = newLevel(c.Clock, object)
		}
		delete(was, object.Name)
		l.object.Store(object)
		desired[object.Name] = l
		next.levels = append(next.levels, l)
	}
	dangles := func(schema *flowcontrolv1.FlowSchema) bool {
		return desired[schema.Spec.PriorityLevelConfiguration.Name] == nil
	}
	schemas := slices.DeleteFunc(slices.Clone(c.stored.schemas), dangles) // their statuses say so
	schemas = withMandatory(schemas, mandatory.MandatoryFlowSchemas, (*flowcontrolv1.FlowSchema).GetName)
	slices.SortFunc(schemas, func(a, b *flowcontrolv1.FlowSchema) int {
		return cmp.Or(cmp.Compare(a.Spec.MatchingPrecedence, b.Spec.MatchingPrecedence), cmp.Compare(a.Name, b.Name))
	})
	for _, schema := range schemas {
		f := newFlow(schema, desired[schema.Spec.PriorityLevelConfiguration.Name])
		next.flows = append(next.flows, f)
		if schema.Name == flowcontrolv1.FlowSchemaNameCatchAll {
			next.last = f
		}
	}
	for _, l := range was {
		next.levels = append(next.levels, l) // until it is idle, it has its seats
	}
	slices.SortFunc(next.levels, func(a, b *level) int { return cmp.Compare(a.name, b.name) })
	c.current.Store(next) // before levels close, so that who meets a closed one finds another
	next = c.without(next, was)
	c.divide(next)
}

// soundLevels are the stored levels that can be made sense of.
func (c *Controller) soundLevels() (list []*flowcontrolv1.PriorityLevelConfiguration) {
	for _, object := range c.stored.levels {
		if err := sound(object); err != nil {
			c.Log.Warn("a priority level is passed over", "name", object.Name, "err", err)
			continue
		}
		list = append(list, object)
	}
	return list
}

// without closes the levels of was that are idle, and returns the rules that have the others.
func (c *Controller) without(r *rules, was map[string]*level) *rules {
	next := &rules{flows: r.flows, last: r.last}
	for _, l := range r.levels {
		if was[l.name] == nil {
			l.mu.Lock()
			l.quiescing = false
			l.mu.Unlock()
		} else if l.close() {
			continue
		}
		next.levels = append(next.levels, l)
	}
	c.current.Store(next)
	return next
}

// withMandatory are the stored objects and those of the mandatory ones that are not among them.
func withMandatory[T any](stored, all []T, name func(T) string) []T {
	out := slices.Clone(stored)
	for _, must := range all {
		if !slices.ContainsFunc(stored, func(o T) bool { return name(o) == name(must) }) {
			out = append(out, must)
		}
	}
	return out
}

// sound says what is wrong with a level that validation has let through some time, or never saw.
func sound(object *flowcontrolv1.PriorityLevelConfiguration) error {
	spec := &object.Spec
	switch exempt := spec.Type == flowcontrolv1.PriorityLevelEnablementExempt; {
	case exempt != (spec.Exempt != nil), exempt != (object.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt):
		return errors.New("only the level named exempt is exempt, and it says how")
	case exempt:
		return nil
	case spec.Limited == nil, spec.Limited.NominalConcurrencyShares == nil:
		return errors.New("it does not say how it is limited")
	}
	response := &spec.Limited.LimitResponse
	if queues := response.Queuing; (response.Type == flowcontrolv1.LimitResponseTypeQueue) != (queues != nil) {
		return errors.New("it has queues if and only if it queues")
	} else if queues != nil && (queues.HandSize < 1 || queues.HandSize > queues.Queues || queues.HandSize >= maxHand || queues.QueueLengthLimit < 1) {
		return errors.New("its hands do not fit its queues")
	}
	return nil
}

// shares are what a level says of its part of the server. borrows is nil when nothing but the server bounds what it may borrow.
func shares(object *flowcontrolv1.PriorityLevelConfiguration) (nominal, lends int32, borrows *int32) {
	value := func(p *int32) int32 {
		if p == nil {
			return 0
		}
		return *p
	}
	if l := object.Spec.Limited; l != nil {
		return value(l.NominalConcurrencyShares), value(l.LendablePercent), l.BorrowingLimitPercent
	}
	return value(object.Spec.Exempt.NominalConcurrencyShares), value(object.Spec.Exempt.LendablePercent), nil
}

// divide gives each level its part of the seats.
func (c *Controller) divide(r *rules) {
	var sum float64
	for _, l := range r.levels {
		nominal, _, _ := shares(l.object.Load())
		sum += float64(nominal)
	}
	c.levelSum, c.mostWaiting = 0, 0
	for _, l := range r.levels {
		object := l.object.Load()
		nominal, lends, borrows := shares(object)
		l.nominal = int(math.Ceil(float64(c.Seats) * float64(nominal) / sum))
		lendable, borrowed := percent(l.nominal, lends), c.Seats
		if borrows != nil {
			borrowed = percent(l.nominal, *borrows)
		}
		if l.most == 0 { // new
			l.current = l.nominal - lendable/2
		}
		l.least, l.most = l.nominal-lendable, l.nominal+borrowed
		c.levelSum += l.nominal
		l.mostSeats.Store(0)
		if q := queuing(object); q != nil {
			c.mostWaiting += int(q.Queues * q.QueueLengthLimit)
			l.mostSeats.Store(int64(levelSeats(l.nominal, int(q.HandSize))))
		}
	}
	c.phases.bound(c.Clock.Now(), c.mostWaiting, c.levelSum)
	c.lend(r)
}

func percent(of int, p int32) int { return int(math.Round(float64(of) * float64(p) / 100)) }

func queuing(object *flowcontrolv1.PriorityLevelConfiguration) *flowcontrolv1.QueuingConfiguration {
	if object.Spec.Limited == nil {
		return nil
	}
	return object.Spec.Limited.LimitResponse.Queuing
}

// Adjust lends seats that levels have not wanted of late to those that have. Run calls it every 10 seconds.
func (c *Controller) Adjust() {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.current.Load()
	for _, l := range r.levels {
		if l.done() {
			c.configureLocked()
			return
		}
	}
	c.lend(r)
}

// done says whether the level was waiting for its last request, which is gone.
func (l *level) done() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.quiescing && l.machine.idle()
}

// lend sets how many seats each level has for now. What exempt requests take is not there for others.
func (c *Controller) lend(r *rules) {
	var wants []want
	var limited []*level
	held, least, left := 0, 0, c.levelSum
	for _, l := range r.levels {
		l.mu.Lock()
		l.machine.advance(c.Clock.Now())
		l.demand.note(l.machine.demand.take(l.machine.inUse + l.machine.seatsWaiting))
		l.mu.Unlock()
		if l.object.Load().Spec.Exempt != nil {
			l.current = max(l.least, l.demand.highest)
			l.demand.target = float64(l.current)
			left -= l.current
			continue
		}
		lower := max(l.least, min(l.nominal, l.demand.highest))
		l.demand.target = max(float64(lower), l.demand.smoothed)
		limited, wants = append(limited, l), append(wants, want{float64(lower), float64(l.most), l.demand.target})
		held, least = held+lower, least+l.least
	}
	c.fair = 0
	switch {
	case left <= least:
		for _, l := range limited {
			l.current = l.least
		}
	case left <= held:
		part := float64(left-least) / float64(held-least)
		for i, l := range limited {
			l.current = l.least + int(math.Round((wants[i].lower-float64(l.least))*part))
		}
	default:
		parts, proportion, err := share(float64(c.levelSum), wants)
		if err != nil {
			c.Log.Warn("priority levels keep the seats that they have", "err", err)
			break
		}
		c.fair = proportion
		for i, l := range limited {
			l.current = int(math.Round(parts[i]))
		}
	}
	for _, l := range r.levels {
		l.apply(c.Seats)
		c.turns.weigh(&l.lane, l.nominal)
	}
}

// apply tells the machine what was decided.
func (l *level) apply(server int) {
	s := shape{exempt: l.object.Load().Spec.Exempt != nil}
	if q := queuing(l.object.Load()); q != nil {
		s.queues, s.length, s.hand = int(q.Queues), int(q.QueueLengthLimit), int(q.HandSize)
	}
	denominator := l.current
	if denominator == 0 {
		denominator = int(math.Round(float64(server) / 10))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	l.machine.configure(now, s, l.current, denominator)
	l.setAlarm(now)
}
