package preempt

import (
	"errors"
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

// bed is two nodes of 2 cpus, each with two pods of one; those on b started later.
type bed struct {
	*testing.T
	table   *place.Table
	budgets Budgets
	policy  *place.Policy
	*Preemptor
}

func newBed(t *testing.T) *bed {
	b := &bed{T: t, table: place.NewTable()}
	var err error
	if b.policy, err = place.DefaultProfile().Compile(); err != nil {
		t.Fatal(err)
	}
	b.Preemptor = New(b.table, &b.budgets)
	for i, name := range []string{"a", "b"} {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourcePods: resource.MustParse("9")}
		b.table.SetNode(n)
		for _, p := range []string{"1", "2"} {
			pod := sized(name+p, 0)
			pod.Status.StartTime = &metav1.Time{Time: metav1.Unix(int64(100+i), 0).Time}
			b.table.SetPod(pod, name)
		}
	}
	return b
}

// sized is a pod of one cpu.
func sized(name string, priority int32) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name, UID: types.UID(name), Labels: map[string]string{"on": name[:1]}}}
	p.Spec.Priority, p.Spec.SchedulerName = &priority, corev1.DefaultSchedulerName
	p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1")}}}}
	return p
}

func (b *bed) preempt(pod *corev1.Pod, extend Extend) Plan {
	b.Helper()
	plan, err := b.Preempt(pod, b.policy, nil, extend)
	if err != nil {
		b.Fatal(err)
	}
	return plan
}

func (b *bed) want(what string, got, want any) {
	b.Helper()
	if d := cmp.Diff(want, got); d != "" {
		b.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestEligible(t *testing.T) {
	b := newBed(t)
	never := sized("p", 1)
	never.Spec.PreemptionPolicy = new(corev1.PreemptNever)
	b.want("a pod that preempts nobody", b.preempt(never, nil), Plan{Message: "preemption: not eligible due to preemptionPolicy=Never."})

	victim := sized("b1", 0)
	victim.DeletionTimestamp = &metav1.Time{}
	b.table.SetPod(victim, "b")
	pod := sized("p", 1)
	pod.Status.NominatedNodeName = "b"
	b.want("a victim that terminates for other reasons", b.preempt(pod, nil).Node, "b")
	victim.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue,
		Reason: corev1.PodReasonPreemptionByScheduler}}
	b.table.SetPod(victim, "b")
	b.want("a victim that terminates", b.preempt(pod, nil), Plan{Message: "preemption: not eligible due to a terminating pod on the nominated node."})
	b.want("another's victim that terminates", b.preempt(sized("q", 1), nil).Node, "b")
	cordoned := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: corev1.NodeSpec{Unschedulable: true}}
	b.table.SetNode(cordoned)
	b.want("a nominated node that has become hopeless", b.preempt(pod, nil).Node, "a")
}

func TestMessages(t *testing.T) {
	b := newBed(t)
	b.want("no victims", b.preempt(sized("p", 0), nil), Plan{Clear: true,
		Message: "preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."})
	big := sized("p", 1)
	big.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("3")
	b.want("too large", b.preempt(big, nil), Plan{Clear: true,
		Message: "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."})
	b.table.SetPod(sized("a1", 5), "a")
	big.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("2")
	b.table.RemoveNode("b")
	b.want("not enough", b.preempt(big, nil), Plan{Clear: true, Message: "preemption: 0/1 nodes are available: 1 Insufficient cpu."})
	b.want("a tail", Tail("no new claims to deallocate", "", "preemption: x"), "no new claims to deallocate, preemption: x")
}

// TestBudgets changes budgets between plans that are remembered.
func TestBudgets(t *testing.T) {
	b := newBed(t)
	b.want("the later start", b.preempt(sized("p", 1), nil).Node, "b")
	pdb := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "b"},
		Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"on": "b"}}}}
	b.budgets.Set(pdb)
	b.want("a budget", b.preempt(sized("p", 1), nil).Node, "a")
	pdb = pdb.DeepCopy()
	pdb.Status.DisruptionsAllowed = 1
	b.budgets.Set(pdb)
	b.want("a budget that allows one", b.preempt(sized("p", 1), nil).Node, "b")
	pdb = pdb.DeepCopy()
	pdb.Status.DisruptionsAllowed, pdb.Spec.Selector = 0, &metav1.LabelSelector{}
	b.budgets.Set(pdb)
	b.want("an empty selector", b.preempt(sized("p", 1), nil).Node, "b")
	pdb = pdb.DeepCopy()
	pdb.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "on", Operator: metav1.LabelSelectorOpExists}}}
	b.budgets.Set(pdb)
	plan := b.preempt(sized("p", 1), nil)
	b.want("a budget of all", []any{plan.Node, plan.Violations, len(plan.Victims)}, []any{"b", 1, 1})
	b.budgets.Remove("x", "b")
	b.want("none", b.preempt(sized("p", 1), nil).Violations, 0)
}

func TestExtenders(t *testing.T) {
	b := newBed(t)
	var asked []string
	plan := b.preempt(sized("p", 1), func(list []Candidate) ([]Candidate, error) {
		for _, c := range list {
			asked = append(asked, c.Node)
		}
		return slices.DeleteFunc(list, func(c Candidate) bool { return c.Node == "b" }), nil
	})
	b.want("asked", asked, []string{"a", "b"})
	b.want("what is left", plan.Node, "a")
	b.want("nothing left", b.preempt(sized("p", 1), func([]Candidate) ([]Candidate, error) { return nil, nil }),
		Plan{Message: "preemption: no candidate node for preemption"})
	b.want("an extender that fails", b.preempt(sized("p", 1), func([]Candidate) ([]Candidate, error) { return nil, errors.New("no answer") }),
		Plan{Message: "preemption: no answer", Failed: true})
}

func TestWrites(t *testing.T) {
	b := newBed(t)
	pod := sized("p", 10)
	pod.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("2")
	gone := sized("b1", 0)
	gone.DeletionTimestamp, gone.Status.StartTime = &metav1.Time{}, &metav1.Time{Time: metav1.Unix(101, 0).Time}
	b.table.SetPod(gone, "b")
	b.table.Nominate(sized("low", 5), "b")
	b.table.Nominate(sized("same", 10), "a")
	b.table.Nominate(pod, "b")
	plan := b.preempt(pod, nil)
	w := b.Writes(pod, plan)
	if len(plan.Victims) != 2 || len(w.Evictions) != 1 || len(w.Renounce) != 1 || w.Renounce[0].Name != "low" {
		t.Fatalf("plan %+v: %+v", plan, w)
	}
	e := w.Evictions[0]
	b.want("victim", e.Victim.Name, "b2")
	b.want("condition", e.Condition, corev1.PodCondition{Type: "DisruptionTarget", Status: "True", Reason: "PreemptionByScheduler",
		Message: "default-scheduler: preempting to accommodate a higher priority pod"})
	b.want("event", []string{e.EventType, e.Reason, e.Action, e.Note}, []string{"Normal", "Preempted", "Preempting", "Preempted by pod p on node b"})
	plan.Victims = slices.DeleteFunc(plan.Victims, func(p place.Placed) bool { return !p.Terminating })
	if w := b.Writes(pod, plan); len(w.Evictions)+len(w.Renounce) > 0 {
		t.Errorf("all victims terminate already, and it writes %+v", w)
	}
}
