package queue

import (
	"fmt"
	"math/rand"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// model is the queue as anybody would write it: every pod is looked at for everything.
type model struct {
	pods map[string]*modelPod
	now  time.Time
}

type modelPod struct {
	pod        *corev1.Pod
	where      Where
	refused    []string
	since      time.Time // it came (back) into the queue
	until      time.Time
	order, bad int
	failed     int
	helped     bool // by an event in flight
}

// wake lets a pod rest as long as its failures say.
func (m *model) wake(p *modelPod) {
	n := p.bad
	if p.failed > 0 {
		n = p.failed
	}
	p.where = Active
	if n > 0 {
		p.until = p.since.Add(min(time.Second<<(n-1), 10*time.Second)).Truncate(time.Second).Add(time.Second)
		if m.now.Before(p.until) {
			p.where = Backoff
		}
	}
}

func (m *model) ripen() {
	for _, p := range m.pods {
		if p.where == Parked && !m.now.Before(p.since.Add(5*time.Minute)) {
			m.wake(p)
		}
		if p.where == Backoff && !m.now.Before(p.until) {
			p.where = Active
		}
	}
}

// next is the pod to try.
func (m *model) next() *modelPod {
	m.ripen()
	var best *modelPod
	for _, p := range m.pods {
		switch {
		case p.where != Active && (p.where != Backoff || p.failed > 0):
		case best == nil, best.where == Backoff && p.where == Active:
			best = p
		case best.where == Active && p.where == Backoff:
		case p.where == Backoff && !p.until.Equal(best.until):
			if p.until.Before(best.until) {
				best = p
			}
		case m.sooner(p, best):
			best = p
		}
	}
	return best
}

func (m *model) sooner(a, b *modelPod) bool {
	switch x, y := *a.pod.Spec.Priority, *b.pod.Spec.Priority; {
	case x != y:
		return x > y
	case !a.since.Equal(b.since):
		return a.since.Before(b.since)
	}
	return a.order < b.order
}

// happened asks the hints about each pod alone.
func (m *model) happened(ev Event) {
	for _, p := range m.pods {
		if p.where != Parked && p.where != InFlight {
			continue
		}
		if p.where == InFlight {
			p.helped = p.helped || m.helps(p.pod, nextRefusal(p.pod), &ev)
		} else if m.helps(p.pod, p.refused, &ev) {
			m.wake(p)
		}
	}
}

func (m *model) helps(pod *corev1.Pod, refused []string, ev *Event) bool {
	return newCohort(&Item{Pod: pod, refused: refused}, false).helped(ev)
}

// nextRefusal is who refuses a pod in these histories: the same each time, so that the model can ask before it is parked.
func nextRefusal(pod *corev1.Pod) []string {
	all := []string{fit, place.NodeAffinity, place.TaintToleration, place.PodTopologySpread, place.InterPodAffinity, place.NodeName}
	n := int(pod.Name[len(pod.Name)-1] - '0')
	return []string{all[n%len(all)], all[(n*5+1)%len(all)]}
}

func randomPod(rng *rand.Rand, n int) *corev1.Pod {
	shapes := []func(*corev1.Pod){func(*corev1.Pod) {}, selects, tolerates, spreads, nearWeb, farFromWeb, labelled("app", "web")}
	return pod(fmt.Sprint("p", n), fmt.Sprint(1+rng.Intn(3)), priority(int32(rng.Intn(3))), shapes[rng.Intn(len(shapes))])
}

func randomEvent(rng *rand.Rand) Event {
	changes := []func(*corev1.Node){func(*corev1.Node) {}, cordoned, tainted, ssd, small, zoneB}
	pick := func() *corev1.Node { return node(changes[rng.Intn(len(changes))]) }
	other := randomPod(rng, 999)
	switch rng.Intn(6) {
	case 0:
		return nodes(nil, pick())
	case 1:
		return nodes(pick(), nil)
	case 2:
		return pods(nil, other)
	case 3:
		return pods(other, nil)
	case 4:
		return room(pods(other, nil), int64(rng.Intn(3000)))
	}
	return nodes(pick(), pick())
}

// TestRandomHistories holds the queue against the model: same pods in the same order, same parts, at every step.
func TestRandomHistories(t *testing.T) {
	for seed := range int64(200) {
		rng := rand.New(rand.NewSource(seed))
		q, m := New(Config{}), &model{pods: map[string]*modelPod{}, now: start}
		var flight []*Item
		for step := range 300 {
			switch op := rng.Intn(12); {
			case op < 3:
				p := randomPod(rng, step)
				q.Set(p, m.now)
				m.pods[p.Name] = &modelPod{pod: p, where: Active, order: step, since: m.now}
			case op < 6:
				it, want := q.Pop(m.now), m.next()
				if (it == nil) != (want == nil) || it != nil && it.Pod.Name != want.pod.Name {
					t.Fatalf("seed %d step %d: gave out %v, want %v", seed, step, it, want)
				}
				if it != nil {
					want.where, want.helped = InFlight, false
					flight = append(flight, it)
				}
			case op < 8 && len(flight) > 0:
				i := rng.Intn(len(flight))
				settle(rng, q, m, flight[i])
				flight = append(flight[:i], flight[i+1:]...)
			case op == 8:
				m.now = m.now.Add(time.Duration(rng.Int63n(int64(20 * time.Second))))
			case op == 9 && rng.Intn(20) == 0:
				m.now = m.now.Add(5 * time.Minute)
			default:
				ev := randomEvent(rng)
				if ev.Did != 0 {
					q.Happened(ev, m.now)
					m.happened(ev)
				}
			}
			counts := map[Where]int{}
			for name, p := range m.pods {
				counts[p.where]++
				if it := q.Get(p.pod.UID); it == nil {
					t.Fatalf("seed %d step %d: pod %s is lost", seed, step, name)
				}
			}
			for _, w := range []Where{InFlight, Planned, Gated} {
				if q.Counts(w) != counts[w] {
					t.Fatalf("seed %d step %d: %d pods in part %d, want %d", seed, step, q.Counts(w), w, counts[w])
				}
			}
		}
	}
}

// settle ends a try in one of the three ways.
func settle(rng *rand.Rand, q *Queue, m *model, it *Item) {
	p := m.pods[it.Pod.Name]
	switch rng.Intn(5) {
	case 0:
		q.Plan(it)
		q.Remove(it.Pod.UID)
		delete(m.pods, it.Pod.Name)
	case 1:
		q.Fail(it, m.now)
		p.failed++
		p.since = m.now
		m.wake(p)
	default:
		p.refused = nextRefusal(p.pod)
		q.Park(it, p.refused, m.now)
		p.bad++
		p.failed, p.since, p.where = 0, m.now, Parked
		if p.helped {
			m.wake(p)
		}
	}
}

// BenchmarkWake measures an event that helps one of 100,000 parked pods, half of which want room.
func BenchmarkWake(b *testing.B) {
	q := New(Config{Leftover: 1 << 60})
	for i := range 100_000 {
		p := pod(fmt.Sprint(i), fmt.Sprintf("%dm", 1000+i), labelled("n", fmt.Sprint(i)))
		q.Set(p, start)
		it := q.Pop(start)
		if i%2 == 0 {
			q.Park(it, []string{fit}, start)
		} else {
			q.Park(it, []string{place.NodeName}, start)
		}
	}
	left := room(pods(pod("x", "1"), nil), 1000)
	now := start
	for b.Loop() {
		q.Happened(left, now)
		now = now.Add(20 * time.Second)
		if it := q.Pop(now); it == nil || it.Pod.Name != "0" {
			b.Fatal("woke another")
		} else {
			q.Park(it, []string{fit}, now)
		}
	}
}
