package queue

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
)

// Config is how long pods rest. The zero value of a duration is upstream's default.
type Config struct {
	First, Most time.Duration // backoff after the first failure, and the most of it: 1 s, 10 s
	Leftover    time.Duration // after which a parked pod is tried again whatever happened: 5 min
	// Enforced says that profiles have node affinity of their own, which pods do not show.
	Enforced bool
	// Ungated says that a pod's scheduling gates do not count; nil: they always do.
	Ungated func(*corev1.Pod) bool
	// Barred says that a pod with resource claims is not to be tried until those change or its status names others; nil: none is.
	Barred func(*corev1.Pod) bool
	// Entered is told of every pod that enters Active, Backoff or Unschedulable (upstream's names of queues) by an event, for metrics; may be nil.
	Entered func(queue, event string)
}

// Where says in which part of the queue a pod is.
type Where uint8

// The parts; see the drawing in the package comment.
const (
	Nowhere Where = iota
	Active
	Backoff
	Parked
	Gated
	InFlight
	Planned
)

// Item is a pod in the queue. Its fields are read by whoever got it from Pop, and changed by the queue only.
type Item struct {
	Pod      *corev1.Pod // the newest that the queue was told
	Attempts int         // how often Pop gave it out
	Arrived  time.Time   // when the queue first heard of it
	Tried    time.Time   // when Pop first gave it out; zero: never

	where           Where
	order           uint64    // of arrival
	since           time.Time // it came (back) into the queue
	priority        int32
	refusals        int // tries that rules refused
	errors          int // tries that ended with an error, since the last that did not
	until           time.Time
	place           int // in a heap, or in its cohort
	refused         []string
	cohort          *cohort
	seen            uint64 // in flight: events from this one on count
	leftoverEntered time.Time
	held            bool // Gated by Hold
	barred          bool // Gated for its claims
}

// Queue is the pods that wait. The zero value is not usable: New makes one.
type Queue struct {
	cfg    Config
	items  map[types.UID]*Item
	counts [Planned + 1]int
	next   uint64

	active  itemHeap
	backoff itemHeap // after refusals
	failed  itemHeap // after errors
	waiting waiting
	flight  flight
	barred  map[*Item]bool // items with barred
	oldest  []leftover     // parked pods by time, with entries that no longer hold
}

// New returns an empty queue.
func New(cfg Config) *Queue {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&cfg.First, time.Second)
	set(&cfg.Most, 10*time.Second)
	set(&cfg.Leftover, 5*time.Minute)
	if cfg.Entered == nil {
		cfg.Entered = func(string, string) {}
	}
	return &Queue{cfg: cfg, items: map[types.UID]*Item{}, barred: map[*Item]bool{}, active: itemHeap{less: sooner}, waiting: newWaiting(cfg.Enforced),
		backoff: itemHeap{less: ends}, failed: itemHeap{less: ends}}
}

// sooner is upstream's QueueSort.
func sooner(a, b *Item) bool {
	switch {
	case a.priority != b.priority:
		return a.priority > b.priority
	case !a.since.Equal(b.since):
		return a.since.Before(b.since)
	}
	return a.order < b.order
}

func ends(a, b *Item) bool {
	if !a.until.Equal(b.until) {
		return a.until.Before(b.until)
	}
	return sooner(a, b)
}

// Set tells of a pod without a node, new or changed. A pod that is parked wakes when the change may help; one whose gates are gone is tried.
// The pod is kept and must not be changed.
func (q *Queue) Set(pod *corev1.Pod, now time.Time) {
	it := q.items[pod.UID]
	if it == nil {
		q.next++
		it = &Item{Pod: pod, Arrived: now, order: q.next, since: now, priority: schedulinghelpers.PodPriority(pod)}
		q.items[pod.UID] = it
		q.enter(it, "UnschedulablePodAdd")
		return
	}
	old := it.Pod
	it.Pod = pod
	did := podChanges(old, pod)
	switch it.where {
	case Gated:
		if !it.held && !q.gated(pod) && (!it.barred || !q.bars(pod)) {
			q.leave(it)
			q.enter(it, "UnschedulablePodUpdatePodSchedulingGatesEliminated")
		}
	case Parked:
		if did == 0 {
			return
		}
		q.leave(it)
		if helpsItself(it, did) {
			q.release(it, "UnschedulablePod"+did.first(), now)
			return
		}
		q.stay(it, now)
	case InFlight:
		q.flight.add(Event{What: ownPod, Did: did, Pod: pod})
	}
}

// enter puts an item that is nowhere to where new pods go.
func (q *Queue) enter(it *Item, event string) {
	if q.gated(it.Pod) {
		q.to(it, Gated)
		q.cfg.Entered("gated", event)
		return
	}
	q.activate(it, event)
}

// gated says whether scheduling gates keep a pod from being tried.
func (q *Queue) gated(pod *corev1.Pod) bool {
	return len(pod.Spec.SchedulingGates) > 0 && (q.cfg.Ungated == nil || !q.cfg.Ungated(pod))
}

// Remove forgets a pod: it has a node, or is gone. False when it was not known.
func (q *Queue) Remove(uid types.UID) bool {
	it := q.items[uid]
	if it == nil {
		return false
	}
	q.leave(it)
	delete(q.items, uid)
	return true
}

// Pop gives out the pod to try next; nil when there is none for now.
func (q *Queue) Pop(now time.Time) *Item {
	q.ripen(now)
	it := q.active.peek()
	for it == nil {
		rests := q.backoff.peek()
		if rests == nil {
			return nil
		}
		q.leave(rests)
		q.activate(rests, "PopFromBackoffQ")
		it = q.active.peek() // nil: it is barred now
	}
	q.leave(it)
	it.Attempts++
	if it.Tried.IsZero() {
		it.Tried = now
	}
	it.seen = q.flight.end()
	q.to(it, InFlight)
	return it
}

// Park says that plug-ins refused every node to a pod that Pop gave out (none: there is no node). It waits for an event that may help,
// or rests and is tried again when one has come since Pop. A pod that was removed meanwhile stays so.
func (q *Queue) Park(it *Item, plugins []string, now time.Time) {
	if it.where != InFlight {
		return
	}
	it.refusals++
	it.errors = 0
	it.since, it.refused = now, plugins
	if len(plugins) == 0 {
		it.refused = []string{noNodes}
	}
	missed, lost := q.flight.since(it.seen)
	q.leave(it)
	c := newCohort(it, q.cfg.Enforced)
	for i := range missed {
		if ev := &missed[i]; ev.What == ownPod && ev.Pod.UID == it.Pod.UID && helpsItself(it, ev.Did) || ev.What != ownPod && c.helped(ev) {
			lost = true
			break
		}
	}
	if lost {
		q.release(it, "ScheduleAttemptFailure", now)
		return
	}
	q.stay(it, now)
}

// Fail says that a try, or what it led to (a binding, or that the pod was held), ended with an error: the pod rests and is tried again.
func (q *Queue) Fail(it *Item, now time.Time) {
	if it.where != InFlight && it.where != Planned && !it.held {
		return
	}
	it.errors++
	it.since, it.refused = now, nil
	q.leave(it)
	q.release(it, "ScheduleAttemptFailure", now)
}

// Plan says that a pod that Pop gave out has a node, if its binding succeeds: Fail says that it did not, and Remove that it did.
func (q *Queue) Plan(it *Item) {
	if it.where == InFlight {
		q.leave(it)
		q.to(it, Planned)
	}
}

func (q *Queue) activate(it *Item, event string) {
	if q.bars(it.Pod) {
		q.to(it, Gated)
		it.barred, q.barred[it] = true, true
		q.cfg.Entered("gated", event)
		return
	}
	q.to(it, Active)
	q.cfg.Entered("active", event)
}

// bars says whether claims keep a pod from being tried.
func (q *Queue) bars(pod *corev1.Pod) bool {
	return len(pod.Spec.ResourceClaims) > 0 && q.cfg.Barred != nil && q.cfg.Barred(pod)
}

// Happened wakes the parked pods that ev may help.
func (q *Queue) Happened(ev Event, now time.Time) {
	if q.counts[InFlight] > 0 {
		q.flight.add(ev)
	}
	helped := q.waiting.helped(&ev)
	if ev.What == ResourceClaim {
		for it := range q.barred {
			if !q.bars(it.Pod) {
				helped = append(helped, it)
			}
		}
	}
	for _, it := range helped {
		q.leave(it)
		q.release(it, ev.label(), now)
	}
}

// Counts is how many pods are where, by Where.
func (q *Queue) Counts(w Where) int { return q.counts[w] }

// Where tells in which part a pod is.
func (q *Queue) Where(uid types.UID) Where {
	if it := q.items[uid]; it != nil {
		return it.where
	}
	return Nowhere
}

// Get is a pod's item; nil when it is not known.
func (q *Queue) Get(uid types.UID) *Item { return q.items[uid] }

// Barred says whether its claims keep a pod from being tried.
func (it *Item) Barred() bool { return it.barred }

// Refused is which plug-ins refused a parked pod every node.
func (it *Item) Refused() []string { return it.refused }

// to puts an item that is nowhere somewhere.
func (q *Queue) to(it *Item, w Where) {
	if it.where = w; w != Nowhere {
		q.counts[w]++
	}
	switch w {
	case Active:
		it.priority = schedulinghelpers.PodPriority(it.Pod)
		q.active.push(it)
	case Backoff:
		q.resting(it).push(it)
	case Parked:
		q.waiting.add(it)
	case InFlight:
		q.flight.enter()
	}
}

// leave takes an item from where it is.
func (q *Queue) leave(it *Item) {
	switch it.where {
	case Active:
		q.active.remove(it)
	case Backoff:
		q.resting(it).remove(it)
	case Parked:
		q.waiting.remove(it)
	case InFlight:
		q.flight.leave()
	}
	if it.barred {
		delete(q.barred, it)
	}
	q.counts[it.where]--
	it.where, it.held, it.barred = Nowhere, false, false
}

func (q *Queue) resting(it *Item) *itemHeap {
	if it.errors > 0 {
		return &q.failed
	}
	return &q.backoff
}
