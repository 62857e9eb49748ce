package core_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// running is a pod that is ready, on a node.
func running(change func(*corev1.Pod)) *corev1.Pod {
	return pod(func(p *corev1.Pod) {
		p.UID, p.ResourceVersion, p.Labels, p.Spec.NodeName = "u", "5", map[string]string{"app": "web"}, "n"
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		if change != nil {
			change(p)
		}
	})
}

func budget(name string, change func(*policyv1.PodDisruptionBudget)) *policyv1.PodDisruptionBudget {
	b := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Generation: 2},
		Spec:       policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
		Status:     policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 2, DisruptionsAllowed: 1, CurrentHealthy: 3, DesiredHealthy: 2},
	}
	change(b)
	return b
}

func evict(p *corev1.Pod, opts *metav1.DeleteOptions, dryRun []string, list ...*policyv1.PodDisruptionBudget) (kinds.Effect, error) {
	res := policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets")
	there := kindtest.Objects{res: {}}
	for _, b := range list {
		there[res][b.Namespace+"/"+b.Name] = b
	}
	body := &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: p.Name}, DeleteOptions: opts}
	return sub("eviction").Create(env(), p, body, kinds.Call{DryRun: dryRun, See: there})
}

func TestEvictionsAreCounted(t *testing.T) {
	p, b := running(nil), budget("b", func(*policyv1.PodDisruptionBudget) {})
	effect, err := evict(p, nil, nil, b)
	if err != nil || effect.Remove == nil || effect.DryRun || len(effect.Writes) != 1 {
		t.Fatalf("got %+v, %v", effect, err)
	}
	next := effect.Writes[0].Object.(*policyv1.PodDisruptionBudget).Status
	if at := next.DisruptedPods["web"]; !at.Time.Equal(env().Now) || next.DisruptionsAllowed != 0 || next.Conditions[0].Reason != policyv1.InsufficientPodsReason {
		t.Errorf("the budget's status is %+v", next)
	}
	if b.Status.DisruptionsAllowed != 1 || b.Status.DisruptedPods != nil {
		t.Error("the budget that was read is changed")
	}
	if c := p.Status.Conditions; len(c) != 2 || c[1].Type != corev1.DisruptionTarget || c[1].Reason != "EvictionByEvictionAPI" || c[1].Message != "Eviction API: evicting" {
		t.Errorf("the pod's conditions are %+v", c)
	}
	if effect, err := evict(running(nil), nil, []string{"All"}, b); err != nil || !effect.DryRun {
		t.Errorf("a dry run: %+v, %v", effect, err)
	}
}

func TestRefusedEvictions(t *testing.T) {
	none := func(b *policyv1.PodDisruptionBudget) { b.Status.DisruptionsAllowed = 0 }
	const full = "Cannot evict pod as it would violate the pod's disruption budget."
	for name, c := range map[string]struct {
		change      func(*policyv1.PodDisruptionBudget)
		code        int32
		text, cause string
		retry       int32
	}{
		"too few":    {func(b *policyv1.PodDisruptionBudget) { none(b); b.Status.CurrentHealthy = 2 }, 429, full, "The disruption budget b needs 2 healthy pods and has 2 currently", 0},
		"not synced": {func(b *policyv1.PodDisruptionBudget) { b.Generation = 3 }, 429, full, "The disruption budget b is still being processed by the server.", 10},
		"no reason":  {none, 429, full, "The disruption budget b does not allow evicting pods currently", 0},
		"failed": {func(b *policyv1.PodDisruptionBudget) {
			none(b)
			b.Status.Conditions = []metav1.Condition{{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason, Message: "oh"}}
		}, 429, full, "The disruption budget b does not allow evicting pods currently because it failed sync: oh", 0},
		"negative": {func(b *policyv1.PodDisruptionBudget) { b.Status.DisruptionsAllowed = -1 }, 403, `poddisruptionbudget.policy "b" is forbidden: pdb disruptions allowed is negative`, "", 0},
	} {
		_, err := evict(running(nil), nil, nil, budget("b", c.change))
		status, ok := err.(apierrors.APIStatus)
		if !ok {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		s, cause := status.Status(), ""
		if len(s.Details.Causes) > 0 {
			cause = s.Details.Causes[0].Message
		}
		if s.Code != c.code || s.Message != c.text || cause != c.cause || s.Details.RetryAfterSeconds != c.retry {
			t.Errorf("%s: got %d %q, %q, %d", name, s.Code, s.Message, cause, s.Details.RetryAfterSeconds)
		}
	}
	keep := func(*policyv1.PodDisruptionBudget) {}
	if _, err := evict(running(nil), nil, nil, budget("a", keep), budget("b", keep)); err == nil || err.(apierrors.APIStatus).Status().Code != 500 {
		t.Errorf("two budgets: %v", err)
	}
	other := types.UID("v")
	want := "Operation cannot be fulfilled on Pod \"web\": the UID in the precondition (v) does not match the UID in record (u). The object might have been deleted and then recreated"
	if _, err := evict(running(nil), &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}}, nil); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestBudgetsThatDoNotCount: pods that do no work go whatever their budget says; of those that are not ready it says itself.
func TestBudgetsThatDoNotCount(t *testing.T) {
	always := policyv1.AlwaysAllow
	unready := func(p *corev1.Pod) { p.Status.Conditions = nil }
	for name, c := range map[string]struct {
		pod    func(*corev1.Pod)
		budget func(*policyv1.PodDisruptionBudget)
		ok     bool
	}{
		"pending":      {func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, func(*policyv1.PodDisruptionBudget) {}, true},
		"always":       {unready, func(b *policyv1.PodDisruptionBudget) { b.Spec.UnhealthyPodEvictionPolicy = &always }, true},
		"enough":       {unready, func(*policyv1.PodDisruptionBudget) {}, true},
		"too few":      {unready, func(b *policyv1.PodDisruptionBudget) { b.Status.CurrentHealthy = 1 }, false},
		"not of these": {func(p *corev1.Pod) { p.Labels = nil }, func(*policyv1.PodDisruptionBudget) {}, true},
	} {
		effect, err := evict(running(c.pod), nil, nil, budget("b", func(b *policyv1.PodDisruptionBudget) {
			b.Status.DisruptionsAllowed = 0
			c.budget(b)
		}))
		if (err == nil) != c.ok || len(effect.Writes) > 0 {
			t.Errorf("%s: %+v, %v", name, effect, err)
		}
	}
}

func TestEphemeralContainers(t *testing.T) {
	look := corev1.EphemeralContainer{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "look", Image: "i"}}
	old := running(nil)
	next := old.DeepCopy()
	next.Spec.EphemeralContainers, next.Spec.Containers[0].Image = []corev1.EphemeralContainer{look}, "other"
	next.Labels = nil
	if errs := part(t, "ephemeralcontainers", next, old); len(errs) > 0 {
		t.Fatal(errs)
	}
	if next.Generation != old.Generation+1 || next.Spec.Containers[0].Image != "i:1" || next.Labels["app"] != "web" {
		t.Errorf("generation %d, image %s, labels %v", next.Generation, next.Spec.Containers[0].Image, next.Labels)
	}
	gone := next.DeepCopy()
	gone.Spec.EphemeralContainers = nil
	kindtest.Same(t, "removed", part(t, "ephemeralcontainers", gone, next), []string{"spec.ephemeralContainers: Forbidden: existing ephemeral containers \"look\" may not be removed\n"})
	static := running(func(p *corev1.Pod) { p.Annotations = map[string]string{podspec.Mirror: "x"} })
	kindtest.Same(t, "static", part(t, "ephemeralcontainers", static.DeepCopy(), static), []string{"[]: Forbidden: static pods do not support ephemeral containers"})
}

func part(t *testing.T, name string, next, old *corev1.Pod) (list []string) {
	t.Helper()
	core.Pod().Default(next)
	for _, e := range sub(name).Update(env(), next, old) {
		list = append(list, e.Error())
	}
	return list
}

func TestResize(t *testing.T) {
	with := func(cpu, limit string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.QOSClass = corev1.PodQOSBurstable
			p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(cpu)}}
			if limit != "" {
				p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse(limit)}
			}
		}
	}
	const spec = "spec: Forbidden: only cpu and memory resources are mutable"
	for name, c := range map[string]struct {
		old, next func(*corev1.Pod)
		want      []string
	}{
		"more":        {with("1", "2"), with("2", "3"), nil},
		"other parts": {with("1", "2"), func(p *corev1.Pod) { with("1", "2")(p); p.Spec.NodeName, p.Spec.Containers[0].Image = "x", "y" }, nil},
		"no limit":    {with("1", "2"), with("1", ""), []string{"spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed"}},
		"other class": {with("1", "2"), func(p *corev1.Pod) { with("1", "2")(p); p.Spec.Containers[0].Resources = corev1.ResourceRequirements{} }, []string{
			`spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing`,
			"spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
			"spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
		}},
		"disk": {with("1", "2"), func(p *corev1.Pod) {
			with("1", "2")(p)
			p.Spec.Containers[0].Resources.Requests["ephemeral-storage"] = resource.MustParse("1Gi")
		}, []string{spec}},
		"renamed": {with("1", "2"), func(p *corev1.Pod) { with("1", "2")(p); p.Spec.Containers[0].Name = "d" }, []string{
			"spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize",
		}},
		"old node": {func(p *corev1.Pod) {
			with("1", "2")(p)
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
		}, with("1", "3"), []string{"spec: Forbidden: Pod running on node without support for resize"}},
		"windows": {func(p *corev1.Pod) { with("1", "2")(p); p.Spec.OS = &corev1.PodOS{Name: corev1.Windows} }, with("1", "3"), []string{
			"[]: Forbidden: windows pods cannot be resized",
		}},
	} {
		old := running(c.old)
		next := running(c.next)
		kindtest.Same(t, name, part(t, "resize", next, old), c.want)
		if name == "other parts" && (next.Spec.NodeName != "n" || next.Generation != old.Generation) {
			t.Errorf("%s: node %s, generation %d", name, next.Spec.NodeName, next.Generation)
		}
	}
}
