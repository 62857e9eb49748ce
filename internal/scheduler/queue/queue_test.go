package queue

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func amount(s string) resource.Quantity { return resource.MustParse(s) }

// pod is a pod that wants cpu, changed by with.
func pod(name, cpu string, with ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Generation: 1},
		Spec: corev1.PodSpec{SchedulerName: "default-scheduler", Containers: []corev1.Container{{Name: "c",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: amount(cpu)}}}}}}
	for _, f := range with {
		f(p)
	}
	return p
}

func priority(n int32) func(*corev1.Pod) { return func(p *corev1.Pod) { p.Spec.Priority = &n } }
func labelled(k, v string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels = map[string]string{k: v} }
}
func gated(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}} }
func tolerates(p *corev1.Pod) {
	p.Spec.Tolerations = []corev1.Toleration{{Key: "k", Operator: corev1.TolerationOpExists}}
}
func selects(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{"disk": "ssd"} }
func claims(p *corev1.Pod) {
	p.Status.ResourceClaimStatuses = []corev1.PodResourceClaimStatus{{Name: "c", ResourceClaimName: ptr.To("x")}}
}
func onPort(p *corev1.Pod) {
	p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80, Protocol: corev1.ProtocolTCP}}
}

func spreads(p *corev1.Pod) {
	p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{TopologyKey: "zone", WhenUnsatisfiable: corev1.DoNotSchedule, MaxSkew: 1,
		LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}
}

func besideWeb() []corev1.PodAffinityTerm {
	return []corev1.PodAffinityTerm{{TopologyKey: "zone", LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}}}
}
func nearWeb(p *corev1.Pod) {
	p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: besideWeb()}}
}
func farFromWeb(p *corev1.Pod) {
	p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: besideWeb()}}
}

func node(with ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"zone": "a"}},
		Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{corev1.ResourceCPU: amount("2"), corev1.ResourcePods: amount("10")}}}
	for _, f := range with {
		f(n)
	}
	return n
}

func cordoned(n *corev1.Node) { n.Spec.Unschedulable = true }
func tainted(n *corev1.Node) {
	n.Spec.Taints = []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}}
}
func ssd(n *corev1.Node)   { n.Labels = map[string]string{"zone": "a", "disk": "ssd"} }
func small(n *corev1.Node) { n.Status.Allocatable[corev1.ResourceCPU] = amount("1") }
func zoneB(n *corev1.Node) { n.Labels = map[string]string{"zone": "b"} }
func ready(n *corev1.Node) {
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
}

func nodes(old, now *corev1.Node) Event { ev, _ := NodeChanged(old, now); return ev }
func pods(old, now *corev1.Pod) Event   { ev, _ := PodChanged(old, now); return ev }

// room makes an event tell that so many millicores are left, whatever the priority, or ten times as many for one above 0.
func room(ev Event, milli int64) Event {
	ev.Room = func(priority int32) map[corev1.ResourceName]int64 {
		left := map[corev1.ResourceName]int64{corev1.ResourceCPU: milli, corev1.ResourcePods: 1}
		if priority > 0 {
			left[corev1.ResourceCPU] *= 10
		}
		return left
	}
	return ev
}

func TestHints(t *testing.T) {
	web, other := pod("w", "1", labelled("app", "web")), pod("o", "1")
	elsewhere := pod("w", "1", labelled("app", "web"), func(p *corev1.Pod) { p.Namespace = "other" })
	hates := pod("h", "1", farFromWeb)
	for name, c := range map[string]struct {
		refused string
		pod     *corev1.Pod
		ev      Event
		want    bool
	}{
		"no nodes, one comes":       {noNodes, pod("p", "1"), nodes(nil, node(cordoned)), true},
		"no nodes, a pod goes":      {noNodes, pod("p", "1"), pods(other, nil), false},
		"cordon ends":               {place.NodeUnschedulable, pod("p", "1"), nodes(node(cordoned), node()), true},
		"cordon begins":             {place.NodeUnschedulable, pod("p", "1"), nodes(node(), node(cordoned, ready)), false},
		"taint goes":                {place.TaintToleration, pod("p", "1"), nodes(node(tainted), node()), true},
		"taint comes":               {place.TaintToleration, pod("p", "1"), nodes(node(), node(tainted)), false},
		"tainted node comes":        {place.TaintToleration, pod("p", "1"), nodes(nil, node(tainted)), false},
		"label comes":               {place.NodeAffinity, pod("p", "1", selects), nodes(node(), node(ssd)), true},
		"label goes":                {place.NodeAffinity, pod("p", "1", selects), nodes(node(ssd), node()), false},
		"node without label":        {place.NodeAffinity, pod("p", "1", selects), nodes(nil, node()), false},
		"port freed":                {place.NodePorts, pod("p", "1", onPort), pods(pod("x", "1", onPort), nil), true},
		"no port freed":             {place.NodePorts, pod("p", "1", onPort), pods(other, nil), false},
		"node grows":                {fit, pod("p", "2"), nodes(node(small), node()), true},
		"node grows too little":     {fit, pod("p", "3"), nodes(node(small), node()), false},
		"node shrinks":              {fit, pod("p", "1"), nodes(node(), node(small)), false},
		"node is ready":             {fit, pod("p", "1"), nodes(node(), node(ready)), false},
		"large node comes":          {fit, pod("p", "2"), nodes(nil, node()), true},
		"small node comes":          {fit, pod("p", "3"), nodes(nil, node()), false},
		"pod goes":                  {fit, pod("p", "1"), pods(other, nil), true},
		"pod goes, room known":      {fit, pod("p", "1"), room(pods(other, nil), 1000), true},
		"pod goes, too little room": {fit, pod("p", "1"), room(pods(other, nil), 999), false},
		"others may be preempted":   {fit, pod("p", "1", priority(5)), room(pods(other, nil), 100), true},
		"but not by this one": {fit, pod("p", "1", priority(5), func(p *corev1.Pod) { p.Spec.PreemptionPolicy = ptr.To(corev1.PreemptNever) }),
			room(pods(other, nil), 100), false},
		"pod shrinks":           {fit, pod("p", "1"), pods(pod("x", "2"), pod("x", "1", func(p *corev1.Pod) { p.Generation = 2 })), true},
		"pod comes":             {fit, pod("p", "1"), pods(nil, other), false},
		"spread pod comes":      {place.PodTopologySpread, pod("p", "1", spreads), pods(nil, web), true},
		"spread pod goes":       {place.PodTopologySpread, pod("p", "1", spreads), pods(web, nil), true},
		"other pod comes":       {place.PodTopologySpread, pod("p", "1", spreads), pods(nil, other), false},
		"of another namespace":  {place.PodTopologySpread, pod("p", "1", spreads), pods(nil, elsewhere), false},
		"spread pod relabelled": {place.PodTopologySpread, pod("p", "1", spreads), pods(web, pod("w", "1", labelled("app", "db"))), true},
		"zone changes":          {place.PodTopologySpread, pod("p", "1", spreads), nodes(node(), node(zoneB)), true},
		"zone goes":             {place.PodTopologySpread, pod("p", "1", spreads), nodes(node(), nil), true},
		"wanted pod comes":      {place.InterPodAffinity, pod("p", "1", nearWeb), pods(nil, web), true},
		"wanted pod elsewhere":  {place.InterPodAffinity, pod("p", "1", nearWeb), pods(nil, elsewhere), false},
		"unwanted pod comes":    {place.InterPodAffinity, pod("p", "1", farFromWeb), pods(nil, web), false},
		"unwanted pod goes":     {place.InterPodAffinity, pod("p", "1", farFromWeb), pods(web, nil), true},
		"hater goes":            {place.InterPodAffinity, pod("p", "1", labelled("app", "web")), pods(hates, nil), true},
		"hater of others goes":  {place.InterPodAffinity, pod("p", "1"), pods(hates, nil), false},
		"namespace relabelled":  {place.InterPodAffinity, pod("p", "1", nearWeb), Event{What: Namespace, Did: LabelsChanged}, true},
		"claim of ours":         {"VolumeBinding", pod("p", "1"), Event{What: Claim, Did: Updated, New: claim("default")}, true},
		"claim of others":       {"VolumeBinding", pod("p", "1"), Event{What: Claim, Did: Updated, New: claim("other")}, false},
		"capacity":              {"VolumeBinding", pod("p", "1"), Event{What: CSIStorageCapacity, Did: Updated}, true},
		"attachment goes":       {"NodeVolumeLimits", pod("p", "1"), Event{What: VolumeAttachment, Did: Deleted}, true},
		"attachment comes":      {"NodeVolumeLimits", pod("p", "1"), Event{What: VolumeAttachment, Did: Added}, false},
		"slice":                 {"DynamicResources", pod("p", "1"), Event{What: ResourceSlice, Did: Updated}, true},
		"extender":              {"Extender", pod("p", "1"), pods(other, nil), true},
	} {
		q := New(Config{})
		q.Set(c.pod, start)
		q.Park(q.Pop(start), []string{c.refused}, start)
		if n := q.Counts(Parked); n != 1 {
			t.Fatalf("%s: %d pods are parked, want 1", name, n)
		}
		q.Happened(c.ev, start)
		if got := q.Where(c.pod.UID) == Backoff; got != c.want {
			t.Errorf("%s: woken %v, want %v (event %+v)", name, got, c.want, c.ev.Did)
		}
	}
}

func claim(namespace string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "x"}}
}

func TestAPodsOwnUpdates(t *testing.T) {
	for name, c := range map[string]struct {
		refused string
		update  func(*corev1.Pod)
		want    Where
	}{
		"toleration":           {place.TaintToleration, tolerates, Backoff},
		"toleration, no help":  {fit, tolerates, Parked},
		"label":                {place.InterPodAffinity, labelled("a", "b"), Backoff},
		"label, no help":       {place.TaintToleration, labelled("a", "b"), Parked},
		"claims":               {"DynamicResources", claims, Backoff},
		"less":                 {fit, func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = amount("1") }, Backoff},
		"more":                 {fit, func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = amount("3") }, Parked},
		"status":               {unknown, func(p *corev1.Pod) { p.Status.Message = "x" }, Parked},
		"anything for unknown": {unknown, labelled("a", "b"), Backoff},
	} {
		for _, inFlight := range []bool{false, true} {
			q := New(Config{})
			q.Set(pod("p", "2"), start)
			it := q.Pop(start)
			update := func() { q.Set(pod("p", "2", c.update, func(p *corev1.Pod) { p.Generation = 2 }), start) }
			if inFlight {
				update()
			}
			q.Park(it, []string{c.refused}, start)
			if !inFlight {
				update()
			}
			if got := q.Where("p"); got != c.want {
				t.Errorf("%s (in flight %v): in part %d, want %d", name, inFlight, got, c.want)
			}
		}
	}
}

const unknown = "example.com/unknown"

func TestBackoff(t *testing.T) {
	q := New(Config{Most: 4 * time.Second})
	q.Set(pod("p", "1"), start)
	it := q.Pop(start)
	now := start
	for i, want := range []time.Duration{2, 3, 5, 5, 2, 3} { // a second, then doubled up to four; up to the end of the second after it
		if i < 4 {
			q.Fail(it, now)
		} else { // refusals count apart
			q.Park(it, []string{fit}, now)
			q.Happened(pods(pod("x", "1"), nil), now)
		}
		due, ok := q.Due()
		if got := due.Sub(now); !ok || got != want*time.Second {
			t.Fatalf("failure %d: rests for %v, want %v", i, got, want*time.Second)
		}
		if early := q.Pop(now.Add(time.Second)); i < 4 && early != nil {
			t.Fatalf("failure %d: given out before its backoff ends", i)
		} else if early == nil {
			now = due
			if it = q.Pop(now); it == nil {
				t.Fatalf("failure %d: not given out when its backoff ends", i)
			}
		}
	}
	if it.Attempts != 7 || q.Pop(now) != nil {
		t.Errorf("%d tries, want 7, and nothing more", it.Attempts)
	}
}

func TestOrder(t *testing.T) {
	q := New(Config{})
	for i, p := range []int32{0, 5, 0, 9, 5} {
		q.Set(pod(fmt.Sprint(i), "1", priority(p)), start.Add(time.Duration(i)))
	}
	q.Set(pod("gated", "1", gated, priority(99)), start)
	var got string
	for it := q.Pop(start); it != nil; it = q.Pop(start) {
		got += it.Pod.Name
	}
	if got != "31402" || q.Counts(Gated) != 1 || q.Counts(InFlight) != 5 {
		t.Errorf("got order %s, %d gated, %d in flight", got, q.Counts(Gated), q.Counts(InFlight))
	}
	q.Set(pod("gated", "1", priority(99)), start)
	if it := q.Pop(start); it == nil || it.Pod.Name != "gated" {
		t.Errorf("a pod whose gates are gone is not given out: %+v", it)
	}
}

func TestLeftovers(t *testing.T) {
	q := New(Config{})
	q.Set(pod("p", "1"), start)
	q.Park(q.Pop(start), []string{fit}, start)
	due, ok := q.Due()
	if !ok || due.Sub(start) != 5*time.Minute || q.Pop(due.Add(-1)) != nil {
		t.Fatalf("due after %v, want 5m", due.Sub(start))
	}
	if it := q.Pop(due); it == nil || it.Attempts != 2 {
		t.Errorf("a parked pod is not tried again after 5 minutes: %+v", it)
	}
	if !q.Remove("p") || q.Remove("p") {
		t.Error("a pod is removed once")
	}
	if _, ok := q.Due(); ok {
		t.Error("an empty queue is due")
	}
}

func TestAFailedBindingRests(t *testing.T) {
	q := New(Config{})
	q.Set(pod("p", "1"), start)
	it := q.Pop(start)
	q.Plan(it)
	if q.Pop(start) != nil || q.Where("p") != Planned {
		t.Error("a planned pod is given out again")
	}
	q.Fail(it, start)
	if q.Where("p") != Backoff || q.Pop(start) != nil {
		t.Error("a pod whose binding failed does not rest")
	}
	q.Remove("p")
	q.Park(it, []string{fit}, start)
	if q.Where("p") != Nowhere || q.Counts(Parked) != 0 {
		t.Error("a pod that was removed comes back")
	}
}

func TestEventsThatAreNone(t *testing.T) {
	if _, ok := NodeChanged(node(), node()); ok {
		t.Error("a heartbeat counts as a change")
	}
	if _, ok := PodChanged(pod("p", "1"), pod("p", "1", func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning })); ok {
		t.Error("a status counts as a change")
	}
}
