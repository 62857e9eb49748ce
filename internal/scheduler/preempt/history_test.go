package preempt

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// history makes random clusters that are full. It draws from few names, so that things meet.
type history struct {
	*rand.Rand
	t       *testing.T
	table   *place.Table
	budgets *Budgets
	policy  *place.Policy
	pdbs    map[string]*policyv1.PodDisruptionBudget
	placed  map[types.UID]*corev1.Pod
	next    int
}

func (h *history) one(of ...string) string { return of[h.Intn(len(of))] }
func (h *history) chance(percent int) bool { return h.Intn(100) < percent }

func newHistory(t *testing.T, seed int64) *history {
	policy, err := place.DefaultProfile().Compile()
	if err != nil {
		t.Fatal(err)
	}
	return &history{Rand: rand.New(rand.NewSource(seed)), t: t, table: place.NewTable(), budgets: &Budgets{}, policy: policy,
		pdbs: map[string]*policyv1.PodDisruptionBudget{}, placed: map[types.UID]*corev1.Pod{}}
}

func (h *history) node(name string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{
		corev1.LabelHostname: name, corev1.LabelTopologyZone: h.one("a", "b", "c")}}}
	n.Spec.Unschedulable = h.chance(5)
	n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: *resource.NewMilliQuantity(int64(1000*(1+h.Intn(4))), resource.DecimalSI),
		corev1.ResourceMemory: resource.MustParse("8Gi"), corev1.ResourcePods: *resource.NewQuantity(int64(3+h.Intn(8)), resource.DecimalSI)}
	return n
}

func (h *history) pod(milli ...int64) *corev1.Pod {
	h.next++
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: h.one("x", "y"), Name: fmt.Sprint("p", h.next), UID: types.UID(fmt.Sprint("p", h.next)),
		Labels: map[string]string{"app": h.one("web", "db", "batch")}}}
	p.Spec.Priority = new(int32(h.Intn(5) * 10))
	c := corev1.Container{Name: "c"}
	c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: *resource.NewMilliQuantity(milli[h.Intn(len(milli))], resource.DecimalSI)}
	if h.chance(10) {
		c.Ports = []corev1.ContainerPort{{HostPort: int32(80 + h.Intn(2))}}
	}
	p.Spec.Containers = []corev1.Container{c}
	match := &metav1.LabelSelector{MatchLabels: map[string]string{"app": h.one("web", "db", "batch")}}
	if key := h.one(corev1.LabelHostname, corev1.LabelTopologyZone); h.chance(8) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{
			{LabelSelector: match, TopologyKey: key}}}}
	} else if h.chance(8) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{MaxSkew: int32(1 + h.Intn(2)), TopologyKey: key,
			WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: match}}
	}
	if h.chance(80) {
		p.Status.StartTime = &metav1.Time{Time: metav1.Unix(int64(1000+h.Intn(50)), 0).Time}
	}
	return p
}

// put tells the table that a pod is on a node.
func (h *history) put(p *corev1.Pod, node string) {
	h.placed[p.UID] = p
	p.Spec.NodeName = node
	h.table.SetPod(p, node)
}

func (h *history) budget() {
	name := h.one("b1", "b2", "b3")
	if h.chance(20) {
		delete(h.pdbs, name)
		h.budgets.Remove("x", name)
		return
	}
	b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name}}
	b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": h.one("web", "db", "batch")}}
	b.Status.DisruptionsAllowed = int32(h.Intn(3))
	if h.chance(20) {
		b.Status.DisruptedPods = map[string]metav1.Time{fmt.Sprint("p", 1+h.Intn(h.next+1)): {}}
	}
	h.pdbs[name] = b
	h.budgets.Set(b)
}

// step changes something.
func (h *history) step() {
	node := fmt.Sprint("n", h.Intn(9))
	uids := make([]types.UID, 0, len(h.placed))
	for uid := range h.placed {
		uids = append(uids, uid)
	}
	slices.Sort(uids)
	switch k := h.Intn(20); {
	case k < 4:
		h.table.SetNode(h.node(node))
	case k < 5:
		h.table.RemoveNode(node)
	case k < 8:
		h.budget()
	case k < 9:
		h.table.Nominate(h.pod(500, 1000), node)
	case k < 11 && len(uids) > 0:
		uid := uids[h.Intn(len(uids))]
		delete(h.placed, uid)
		h.table.RemovePod(uid)
	case k < 13 && len(uids) > 0:
		p := h.placed[uids[h.Intn(len(uids))]].DeepCopy()
		p.Status.StartTime = &metav1.Time{Time: metav1.Unix(int64(1000+h.Intn(50)), 0).Time}
		h.put(p, p.Spec.NodeName)
	default:
		h.put(h.pod(100, 300, 500, 900), node)
	}
}

// TestHistories changes random clusters, and holds each plan against what trying every node anew comes to, and against the laws.
func TestHistories(t *testing.T) {
	found, futile, violated := 0, 0, 0
	for seed := range int64(60) {
		h := newHistory(t, seed)
		p := New(h.table, h.budgets)
		var waiting []*corev1.Pod
		for i := range 150 {
			h.step()
			pod := h.pod(700, 1100, 1900, 2900)
			if len(waiting) > 0 && h.chance(60) {
				pod = waiting[h.Intn(len(waiting))].DeepCopy()
			}
			waiting = append(waiting, pod)
			plan, err := h.table.Decide(pod, h.policy, h.Rand, nil)
			if err != nil {
				t.Fatal(err)
			}
			if plan.Node != "" || h.table.Nodes() == 0 {
				continue
			}
			what := fmt.Sprintf("seed %d step %d: pod %s", seed, i, pod.Spec.String())
			got, err := p.Preempt(pod, h.policy, plan.Failure, nil)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			h.hold(what, pod, got)
			if got.Node == "" {
				futile++
				continue
			}
			found++
			if got.Violations > 0 {
				violated++
			}
			if h.chance(40) { // they go, and it comes
				for _, v := range got.Victims {
					delete(h.placed, v.UID)
					h.table.RemovePod(v.UID)
				}
				next := pod.DeepCopy()
				h.next++
				next.Name, next.UID = fmt.Sprint("p", h.next), types.UID(fmt.Sprint("p", h.next))
				h.put(next, got.Node)
			}
		}
	}
	t.Logf("%d plans, %d of them against budgets; %d pods helped by nothing", found, violated, futile)
	if found < 500 || futile < 100 || violated < 10 {
		t.Error("the histories test too little")
	}
}

// hold holds a plan against a model.
func (h *history) hold(what string, pod *corev1.Pod, got Plan) {
	h.t.Helper()
	want := h.model(pod)
	if d := cmp.Diff(want, got, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Message" || p.String() == "Clear" }, cmp.Ignore())); d != "" {
		h.t.Fatalf("%s:\n(-model +plan)\n%s", what, d)
	}
	again, err := New(h.table, h.budgets).Preempt(pod, h.policy, nil, nil)
	if err != nil {
		h.t.Fatalf("%s: %v", what, err)
	}
	if d := cmp.Diff(again, got); d != "" {
		h.t.Fatalf("%s: what is remembered shows (-fresh +remembered):\n%s", what, d)
	}
	if got.Node == "" {
		if !got.Clear || got.Message == "" {
			h.t.Fatalf("%s: a plan without a node: %+v", what, got)
		}
		return
	}
	h.minimal(what, pod, got)
}

// minimal checks the laws of a plan with victims.
func (h *history) minimal(what string, pod *corev1.Pod, plan Plan) {
	trial, _, err := h.table.Try(pod, h.policy)
	if err != nil {
		h.t.Fatal(err)
	}
	trial.On(plan.Node)
	for _, v := range plan.Victims {
		if v.Priority >= *pod.Spec.Priority {
			h.t.Fatalf("%s: victim %s has priority %d", what, v.Name, v.Priority)
		}
		trial.Without(v.UID)
	}
	if s := trial.Status(); s != nil {
		h.t.Fatalf("%s: does not fit without the victims: %v", what, s)
	}
	for _, v := range plan.Victims {
		if trial.With(v.UID); trial.Status() == nil {
			h.t.Fatalf("%s: victim %s need not go", what, v.Name)
		}
		trial.Without(v.UID)
	}
}

// model tries every node anew, by the slow road.
func (h *history) model(pod *corev1.Pod) Plan {
	var best Plan
	var top rank
	trial, _, err := h.table.Try(pod, h.policy)
	if err != nil {
		h.t.Fatal(err)
	}
	for node := range trial.Candidates {
		var below []place.Placed
		trial.On(node)
		row, _ := h.table.RowOf(node)
		for _, r := range h.table.Below(row, *pod.Spec.Priority, nil) {
			below = append(below, h.table.Resident(r.Number))
			trial.Without(below[len(below)-1].UID)
		}
		if len(below) == 0 || trial.Status() != nil {
			continue
		}
		slices.SortStableFunc(below, func(a, b place.Placed) int { return important(weigh(a), weigh(b)) })
		c := Plan{Node: node}
		violating, free := h.split(below)
		for i, v := range append(violating, free...) {
			if trial.With(v.UID); trial.Status() != nil {
				trial.Without(v.UID)
				c.Victims = append(c.Victims, v)
				if i < len(violating) {
					c.Violations++
				}
			}
		}
		slices.SortStableFunc(c.Victims, func(a, b place.Placed) int { return important(weigh(a), weigh(b)) })
		if r := rankOf(Candidate{c.Node, c.Victims, c.Violations}); best.Node == "" || r.compare(&top) < 0 {
			best, top = c, r
		}
	}
	return best
}

func weigh(p place.Placed) place.Resident {
	return place.Resident{Priority: p.Priority, Start: p.Start}
}

// split divides pods by budgets.
func (h *history) split(pods []place.Placed) (violating, free []place.Placed) {
	left := map[string]int32{}
	for name, b := range h.pdbs {
		left[name] = b.Status.DisruptionsAllowed
	}
	for _, p := range pods {
		violates := false
		for name, b := range h.pdbs {
			_, counted := b.Status.DisruptedPods[p.Name]
			if p.Namespace == "x" && b.Spec.Selector.MatchLabels["app"] == p.Labels["app"] && !counted {
				left[name]--
				violates = violates || left[name] < 0
			}
		}
		if violates {
			violating = append(violating, p)
		} else {
			free = append(free, p)
		}
	}
	return violating, free
}
