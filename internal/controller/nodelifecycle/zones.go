package nodelifecycle

import "time"

// Disruption is the state of a zone.
type Disruption string

// The states of zones.
const (
	Initial           Disruption = "Initial" // nothing was judged yet
	Normal            Disruption = "Normal"
	PartialDisruption Disruption = "PartialDisruption"
	FullDisruption    Disruption = "FullDisruption"
)

// fewest is how many nodes of a zone must not be ready for partial disruption.
const fewest = 3

// judge is the state of a zone with so many nodes that are ready and are not.
func (c *Config) judge(ready, unready int) Disruption {
	switch {
	case ready == 0 && unready > 0:
		return FullDisruption
	case unready >= fewest && float64(unready)/float64(unready+ready) >= c.UnhealthyZoneThreshold:
		return PartialDisruption
	}
	return Normal
}

// rate is how many nodes a second may be tainted in a zone of a size and state.
func (c *Config) rate(state Disruption, size int) float64 {
	switch {
	case state != PartialDisruption:
		return c.NodeEvictionRate
	case size > c.LargeClusterSizeThreshold:
		return c.SecondaryNodeEvictionRate
	}
	return 0
}

// limiter lets so many a second through, and never more than one at once.
type limiter struct {
	rate float64   // 0: none
	next time.Time // of the next
}

func (l *limiter) accept(now time.Time) bool {
	if l.rate <= 0 || now.Before(l.next) {
		return false
	}
	l.next = now.Add(l.pause())
	return true
}

func (l *limiter) pause() time.Duration { return time.Duration(float64(time.Second) / l.rate) }

// set changes the rate. Who had to wait for the old one has to for the new one too, from now on.
func (l *limiter) set(rate float64, now time.Time) {
	if rate == l.rate {
		return
	}
	waits := l.rate <= 0 || now.Before(l.next)
	if l.rate = rate; waits && rate > 0 {
		l.next = now.Add(l.pause())
	}
}

// zone is all nodes of one.
type zone struct {
	ready, unready int
	state          Disruption
	limiter
}

// zones are all zones that have nodes that count, and those that had. They belong to one goroutine at a time.
type zones struct {
	cfg     *Config
	metrics *Metrics
	list    map[string]*zone
	peopled int       // zones with nodes that count
	full    int       // of these, those in full disruption
	stopped bool      // all were
	anew    time.Time // when that ended last: no node's grace period began before
	seeding bool      // judges nothing yet
}

// at is a zone, which is made when it is new.
func (z *zones) at(name string) *zone {
	one := z.list[name]
	if one == nil {
		one = &zone{state: Initial, limiter: limiter{rate: z.cfg.NodeEvictionRate}}
		z.list[name] = one
		z.metrics.evictions.WithLabelValues(name)
	}
	return one
}

// count makes a node stand in the numbers as it is to. counts false: in none.
func (z *zones) count(h *health, name string, counts, ready bool, now time.Time) {
	if h.counted == counts && (!counts || h.zone == name && h.ready == ready) {
		h.zone = name
		z.at(name)
		return
	}
	if h.counted {
		z.add(h.zone, h.ready, -1, now)
	}
	h.zone, h.counted, h.ready = name, counts, ready
	z.at(name)
	if counts {
		z.add(name, ready, 1, now)
	}
	z.settle(now)
}

func (z *zones) add(name string, ready bool, n int, now time.Time) {
	one := z.at(name)
	before := one.ready + one.unready
	if ready {
		one.ready += n
	} else {
		one.unready += n
	}
	size := one.ready + one.unready
	switch {
	case before == 0:
		z.peopled++
	case size == 0:
		z.peopled--
	}
	state := Initial
	if size > 0 {
		state = z.cfg.judge(one.ready, one.unready)
	}
	z.enter(one, state, now)
	z.metrics.show(name, one)
}

// enter puts a zone into a state, with the rate that belongs to it.
func (z *zones) enter(one *zone, state Disruption, now time.Time) {
	if state == one.state {
		return
	}
	if one.state == FullDisruption {
		z.full--
	}
	if state == FullDisruption {
		z.full++
	}
	one.state = state
	if !z.stopped && !z.seeding && state != Initial {
		one.set(z.cfg.rate(state, one.ready+one.unready), now)
	}
}

// settle stops all evictions when all zones are in full disruption, and lets them begin anew when one is not any more.
func (z *zones) settle(now time.Time) {
	if z.seeding || z.peopled == 0 || z.stopped == (z.full == z.peopled) {
		return
	}
	if z.stopped = z.full == z.peopled; !z.stopped {
		z.anew = now
	}
	for _, one := range z.list {
		rate := 0.0
		if !z.stopped {
			rate = z.cfg.rate(one.state, one.ready+one.unready)
		}
		one.set(rate, now)
	}
}

// seeded ends the time in which nothing is judged.
func (z *zones) seeded(now time.Time) {
	z.seeding = false
	for _, one := range z.list {
		one.set(z.cfg.rate(one.state, one.ready+one.unready), now)
	}
	z.settle(now)
}

// grant says whether a node may have a taint that evicts; else, how long until it may be worth to ask again, NodeMonitorPeriod at most. It waits that long at
// first, so that those that fell silent with it are counted before the zone is asked.
func (z *zones) grant(h *health, now time.Time) (ok bool, wait time.Duration) {
	one := z.at(h.zone)
	if h.asked.IsZero() {
		h.asked = now
	}
	if left := h.asked.Add(z.cfg.NodeMonitorPeriod).Sub(now); left > 0 {
		return false, left
	}
	if h.granted || one.accept(now) {
		h.granted = true
		return true, 0
	}
	if wait = one.next.Sub(now); one.rate <= 0 || wait > z.cfg.NodeMonitorPeriod {
		wait = z.cfg.NodeMonitorPeriod
	}
	return false, wait
}
