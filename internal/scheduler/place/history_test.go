package place

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func policy(t testing.TB, change ...func(*Profile)) *Policy {
	t.Helper()
	p := DefaultProfile()
	for _, f := range change {
		f(&p)
	}
	out, err := p.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// history makes random worlds. It draws from few names, so that things meet.
type history struct {
	*rand.Rand
	m    *model
	t    *Table
	next int
}

func (h *history) one(of ...string) string { return of[h.Intn(len(of))] }
func (h *history) chance(percent int) bool { return h.Intn(100) < percent }

func (h *history) node(name string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}}}
	if h.chance(95) {
		n.Labels[corev1.LabelHostname] = name
		if h.chance(2) {
			n.Labels[corev1.LabelHostname] = "twin"
		}
	}
	if h.chance(90) {
		n.Labels[corev1.LabelTopologyZone] = h.one("z1", "z2", "z3")
		if h.chance(2) {
			n.Labels[corev1.LabelTopologyZone] = ""
		}
	}
	if h.chance(60) {
		n.Labels["rack"] = h.one("1", "2", "3", "4", "5", "6")
	}
	n.Labels["disk"] = h.one("ssd", "hdd")
	for _, e := range []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute} {
		for _, k := range []string{"k1", "k2"} {
			if h.chance(8) {
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: k, Effect: e})
			}
		}
	}
	n.Spec.Unschedulable = h.chance(5)
	n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: milli(int64(500 * (1 + h.Intn(8)))), corev1.ResourceMemory: units(int64(1+h.Intn(8)) << 30),
		corev1.ResourcePods: units(int64(3 + h.Intn(10)))}
	if h.chance(30) {
		n.Status.Allocatable["x.example/y"] = units(int64(h.Intn(4)))
	}
	for _, i := range []string{"a:latest", "b:latest", "c:v1"} {
		if h.chance(30) {
			n.Status.Images = append(n.Status.Images, corev1.ContainerImage{Names: []string{i}, SizeBytes: int64(len(i)) * 40 << 20})
		}
	}
	return n
}

func (h *history) labelSelector() *metav1.LabelSelector {
	switch h.Intn(8) {
	case 0:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: []string{"a", "b"}}}}
	case 1:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpDoesNotExist}}}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": h.one("a", "b", "c")}}
}

func (h *history) term() corev1.PodAffinityTerm {
	t := corev1.PodAffinityTerm{LabelSelector: h.labelSelector(), TopologyKey: h.one(corev1.LabelHostname, corev1.LabelTopologyZone, "rack")}
	switch h.Intn(6) {
	case 0:
		t.Namespaces = []string{h.one("a", "b"), "c"}
	case 1:
		t.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": h.one("x", "y")}}
	case 2:
		t.NamespaceSelector = &metav1.LabelSelector{}
	}
	return t
}

func (h *history) affinity() *corev1.Affinity {
	a := &corev1.Affinity{}
	if h.chance(30) {
		a.PodAffinity = &corev1.PodAffinity{}
		for range h.Intn(3) {
			a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution, h.term())
		}
		for range h.Intn(2) {
			a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PodAffinity.PreferredDuringSchedulingIgnoredDuringExecution,
				corev1.WeightedPodAffinityTerm{Weight: int32(1 + h.Intn(100)), PodAffinityTerm: h.term()})
		}
	}
	if h.chance(30) {
		a.PodAntiAffinity = &corev1.PodAntiAffinity{}
		for range h.Intn(2) {
			a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution = append(a.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, h.term())
		}
		for range h.Intn(3) {
			a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution = append(a.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution,
				corev1.WeightedPodAffinityTerm{Weight: int32(1 + h.Intn(100)), PodAffinityTerm: h.term()})
		}
	}
	if h.chance(30) {
		in := corev1.NodeSelectorRequirement{Key: "disk", Operator: corev1.NodeSelectorOpIn, Values: []string{h.one("ssd", "hdd")}}
		a.NodeAffinity = &corev1.NodeAffinity{}
		if h.chance(60) {
			t := corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{in}}
			if h.chance(30) {
				t.MatchFields = []corev1.NodeSelectorRequirement{{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{fmt.Sprint("n", h.Intn(14))}}}
			}
			a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{t}}
		}
		for range h.Intn(3) {
			a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution = append(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution,
				corev1.PreferredSchedulingTerm{Weight: int32(1 + h.Intn(100)), Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{
					{Key: "rack", Operator: corev1.NodeSelectorOpIn, Values: []string{h.one("1", "2", "3"), "4"}}}}})
		}
	}
	return a
}

func (h *history) constraint() corev1.TopologySpreadConstraint {
	c := corev1.TopologySpreadConstraint{MaxSkew: int32(1 + h.Intn(3)), TopologyKey: h.one(corev1.LabelHostname, corev1.LabelTopologyZone, "rack"),
		WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: h.labelSelector()}
	if h.chance(50) {
		c.WhenUnsatisfiable = corev1.ScheduleAnyway
	} else if h.chance(20) {
		n := int32(1 + h.Intn(4))
		c.MinDomains = &n
	}
	policies := []corev1.NodeInclusionPolicy{corev1.NodeInclusionPolicyHonor, corev1.NodeInclusionPolicyIgnore}
	if h.chance(40) {
		c.NodeAffinityPolicy = &policies[h.Intn(2)]
	}
	if h.chance(40) {
		c.NodeTaintsPolicy = &policies[h.Intn(2)]
	}
	if h.chance(20) {
		c.MatchLabelKeys = []string{"tier"}
	}
	return c
}

func (h *history) pod() *corev1.Pod {
	h.next++
	name := fmt.Sprint("p", h.next)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: h.one("a", "a", "b", "c"), Name: name, UID: types.UID(name),
		Labels: map[string]string{"app": h.one("a", "b", "c")}}}
	if h.chance(50) {
		p.Labels["tier"] = h.one("1", "2")
	}
	for range 1 + h.Intn(2) {
		c := corev1.Container{Image: h.one("a", "b", "c:v1", "d")}
		if h.chance(70) {
			c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: milli(int64(50 * h.Intn(8))), corev1.ResourceMemory: units(int64(h.Intn(8)) << 27)}
		}
		if h.chance(5) {
			c.Resources.Requests = corev1.ResourceList{"x.example/y": units(1)}
		}
		if h.chance(8) {
			c.Ports = []corev1.ContainerPort{{HostPort: int32(80 + h.Intn(2)), HostIP: h.one("", "1.1.1.1", "0.0.0.0")}}
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
	}
	if h.chance(30) {
		p.Spec.Tolerations = []corev1.Toleration{{Key: h.one("k1", "k2"), Operator: corev1.TolerationOpExists}}
	}
	if h.chance(10) {
		p.Spec.NodeSelector = map[string]string{"disk": h.one("ssd", "hdd")}
	}
	if h.chance(50) {
		p.Spec.Affinity = h.affinity()
	}
	if h.chance(30) {
		for range 1 + h.Intn(2) {
			p.Spec.TopologySpreadConstraints = append(p.Spec.TopologySpreadConstraints, h.constraint())
		}
	}
	if h.chance(20) {
		priority := int32(h.Intn(3))
		p.Spec.Priority = &priority
	}
	return p
}

// put tells model and table that a pod is on a node.
func (h *history) put(pod *corev1.Pod, node string) {
	pod = pod.DeepCopy()
	pod.Spec.NodeName = node
	delete(h.m.nominated, pod.UID)
	h.m.pods[pod.UID] = pod
	h.t.SetPod(pod, node)
}

// step changes something.
func (h *history) step() {
	name := fmt.Sprint("n", h.Intn(14))
	pods := slices.Sorted(maps.Keys(h.m.pods))
	switch k := h.Intn(20); {
	case k < 5:
		n := h.node(name)
		h.m.nodes[name] = n
		h.t.SetNode(n.DeepCopy())
	case k < 6:
		delete(h.m.nodes, name)
		h.t.RemoveNode(name)
	case k < 10 && len(pods) > 0:
		uid := pods[h.Intn(len(pods))]
		delete(h.m.pods, uid)
		h.t.RemovePod(uid)
	case k < 12 && len(pods) > 0:
		p := h.m.pods[pods[h.Intn(len(pods))]].DeepCopy()
		if h.chance(50) {
			p.DeletionTimestamp = &metav1.Time{}
		} else {
			p.Labels = map[string]string{"app": h.one("a", "b", "c")}
		}
		h.put(p, p.Spec.NodeName)
	case k < 13:
		h.put(h.pod(), name)
	case k < 14:
		ns, set := h.one("a", "b", "c"), map[string]string{"team": h.one("x", "y")}
		h.m.namespaces[ns] = set
		h.t.SetNamespace(ns, set)
	case k < 15:
		svc, set := h.one("s1", "s2"), map[string]string{"app": h.one("a", "b")}
		h.m.services[svc] = set
		h.t.SetService("a", svc, set)
	case k < 17:
		p := h.pod()
		p.Status.NominatedNodeName = name
		h.m.nominated[p.UID] = p
		h.t.Nominate(p, name)
	case k < 20 && len(h.m.nominated) > 0:
		uid := slices.Sorted(maps.Keys(h.m.nominated))[0]
		delete(h.m.nominated, uid)
		h.t.RemovePod(uid)
	}
}

// TestHistories changes random worlds and compares every decision with the model's, and the table with one that has
// forgotten all it can.
func TestHistories(t *testing.T) {
	system := policy(t)
	listed := policy(t, func(p *Profile) {
		p.SystemSpread = false
		p.DefaultSpread = []corev1.TopologySpreadConstraint{{MaxSkew: 2, TopologyKey: "rack", WhenUnsatisfiable: corev1.DoNotSchedule},
			{MaxSkew: 1, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.ScheduleAnyway}}
		p.HardAffinityWeight = 7
	})
	placed, refused := 0, 0
	for seed := range int64(histories) {
		h := &history{Rand: rand.New(rand.NewSource(seed)), m: newModel(), t: NewTable()}
		var waiting []*corev1.Pod
		for i := range 120 {
			h.step()
			p := system
			if h.chance(30) {
				p = listed
			}
			pod := h.pod()
			if len(waiting) > 0 && h.chance(50) {
				pod = waiting[h.Intn(len(waiting))].DeepCopy()
				h.next++
				pod.Name = fmt.Sprint("p", h.next)
				pod.UID = types.UID(pod.Name)
			}
			waiting = append(waiting, pod)
			if node := h.compare(t, fmt.Sprintf("seed %d step %d", seed, i), pod, p); node != "" {
				placed++
				h.put(pod, node)
			} else {
				refused++
			}
			if t.Failed() {
				return
			}
		}
	}
	if placed < histories || refused < histories {
		t.Errorf("%d pods placed, %d refused: the histories test too little", placed, refused)
	}
}

const histories = 25

func (h *history) compare(t *testing.T, what string, pod *corev1.Pod, p *Policy) string {
	t.Helper()
	if len(h.m.nodes) == 0 {
		return ""
	}
	want := h.m.ask(pod, p).verdicts()
	got, err := h.t.Explain(pod, p)
	if err != nil {
		t.Fatalf("%s: explain: %v", what, err)
	}
	feasible, top := 0, int64(-1)
	for _, v := range got.Nodes {
		if d := cmp.Diff(want[v.Node], v); d != "" {
			t.Fatalf("%s: pod %s %v\nnode %s (-want +got):\n%s", what, pod.Name, pod.Spec.String(), v.Node, d)
		}
		if v.Status == nil {
			feasible++
			top = max(top, v.Total)
		}
	}
	if len(got.Nodes) != len(want) {
		t.Fatalf("%s: %d verdicts on %d nodes", what, len(got.Nodes), len(want))
	}
	plan, err := h.t.Decide(pod, p, rand.New(rand.NewSource(7)), nil)
	if err != nil {
		t.Fatalf("%s: decide: %v", what, err)
	}
	if plan.Feasible != feasible || plan.Node == "" != (feasible == 0) || plan.Node != "" && (plan.Score != top || want[plan.Node].Total != top) {
		t.Fatalf("%s: plan %+v, want one of %d nodes with score %d; it has %d", what, plan, feasible, top, want[plan.Node].Total)
	}
	if plan.Failure != nil {
		if a, b := plan.Failure.Message(""), modelMessage(want); a != b {
			t.Fatalf("%s: message %q, want %q", what, a, b)
		}
	}
	for _, c := range h.t.classes {
		if h.chance(20) {
			h.t.dropClass(c)
		}
	}
	again, _ := h.t.Decide(pod, p, rand.New(rand.NewSource(7)), nil)
	if d := cmp.Diff(plan, again); d != "" {
		t.Fatalf("%s: what was forgotten shows (-before +after):\n%s", what, d)
	}
	return plan.Node
}

func modelMessage(verdicts map[string]Verdict) string {
	var f failure
	for _, v := range verdicts {
		f.add(v.Status, 1)
	}
	return f.done(len(verdicts)).Message("")
}
