package queue

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// named uses a claim.
func named(claim string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "r", ResourceClaimName: &claim}}
	}
}

func deviceClaim(namespace, name string, allocated bool) *resourcev1.ResourceClaim {
	c := &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if allocated {
		c.Status.Allocation = &resourcev1.AllocationResult{}
	}
	return c
}

func TestClaimHints(t *testing.T) {
	mine, given, other := deviceClaim("default", "mine", false), deviceClaim("default", "mine", true), deviceClaim("elsewhere", "other", false)
	labelledOnly := mine.DeepCopy()
	labelledOnly.Labels = map[string]string{"a": "b"}
	special := deviceClaim("default", "x", false)
	special.Annotations = map[string]string{resourcev1.ExtendedResourceClaimAnnotation: "true"}
	for name, c := range map[string]struct {
		ev   Event
		want bool
	}{
		"mine comes":               {Event{Did: Added, New: mine}, true},
		"another comes":            {Event{Did: Added, New: other}, false},
		"of my name elsewhere":     {Event{Did: Added, New: deviceClaim("elsewhere", "mine", false)}, false},
		"mine is allocated":        {Event{Did: Updated, Old: mine, New: given}, true},
		"mine is labelled":         {Event{Did: Updated, Old: mine, New: labelledOnly}, false},
		"another gives devices":    {Event{Did: Updated, Old: deviceClaim("elsewhere", "other", true), New: other}, true},
		"another takes devices":    {Event{Did: Updated, Old: other, New: deviceClaim("elsewhere", "other", true)}, false},
		"another goes with them":   {Event{Did: Deleted, Old: deviceClaim("elsewhere", "other", true)}, true},
		"another goes without any": {Event{Did: Deleted, Old: other}, false},
		"a special one goes":       {Event{Did: Deleted, Old: special}, true},
	} {
		q := New(Config{})
		q.Set(pod("p", "1", named("mine")), start)
		q.Park(q.Pop(start), []string{"DynamicResources"}, start)
		c.ev.What = ResourceClaim
		q.Happened(c.ev, start)
		if got := q.Where("p") == Backoff; got != c.want {
			t.Errorf("%s: woken %v, want %v", name, got, c.want)
		}
	}
}

// A pod whose claims are not there is given out by no way that leads to Pop, until they are.
func TestBarred(t *testing.T) {
	bar := true
	q := New(Config{Barred: func(*corev1.Pod) bool { return bar }})
	claims := func() {
		q.Happened(Event{What: ResourceClaim, Did: Added, New: deviceClaim("default", "mine", false)}, start)
	}
	q.Set(pod("free", "1"), start)
	q.Set(pod("p", "1", named("mine")), start)
	if it := q.Pop(start); it.Pod.Name != "free" || q.Pop(start) != nil || !q.Get("p").Barred() || q.Counts(Gated) != 1 {
		t.Fatalf("given out: %s", it.Pod.Name)
	}
	claims()
	if it := q.Pop(start); it != nil {
		t.Fatal("given out though its claims are not there")
	}
	bar = false
	claims()
	it := q.Pop(start)
	if it == nil || it.Barred() {
		t.Fatal("not given out though its claims are there")
	}
	q.Fail(it, start)
	bar = true // meanwhile they have gone again
	q.Set(pod("q", "1"), start)
	later := start.Add(q.cfg.Most)
	if it := q.Pop(later); it == nil || it.Pod.Name != "q" || !q.Get("p").Barred() {
		t.Errorf("given out: %+v", it)
	}
	if !q.Remove("p") || len(q.barred) != 0 {
		t.Error("a barred pod that has gone is remembered")
	}
}
