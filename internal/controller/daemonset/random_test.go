package daemonset_test

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/daemonset"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/revision"
)

func sets() client.Resource  { return appsv1.SchemeGroupVersion.WithResource("daemonsets") }
func nodes() client.Resource { return corev1.SchemeGroupVersion.WithResource("nodes") }

// world is a set on some nodes, all of which change by chance.
type world struct {
	*bed.Bed
	kind bool // nodes stay as they are, and pods only get on
}

const nodeCount = 6

func newWorld(t *testing.T, seed int64, ru appsv1.RollingUpdateDaemonSet) *world {
	w := &world{Bed: bed.New(t, seed)}
	for i := range nodeCount {
		w.addNode(i)
	}
	l := map[string]string{"app": "d"}
	w.Put(sets(), &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "d"}, Spec: appsv1.DaemonSetSpec{
		Selector: &metav1.LabelSelector{MatchLabels: l}, RevisionHistoryLimit: ptr.To[int32](2), MinReadySeconds: int32(seed % 2 * 3),
		UpdateStrategy: appsv1.DaemonSetUpdateStrategy{Type: appsv1.RollingUpdateDaemonSetStrategyType, RollingUpdate: &ru},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}, Spec: corev1.PodSpec{
			NodeSelector: map[string]string{"on": "yes"}, Containers: []corev1.Container{{Name: "c", Image: "i0"}}}},
	}})
	w.Sim.Add(daemonset.New())
	w.Sim.Writing = func(_ string, write engine.Write) { w.look(write) }
	return w
}

func nodeName(i int) string { return fmt.Sprint("n", i) }

func (w *world) addNode(i int) {
	w.Put(nodes(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName(i), Labels: map[string]string{"on": "yes"}}})
	w.free(nodeName(i)) // of what each node begins with
}

func (w *world) free(node string) {
	bed.Change(w.Bed, nodes(), "", node, "", func(n *corev1.Node) { n.Spec.Taints = nil })
}

func (w *world) set() *appsv1.DaemonSet {
	return bed.Get[*appsv1.DaemonSet](w.Bed, sets(), "default", "d")
}

func (w *world) wanted(node string) bool {
	n := bed.Get[*corev1.Node](w.Bed, nodes(), "", node)
	return n != nil && n.Labels["on"] == "yes" && len(n.Spec.Taints) == 0
}

// nodeOf is where a pod is or is to be.
func nodeOf(p *corev1.Pod) string {
	if p.Spec.NodeName != "" {
		return p.Spec.NodeName
	}
	return p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields[0].Values[0]
}

// look holds the laws of rolling before a write to a pod, while all is kind: what they say of the nodes when the write is done.
func (w *world) look(write engine.Write) {
	if !w.kind || write.Resource != pods.Resource() || write.Verb != engine.Create && write.Verb != engine.Delete {
		return
	}
	set := w.set()
	live, available := map[string]int{}, map[string]int{}
	harmless := false
	for _, p := range w.Pods("default") {
		ready := pods.Available(p, set.Spec.MinReadySeconds, w.Clock.Now())
		switch {
		case p.DeletionTimestamp != nil:
		case write.Verb == engine.Delete && p.Name == write.Name:
			harmless = !ready // one that nobody misses may always go
		default:
			live[nodeOf(p)]++
			if ready {
				available[nodeOf(p)]++
			}
		}
	}
	if write.Verb == engine.Create {
		node := nodeOf(write.Object.(*corev1.Pod))
		live[node]++
		harmless = available[node] == 0
	}
	down, doubled := 0, 0
	for i := range nodeCount {
		if available[nodeName(i)] == 0 {
			down++
		} else if live[nodeName(i)] > 1 {
			doubled++
		}
		if live[nodeName(i)] > 2 {
			w.Errorf("%s has %d pods", nodeName(i), live[nodeName(i)])
		}
	}
	ru := set.Spec.UpdateStrategy.RollingUpdate
	surge, _ := intstr.GetScaledValueFromIntOrPercent(ru.MaxSurge, nodeCount, true)
	most, _ := intstr.GetScaledValueFromIntOrPercent(ru.MaxUnavailable, nodeCount, true)
	if write.Verb == engine.Delete && !harmless && down > most {
		w.Errorf("delete %s: %d of %d nodes without an available pod, at most %d may be", write.Name, down, nodeCount, most)
	}
	if write.Verb == engine.Create && !harmless && doubled > surge {
		w.Errorf("%d nodes with a pod too many, at most %d may be", doubled, surge)
	}
}

// meddle changes the set, or lets a pod go on, or, when it is not to be kind, harms a pod or a node.
func (w *world) meddle() {
	list := w.Pods("default")
	n := w.Rand.Intn(24)
	switch {
	case n == 0:
		bed.Change(w.Bed, sets(), "default", "d", "", func(set *appsv1.DaemonSet) {
			set.Spec.Template.Spec.Containers[0].Image = fmt.Sprint("i", w.Rand.Intn(4))
		})
	case n < 4 && !w.kind:
		w.harmNode(n, w.Rand.Intn(nodeCount))
	case len(list) == 0:
	case n < 9 && !w.kind:
		w.harm(n, list[w.Rand.Intn(len(list))])
	default:
		w.Run(list[w.Rand.Intn(len(list))])
	}
}

func (w *world) harmNode(how, i int) {
	name := nodeName(i)
	switch {
	case bed.Get[*corev1.Node](w.Bed, nodes(), "", name) == nil:
		w.addNode(i)
	case how == 1:
		bed.Change(w.Bed, nodes(), "", name, "", func(n *corev1.Node) {
			n.Labels["on"] = map[bool]string{true: "yes", false: "no"}[n.Labels["on"] != "yes"]
		})
	case how == 2:
		effect := []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute}[w.Rand.Intn(2)]
		bed.Change(w.Bed, nodes(), "", name, "", func(n *corev1.Node) {
			if len(n.Spec.Taints) > 0 {
				n.Spec.Taints = nil
			} else {
				n.Spec.Taints = []corev1.Taint{{Key: "x", Effect: effect}}
			}
		})
	default:
		w.Remove(nodes(), "", name)
		for _, p := range w.Pods("default") { // as podgc
			if p.Spec.NodeName == name {
				w.End(p)
			}
		}
	}
}

func (w *world) harm(how int, p *corev1.Pod) {
	switch {
	case how == 4:
		w.Remove(pods.Resource(), "default", p.Name)
	case how == 5:
		w.End(p)
	case p.Spec.NodeName == "" || p.DeletionTimestamp != nil || pods.Ended(p):
	case how == 6:
		w.Fail(p)
	case how == 7:
		w.Ready(p, false)
	case how == 8:
		bed.Change(w.Bed, pods.Resource(), "default", p.Name, "", func(p *corev1.Pod) { p.OwnerReferences = nil })
	}
}

// settled holds what is so in the end: one pod of the template as it is on each node that is wanted, none elsewhere but where it may stay, and a status that
// says so.
func (w *world) settled() {
	w.Helper()
	for _, p := range w.Pods("default") { // what does not become ready by itself
		if p.Status.Phase == corev1.PodRunning && !pods.Ready(p) {
			w.Ready(p, true)
		}
	}
	for i := range nodeCount {
		if n := bed.Get[*corev1.Node](w.Bed, nodes(), "", nodeName(i)); n == nil {
			w.addNode(i)
		} else {
			w.free(n.Name)
		}
	}
	w.Rest("default")
	set, on := w.set(), map[string]int{}
	hashes := map[string]bool{}
	for _, p := range w.Pods("default") {
		on[nodeOf(p)]++
		hashes[p.Labels[appsv1.DefaultDaemonSetUniqueLabelKey]] = true
		if ref := metav1.GetControllerOf(p); ref == nil || ref.UID != set.UID || !pods.Ready(p) {
			w.Errorf("pod %s is controlled by %v and ready %t", p.Name, ref, pods.Ready(p))
		}
		if image := p.Spec.Containers[0].Image; image != set.Spec.Template.Spec.Containers[0].Image {
			w.Errorf("pod %s has image %s", p.Name, image)
		}
	}
	n := int32(0)
	for i := range nodeCount {
		want := 0
		if w.wanted(nodeName(i)) {
			want = 1
			n++
		}
		if on[nodeName(i)] != want {
			w.Errorf("%s has %d pods, want %d", nodeName(i), on[nodeName(i)], want)
		}
	}
	st := set.Status
	want := appsv1.DaemonSetStatus{ObservedGeneration: set.Generation, DesiredNumberScheduled: n, CurrentNumberScheduled: n, NumberReady: n, UpdatedNumberScheduled: n,
		NumberAvailable: n, CollisionCount: st.CollisionCount}
	if fmt.Sprintf("%+v", st) != fmt.Sprintf("%+v", want) {
		w.Errorf("status %+v, want %+v", st, want)
	}
	w.kept(hashes)
}

// kept holds that the history has what pods are of, and little more.
func (w *world) kept(hashes map[string]bool) {
	w.Helper()
	view, err := w.Client.View(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	past := 0
	for obj := range view.List(revision.Resource(), "default") {
		hash := obj.GetLabels()[appsv1.DefaultDaemonSetUniqueLabelKey]
		if !hashes[hash] {
			past++
		}
		delete(hashes, hash)
	}
	if len(hashes) > 0 || past > 3 { // two, and the template that no pod is of when no node is wanted
		w.Errorf("revisions %v are lost, %d past ones are kept", hashes, past)
	}
}

// each runs a test for strategies and seeds.
func each(t *testing.T, f func(t *testing.T, seed int64, ru appsv1.RollingUpdateDaemonSet)) {
	n := int64(8)
	if testing.Short() {
		n = 2
	}
	for _, limits := range [][2]string{{"1", "0"}, {"50%", "0"}, {"0", "1"}, {"0", "50%"}} {
		ru := appsv1.RollingUpdateDaemonSet{MaxUnavailable: ptr.To(intstr.Parse(limits[0])), MaxSurge: ptr.To(intstr.Parse(limits[1]))}
		for seed := range n {
			t.Run(fmt.Sprintf("down %s surge %s seed %d", limits[0], limits[1], seed), func(t *testing.T) { f(t, seed, ru) })
		}
	}
}

// TestLimits: while nobody harms pods and nodes, maxUnavailable and maxSurge hold at every write, whatever fails and wherever the controller stops.
func TestLimits(t *testing.T) {
	each(t, func(t *testing.T, seed int64, ru appsv1.RollingUpdateDaemonSet) {
		w := newWorld(t, seed, ru)
		w.Rest("default")
		w.kind = true
		w.Chance(400, w.meddle)
		w.settled()
	})
}

// TestSettles: whatever happens to pods, nodes and the controller, all is as it should be in the end.
func TestSettles(t *testing.T) {
	each(t, func(t *testing.T, seed int64, ru appsv1.RollingUpdateDaemonSet) {
		w := newWorld(t, seed, ru)
		w.Chance(400, w.meddle)
		w.settled()
	})
}
