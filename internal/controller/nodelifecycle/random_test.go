package nodelifecycle_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/nodelifecycle"
	"github.com/floe-k8s/floe/internal/controller/pods"
)

func nodes() client.Resource  { return corev1.SchemeGroupVersion.WithResource("nodes") }
func leases() client.Resource { return coordinationv1.SchemeGroupVersion.WithResource("leases") }

// world is nodes in zones, each with a pod, that live or are silent by chance.
type world struct {
	*bed.Bed
	zones  map[string]string // of nodes
	silent map[string]bool
	begun  time.Time
	evicts map[string]int // zone: taints that evict, and that came to nodes without one
}

// clock lets all that live show it while time goes on.
type clock struct {
	*clocktesting.FakeClock
	w *world
}

// Step goes on in steps in which no node is silent for too long that lives.
func (c clock) Step(d time.Duration) {
	for most := 5 * time.Second; d > 0; d -= most {
		c.FakeClock.Step(min(d, most))
		c.w.beat()
	}
}

func newWorld(t *testing.T, seed int64, zones ...int) *world {
	w := &world{Bed: bed.New(t, seed), zones: map[string]string{}, silent: map[string]bool{}, evicts: map[string]int{}}
	w.begun = w.Clock.Now()
	w.Sim.Clock = clock{w.Clock, w}
	w.Put(corev1.SchemeGroupVersion.WithResource("namespaces"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: corev1.NamespaceNodeLease}})
	for z, count := range zones {
		for i := range count {
			name, zone := fmt.Sprintf("z%dn%d", z, i), fmt.Sprintf("z%d", z)
			w.zones[name] = zone
			w.Put(nodes(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelTopologyZone: zone, corev1.LabelOSStable: "linux"}}})
			w.Put(leases(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: name}})
			p := w.Put(pods.Resource(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
				Spec: corev1.PodSpec{NodeName: name, Containers: []corev1.Container{{Name: "c", Image: "i"}}}})
			w.ready(p.GetName())
		}
	}
	w.beat()
	w.Sim.Add(nodelifecycle.New(nodelifecycle.Default(), nodelifecycle.NewMetrics()))
	w.Sim.Writing = w.look
	return w
}

func (w *world) ready(pod string) {
	bed.Change(w.Bed, pods.Resource(), "default", pod, "status", func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	})
}

// beat lets every node that lives renew its lease, and say that it and its pod are ready when that is not known.
func (w *world) beat() {
	now := metav1.NewMicroTime(w.Clock.Now())
	for name := range w.zones {
		if w.silent[name] {
			continue
		}
		bed.Change(w.Bed, leases(), corev1.NamespaceNodeLease, name, "", func(l *coordinationv1.Lease) { l.Spec.RenewTime = &now })
		if status(w.node(name), corev1.NodeReady) != corev1.ConditionTrue {
			at := metav1.NewTime(now.Time)
			bed.Change(w.Bed, nodes(), "", name, "status", func(n *corev1.Node) {
				n.Status.Conditions = nil
				for _, of := range []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
					c := corev1.NodeCondition{Type: of, Status: corev1.ConditionFalse, LastHeartbeatTime: at, LastTransitionTime: at}
					if of == corev1.NodeReady {
						c.Status = corev1.ConditionTrue
					}
					n.Status.Conditions = append(n.Status.Conditions, c)
				}
			})
			w.ready(name)
		}
	}
}

func (w *world) node(name string) *corev1.Node {
	return bed.Get[*corev1.Node](w.Bed, nodes(), "", name)
}

func status(n *corev1.Node, of corev1.NodeConditionType) corev1.ConditionStatus {
	for _, c := range n.Status.Conditions {
		if c.Type == of {
			return c.Status
		}
	}
	return ""
}

func evicted(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoExecute && (t.Key == corev1.TaintNodeUnreachable || t.Key == corev1.TaintNodeNotReady)
	})
}

// look holds the law of rates: no more nodes are tainted than one at once and one in ten seconds.
func (w *world) look(_ string, write engine.Write) {
	n, ok := write.Object.(*corev1.Node)
	if !ok || write.Subresource != "" || !evicted(n) || evicted(w.node(n.Name)) || n.ResourceVersion != w.node(n.Name).ResourceVersion {
		return
	}
	zone := w.zones[n.Name]
	if w.evicts[zone]++; w.evicts[zone] > 1+int(w.Clock.Since(w.begun)/(10*time.Second)) {
		w.Errorf("%d nodes of zone %s are tainted after %v", w.evicts[zone], zone, w.Clock.Since(w.begun))
	}
}

// act makes a node silent, or lets it speak again.
func (w *world) act() {
	names := make([]string, 0, len(w.zones))
	for name := range w.zones {
		names = append(names, name)
	}
	slices.Sort(names)
	name := names[w.Rand.Intn(len(names))]
	w.silent[name] = w.Rand.Intn(2) == 0
}

// settled holds what must be when nothing happens any more.
func (w *world) settled() {
	w.Helper()
	alive, dead := map[string]int{}, map[string]int{}
	for name, zone := range w.zones {
		if w.silent[name] {
			dead[zone]++
		} else {
			alive[zone]++
		}
	}
	for name, zone := range w.zones {
		n, p := w.node(name), bed.Get[*corev1.Pod](w.Bed, pods.Resource(), "default", name)
		want, evict := corev1.ConditionTrue, false
		if w.silent[name] {
			partial := alive[zone] > 0 && dead[zone] > 2 && float64(dead[zone]) >= .55*float64(alive[zone]+dead[zone])
			want, evict = corev1.ConditionUnknown, len(alive) > 0 && !partial
		}
		scheduled := !slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool {
			return t.Key == corev1.TaintNodeUnreachable && t.Effect == corev1.TaintEffectNoSchedule
		})
		ready := pods.Ready(p)
		was := evicted(n) // a partly disrupted zone keeps those that were tainted before
		if status(n, corev1.NodeReady) != want || scheduled == w.silent[name] || ready == w.silent[name] || evict && !was || was && (len(alive) == 0 || !w.silent[name]) {
			w.Errorf("node %s, silent %v, of zone %s with %d dead, %d alive: Ready %s, pod ready %v, taints %v", name, w.silent[name], zone, dead[zone], alive[zone],
				status(n, corev1.NodeReady), ready, n.Spec.Taints)
		}
		if n.Labels["beta.kubernetes.io/os"] != "linux" {
			w.Errorf("node %s has labels %v", name, n.Labels)
		}
	}
}

func TestNodesByChance(t *testing.T) {
	for seed := range int64(12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			w := newWorld(t, seed, 1+int(seed)%3, 2, 4)
			for range 4 {
				w.Chance(60, w.act)
				w.settled()
			}
		})
	}
}

// TestOutages tells whose nodes are tainted when some are silent for a quarter of an hour.
func TestOutages(t *testing.T) {
	for name, c := range map[string]struct {
		zones  []int
		silent []string
		want   int
	}{
		"a node":                     {[]int{4}, []string{"z0n0"}, 1},
		"the only node":              {[]int{1}, []string{"z0n0"}, 0},
		"a whole cluster":            {[]int{2, 3}, []string{"z0n0", "z0n1", "z1n0", "z1n1", "z1n2"}, 0},
		"most of a small zone":       {[]int{4, 1}, []string{"z0n0", "z0n1", "z0n2"}, 0},
		"a zone of several":          {[]int{2, 1}, []string{"z0n0", "z0n1"}, 2},
		"half of the only zone, two": {[]int{4}, []string{"z0n0", "z0n1"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, c.zones...)
			w.Settle()
			for _, n := range c.silent {
				w.silent[n] = true
			}
			w.Settle()
			w.settled()
			got := 0
			for n := range w.zones {
				if evicted(w.node(n)) {
					got++
				}
			}
			if got != c.want {
				t.Errorf("%d nodes are tainted, want %d", got, c.want)
			}
			clear(w.silent)
			w.Settle()
			w.settled()
		})
	}
}
