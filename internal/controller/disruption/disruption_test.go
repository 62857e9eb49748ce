package disruption_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/disruption"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

var (
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
	budgets     = policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets")
	sets        = appsv1.SchemeGroupVersion.WithResource("replicasets")
	deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
	jobs        = batchv1.SchemeGroupVersion.WithResource("jobs")
	web         = map[string]string{"app": "web"}
	template    = corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: web}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
)

func catalog() ([]*kinds.Kind, <-chan struct{}) { return all.Kinds(), nil }

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "default", Name: name, Labels: web}
}

// putPod makes a pod that runs, ready or not, of an owner (nil: of nobody).
func putPod(b *bed.Bed, name string, ready bool, owner *metav1.OwnerReference) {
	b.Helper()
	p := &corev1.Pod{ObjectMeta: meta(name), Spec: *template.Spec.DeepCopy()}
	p.Spec.NodeName = "n"
	if owner != nil {
		p.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	b.Put(pods, p)
	bed.Change(b, pods, "default", name, "status", func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}
		if ready {
			p.Status.Conditions[0].Status = corev1.ConditionTrue
		}
	})
}

func budget(least, most *intstr.IntOrString) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{ObjectMeta: meta("b"), Spec: policyv1.PodDisruptionBudgetSpec{
		MinAvailable: least, MaxUnavailable: most, Selector: &metav1.LabelSelector{MatchLabels: web},
	}}
}

// deployed makes a Deployment and its ReplicaSet, and returns the set's reference.
func deployed(b *bed.Bed, name string, replicas int32) *metav1.OwnerReference {
	b.Helper()
	selector := &metav1.LabelSelector{MatchLabels: web}
	d := b.Put(deployments, &appsv1.Deployment{ObjectMeta: meta(name), Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: template}})
	s := &appsv1.ReplicaSet{ObjectMeta: meta(name), Spec: appsv1.ReplicaSetSpec{Replicas: ptr.To(replicas - 1), Selector: selector, Template: template}}
	s.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	return metav1.NewControllerRef(b.Put(sets, s), appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))
}

// TestBudgets: what a budget says of three pods, two of them ready, of which a Deployment wants five.
func TestBudgets(t *testing.T) {
	number, share := func(n int) *intstr.IntOrString { return ptr.To(intstr.FromInt(n)) }, func(s string) *intstr.IntOrString { return ptr.To(intstr.FromString(s)) }
	for name, c := range map[string]struct {
		budget *policyv1.PodDisruptionBudget
		want   string // expected, desired, healthy, allowed, reason
	}{
		"at least one":       {budget(number(1), nil), "3 1 2 1 SufficientPods"},
		"at least two":       {budget(number(2), nil), "3 2 2 0 InsufficientPods"},
		"at least 20 %":      {budget(share("20%"), nil), "5 1 2 1 SufficientPods"},
		"at least 21 %":      {budget(share("21%"), nil), "5 2 2 0 InsufficientPods"},
		"at most four away":  {budget(nil, number(4)), "5 1 2 1 SufficientPods"},
		"at most nine away":  {budget(nil, number(9)), "5 0 2 2 SufficientPods"},
		"at most 61 % away":  {budget(nil, share("61%")), "5 1 2 1 SufficientPods"},
		"at most 60 % away":  {budget(nil, share("60%")), "5 2 2 0 InsufficientPods"},
		"neither is allowed": {budget(nil, nil), "0 0 2 0 InsufficientPods"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bed.New(t, 1)
			b.Sim.Catalog = catalog
			b.Sim.Add(disruption.New(catalog))
			ref := deployed(b, "d", 5)
			for i := range 3 {
				putPod(b, fmt.Sprint("p", i), i > 0, ref)
			}
			b.Put(budgets, c.budget)
			b.Settle()
			got := bed.Get[*policyv1.PodDisruptionBudget](b, budgets, "default", "b")
			st := got.Status
			if text := fmt.Sprint(st.ExpectedPods, st.DesiredHealthy, st.CurrentHealthy, st.DisruptionsAllowed, " ", st.Conditions[0].Reason); text != c.want {
				t.Errorf("got %s, want %s", text, c.want)
			}
			if st.ObservedGeneration != got.Generation || st.Conditions[0].ObservedGeneration != got.Generation {
				t.Errorf("status %+v of generation %d", st, got.Generation)
			}
		})
	}
}

// TestTold: what cannot be counted allows nothing, and says why; events tell of it.
func TestTold(t *testing.T) {
	half := ptr.To(intstr.FromString("50%"))
	job := func(b *bed.Bed) *metav1.OwnerReference {
		j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "j"}, Spec: batchv1.JobSpec{Template: template}}
		j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
		return metav1.NewControllerRef(b.Put(jobs, j), batchv1.SchemeGroupVersion.WithKind("Job"))
	}
	ref := func(version, kind string) func(*bed.Bed) *metav1.OwnerReference {
		return func(*bed.Bed) *metav1.OwnerReference {
			return &metav1.OwnerReference{APIVersion: version, Kind: kind, Name: "x", UID: "u", Controller: ptr.To(true)}
		}
	}
	for name, c := range map[string]struct {
		owner          func(*bed.Bed) *metav1.OwnerReference
		message, event string
	}{
		"no owner": {func(*bed.Bed) *metav1.OwnerReference { return nil }, "", "UnmanagedPods: Pods selected by this PodDisruptionBudget (selector: &LabelSelector{MatchLabels:map[string]string{app: web,}," +
			"MatchExpressions:[]LabelSelectorRequirement{},}) were found to be unmanaged. As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. " +
			`To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.`},
		"no scale": {job, "jobs.batch does not implement the scale subresource",
			"CalculateExpectedPodCountFailed: Failed to calculate the number of expected pods: jobs.batch does not implement the scale subresource"},
		"owner gone": {ref("apps/v1", "StatefulSet"), `found no controllers for pod "p"`, `CalculateExpectedPodCountFailed: Failed to calculate the number of expected pods: found no controllers for pod "p"`},
		"kind gone": {ref("a.b/v1", "C"), `no matches for kind "C" in version "a.b/v1"`,
			`CalculateExpectedPodCountFailed: Failed to calculate the number of expected pods: no matches for kind "C" in version "a.b/v1"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := bed.New(t, 1)
			ctl := disruption.New(catalog)
			b.Sim.Catalog = catalog
			b.Sim.Add(ctl)
			b.Put(budgets, budget(half, nil))
			plan := b.Reconcile(ctl, engine.Key{Resource: budgets, Namespace: "default", Name: "b"}, b.Clock.Now())
			if len(plan.Events) != 1 || plan.Events[0].Message != "No matching pods found" || plan.Events[0].Reason != "NoPods" {
				t.Errorf("without pods it tells %+v", plan.Events)
			}
			putPod(b, "p", true, c.owner(b))
			b.Settle()
			st := bed.Get[*policyv1.PodDisruptionBudget](b, budgets, "default", "b").Status
			if st.DisruptionsAllowed != 0 || st.Conditions[0].Message != c.message || (c.message != "") != (st.Conditions[0].Reason == policyv1.SyncFailedReason) {
				t.Errorf("status %+v, want %q", st, c.message)
			}
			plan = b.Reconcile(ctl, engine.Key{Resource: budgets, Namespace: "default", Name: "b"}, b.Clock.Now())
			if len(plan.Events) != 1 || plan.Events[0].Reason+": "+plan.Events[0].Message != c.event || plan.Events[0].Type != corev1.EventTypeWarning || len(plan.Writes) != 0 {
				t.Errorf("it tells %+v\nwant %s", plan.Events, c.event)
			}
		})
	}
}

// TestPodsThatStay: a pod that was let go and stays counts again after two minutes, and is no longer said to go.
func TestPodsThatStay(t *testing.T) {
	b := bed.New(t, 1)
	ctl := disruption.New(catalog)
	b.Sim.Catalog = catalog
	b.Sim.Add(ctl)
	putPod(b, "p", true, nil)
	putPod(b, "q", true, nil)
	b.Put(budgets, budget(ptr.To(intstr.FromInt32(1)), nil))
	b.Settle()
	b.Clock.SetTime(b.Clock.Now().Truncate(time.Second))
	now := metav1.NewTime(b.Clock.Now())
	bed.Change(b, budgets, "default", "b", "status", func(b *policyv1.PodDisruptionBudget) {
		b.Status.DisruptedPods, b.Status.DisruptionsAllowed = map[string]metav1.Time{"p": now, "gone": now}, 0
	})
	for _, c := range []corev1.PodCondition{{Reason: "EvictionByEvictionAPI"}, {Reason: corev1.PodReasonTerminationByKubelet}} {
		name := map[bool]string{true: "p", false: "q"}[c.Reason == "EvictionByEvictionAPI"]
		bed.Change(b, pods, "default", name, "status", func(p *corev1.Pod) {
			c.Type, c.Status, c.LastTransitionTime = corev1.DisruptionTarget, corev1.ConditionTrue, now
			p.Status.Conditions = append(p.Status.Conditions, c)
		})
	}
	key := engine.Key{Resource: budgets, Namespace: "default", Name: "b"}
	plan := b.Reconcile(ctl, key, now.Time)
	if plan.After <= 2*time.Minute || plan.After > 2*time.Minute+time.Second {
		t.Errorf("it looks again after %v", plan.After)
	}
	said := plan.Writes[0].Object.(*policyv1.PodDisruptionBudget).Status
	if len(said.DisruptedPods) != 1 || said.CurrentHealthy != 1 || said.DisruptionsAllowed != 0 {
		t.Errorf("status %+v", said)
	}
	if plan := b.Reconcile(ctl, engine.Key{Resource: pods, Namespace: "default", Name: "p"}, now.Add(time.Minute)); plan.After != time.Minute || len(plan.Writes) > 0 {
		t.Errorf("of the pod %+v", plan)
	}
	b.Clock.Step(2*time.Minute + time.Second)
	plan = b.Reconcile(ctl, key, b.Clock.Now())
	if i := slices.IndexFunc(plan.Events, func(e engine.Event) bool { return e.Reason == "NotDeleted" }); i < 0 ||
		plan.Events[i].Message != "Pod was expected by PDB default/default to be deleted but it wasn't" || plan.Events[i].About.Name != "p" {
		t.Errorf("it tells %+v", plan.Events)
	}
	b.Settle()
	if st := bed.Get[*policyv1.PodDisruptionBudget](b, budgets, "default", "b").Status; len(st.DisruptedPods) != 0 || st.DisruptionsAllowed != 1 {
		t.Errorf("status %+v", st)
	}
	for name, want := range map[string]corev1.ConditionStatus{"p": corev1.ConditionFalse, "q": corev1.ConditionTrue} {
		if c := bed.Get[*corev1.Pod](b, pods, "default", name).Status.Conditions[1]; c.Status != want || want == corev1.ConditionFalse && c.Reason+c.Message != "" {
			t.Errorf("pod %s: %+v", name, c)
		}
	}
}

// TestManyBudgets: a pod of two budgets is told of once for each change.
func TestManyBudgets(t *testing.T) {
	b := bed.New(t, 1)
	putPod(b, "p", true, nil)
	for _, name := range []string{"z", "y"} {
		one := budget(ptr.To(intstr.FromInt32(1)), nil)
		one.Name = name
		b.Put(budgets, one)
	}
	plan := b.Reconcile(disruption.New(catalog), engine.Key{Resource: pods, Namespace: "default", Name: "p"}, b.Clock.Now())
	if len(plan.Events) != 1 || plan.Events[0].Reason != "MultiplePodDisruptionBudgets" ||
		!strings.HasPrefix(plan.Events[0].Message, `Pod "default"/"p" matches multiple PodDisruptionBudgets.  Chose "y" arbitrarily.`) {
		t.Errorf("it tells %+v", plan.Events)
	}
}
