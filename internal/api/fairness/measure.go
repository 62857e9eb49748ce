package fairness

import (
	"math"
	"time"
)

// integral follows a value over a period: its time-weighted mean and deviation, and the highest.
type integral struct {
	seconds, sum, squares float64
	highest               int
}

func (g *integral) add(value int, d time.Duration) {
	x, dt := float64(value), d.Seconds()
	g.seconds += dt
	g.sum += x * dt
	g.squares += x * x * dt
}

func (g *integral) peak(value int) { g.highest = max(g.highest, value) }

// take returns what was seen of the period and begins the next one, at value. ok false: it had no length.
func (g *integral) take(value int) (mean, deviation float64, highest int, ok bool) {
	was := *g
	*g = integral{highest: value}
	if was.seconds <= 0 {
		return 0, 0, was.highest, false
	}
	mean = was.sum / was.seconds
	return mean, math.Sqrt(max(0, was.squares/was.seconds-mean*mean)), was.highest, true
}

// histogram counts observations at or below each of bounds, which are shared and rise.
type histogram struct {
	bounds []float64
	counts []uint64 // by bucket, the last above all bounds
	sum    float64
}

func newHistogram(bounds []float64) histogram {
	return histogram{bounds: bounds, counts: make([]uint64, len(bounds)+1)}
}

func (h *histogram) observe(v float64) { h.many(v, 1) }

func (h *histogram) many(v float64, times uint64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.counts[i] += times
	h.sum += v * float64(times)
}

// any says whether anything was observed.
func (h *histogram) any() bool {
	for _, n := range h.counts {
		if n > 0 {
			return true
		}
	}
	return false
}

// measured are ratios of a level over time: an observation a nanosecond, as upstream's.
type measured struct {
	waiting, running, seats, demand histogram
}

// measure notes that things were as they are for a while.
func (m *machine) measure(passed time.Duration) {
	m.demand.add(m.inUse+m.seatsWaiting, passed)
	if m.measured.seats.counts == nil {
		return
	}
	n, room := uint64(passed), max(1, m.length)*max(1, m.shape.queues)
	m.measured.waiting.many(float64(m.waiting)/float64(room), n)
	m.measured.running.many(float64(m.running)/float64(m.denominator), n)
	m.measured.seats.many(float64(m.inUse)/float64(m.denominator), n)
	m.measured.demand.many(float64(m.inUse+m.seatsWaiting)/float64(m.denominator), n)
}

// tally counts what the requests of one flow schema do at one level. The level's mutex guards it.
type tally struct {
	schema                string
	waiting, seatsWaiting int
	running, inUse        int
	dispatched            uint64
	refused               [3]uint64 // by the places of reasons
	unfit                 uint64    // times that it was its turn and there was no room
	lengths               histogram // of its queue, after joining
	widths                histogram
	watchers              histogram // of what a change is about
	ran, watched          histogram // seconds
	waited, gaveUp        histogram // seconds in a queue, by whether it was let in
}

// Buckets, as upstream's.
var (
	lengthBounds  = []float64{0, 10, 25, 50, 100, 250, 500, 1000}
	secondBounds  = []float64{0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30}
	widthBounds   = []float64{1, 2, 4, 8, 16, 32, 64, 100}
	watcherBounds = []float64{0, 1, 10, 100, 1000, 10000}
	seatBounds    = []float64{0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1}
	requestBounds = []float64{0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.25, 0.5, 0.75, 1}
	demandBounds  = []float64{0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.7, 2, 2.8, 4, 6}
	reasons       = [...]string{queueFull, concurrencyLimit, timedOut}
)

func newTally(schema string) *tally {
	return &tally{
		schema: schema, lengths: newHistogram(lengthBounds), widths: newHistogram(widthBounds), watchers: newHistogram(watcherBounds),
		ran: newHistogram(secondBounds), watched: newHistogram(secondBounds), waited: newHistogram(secondBounds), gaveUp: newHistogram(secondBounds),
	}
}

func newMeasured() measured {
	return measured{waiting: newHistogram(requestBounds), running: newHistogram(requestBounds), seats: newHistogram(seatBounds), demand: newHistogram(demandBounds)}
}

func (t *tally) refuse(reason string) {
	for i, r := range reasons {
		if r == reason {
			t.refused[i]++
		}
	}
}
