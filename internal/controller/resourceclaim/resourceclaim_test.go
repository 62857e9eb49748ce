package resourceclaim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/resourceclaim"
)

var (
	claims    = resourcev1.SchemeGroupVersion.WithResource("resourceclaims")
	templates = resourcev1.SchemeGroupVersion.WithResource("resourceclaimtemplates")
)

func spec() resourcev1.ResourceClaimSpec {
	return resourcev1.ResourceClaimSpec{Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{
		Name: "r", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu"}}}}}
}

func template(name string) *resourcev1.ResourceClaimTemplate {
	return &resourcev1.ResourceClaimTemplate{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: resourcev1.ResourceClaimTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"l": "1"}}, Spec: spec()}}
}

// pod asks for a claim of its own by the template t, and for the claim shared.
func pod(name, node string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{
		NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}},
		ResourceClaims: []corev1.PodResourceClaim{{Name: "own", ResourceClaimTemplateName: ptr.To("t")}, {Name: "all", ResourceClaimName: ptr.To("shared")}},
	}}
}

func shared() *resourcev1.ResourceClaim {
	return &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "shared"}, Spec: spec()}
}

// allocate does what the scheduler does for a pod.
func allocate(b *bed.Bed, claim string, p *corev1.Pod) {
	b.Helper()
	bed.Change(b, claims, "default", claim, "", func(c *resourcev1.ResourceClaim) {
		if !slices.Contains(c.Finalizers, resourcev1.Finalizer) {
			c.Finalizers = append(c.Finalizers, resourcev1.Finalizer)
		}
	})
	bed.Change(b, claims, "default", claim, "status", func(c *resourcev1.ResourceClaim) {
		c.Status.Allocation = &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{
			{Request: "r", Driver: "d.example.com", Pool: "p", Device: "x"}}}}
		if p != nil && !slices.ContainsFunc(c.Status.ReservedFor, func(r resourcev1.ResourceClaimConsumerReference) bool { return r.UID == p.UID }) {
			c.Status.ReservedFor = append(c.Status.ReservedFor, resourcev1.ResourceClaimConsumerReference{Resource: "pods", Name: p.Name, UID: p.UID})
		}
	})
}

func ownClaim(b *bed.Bed, p *corev1.Pod) *resourcev1.ResourceClaim {
	b.Helper()
	view, err := b.Client.View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var own *resourcev1.ResourceClaim
	for obj := range view.List(claims, "default") {
		if metav1.IsControlledBy(obj, p) {
			if own != nil {
				b.Fatalf("pod %s has two claims of its own: %s and %s", p.Name, own.Name, obj.GetName())
			}
			own = obj.(*resourcev1.ResourceClaim)
		}
	}
	return own
}

func phase(b *bed.Bed, name string, to corev1.PodPhase) {
	b.Helper()
	bed.Change(b, pods.Resource(), "default", name, "status", func(p *corev1.Pod) { p.Status.Phase = to })
}

func kill(b *bed.Bed, name string) {
	b.Helper()
	if bed.Get[*corev1.Pod](b, pods.Resource(), "default", name) == nil {
		return
	}
	if _, err := b.Client.Delete(b.Context(), pods.Resource(), "default", name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		b.Fatal(err)
	}
}

// TestLifeOfAClaim goes from a pod's template to the end of the pod.
func TestLifeOfAClaim(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(resourceclaim.New(resourceclaim.NewMetrics(nil)))
	b.Put(templates, template("t"))
	b.Put(claims, shared())
	b.Put(pods.Resource(), pod("p", ""))
	b.Settle()
	p := bed.Get[*corev1.Pod](b, pods.Resource(), "default", "p")
	own := ownClaim(b, p)
	if own == nil || own.Annotations["resource.kubernetes.io/pod-claim-name"] != "own" || own.Labels["l"] != "1" || !strings.HasPrefix(own.Name, "p-own-") {
		t.Fatalf("the pod's claim is %+v", own)
	}
	if got := p.Status.ResourceClaimStatuses; len(got) != 1 || got[0].Name != "own" || ptr.Deref(got[0].ResourceClaimName, "") != own.Name {
		t.Fatalf("the pod's status names %+v", got)
	}
	allocate(b, own.Name, p)
	allocate(b, "shared", p)
	b.Settle()
	if c := bed.Get[*resourcev1.ResourceClaim](b, claims, "default", own.Name); len(c.Status.ReservedFor) != 1 || c.Status.Allocation == nil {
		t.Fatalf("the claim of a pod that may run has %+v", c.Status)
	}
	phase(b, "p", corev1.PodSucceeded)
	b.Settle()
	if c := bed.Get[*resourcev1.ResourceClaim](b, claims, "default", own.Name); c != nil {
		t.Errorf("the claim of a pod that has ended is there: %+v", c)
	}
	c := bed.Get[*resourcev1.ResourceClaim](b, claims, "default", "shared")
	if c.Status.Allocation != nil || len(c.Status.ReservedFor) > 0 || slices.Contains(c.Finalizers, resourcev1.Finalizer) {
		t.Errorf("the shared claim has %+v and the finalizers %v", c.Status, c.Finalizers)
	}
}

// TestClaims: what becomes of claims.
func TestClaims(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(b *bed.Bed)
		want string // of the claim shared: reservations, allocated, guarded
	}{
		{"reserved for two, one of them gone", func(b *bed.Bed) { kill(b, "p") }, "1 true true"},
		{"reserved for two, both gone", func(b *bed.Bed) { kill(b, "p"); kill(b, "q") }, "0 false false"},
		{"reserved for one that is another now", func(b *bed.Bed) {
			kill(b, "p")
			kill(b, "q")
			b.Put(pods.Resource(), pod("p", ""))
		}, "0 false false"},
		{"being deleted while it is used", func(b *bed.Bed) { b.Remove(claims, "default", "shared") }, "2 true true"},
		{"being deleted, and used no more", func(b *bed.Bed) {
			b.Remove(claims, "default", "shared")
			kill(b, "p")
			kill(b, "q")
		}, "gone"},
	} {
		b := bed.New(t, 1)
		b.Sim.Add(resourceclaim.New(nil))
		b.Put(claims, shared())
		b.Put(templates, template("t"))
		for _, name := range []string{"p", "q"} {
			allocate(b, "shared", b.Put(pods.Resource(), pod(name, "")).(*corev1.Pod))
		}
		b.Settle()
		c.do(b)
		b.Settle()
		got := "gone"
		if s := bed.Get[*resourcev1.ResourceClaim](b, claims, "default", "shared"); s != nil {
			got = fmt.Sprint(len(s.Status.ReservedFor), " ", s.Status.Allocation != nil, " ", slices.Contains(s.Finalizers, resourcev1.Finalizer))
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// TestReserved: a pod that got its node without the scheduler has the claim reserved once it is allocated.
func TestReserved(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(resourceclaim.New(nil))
	b.Put(templates, template("t"))
	b.Put(claims, shared())
	p := b.Put(pods.Resource(), pod("p", "n"))
	b.Settle()
	allocate(b, "shared", nil)
	b.Settle()
	if got := bed.Get[*resourcev1.ResourceClaim](b, claims, "default", "shared").Status.ReservedFor; len(got) != 1 || got[0].UID != p.GetUID() {
		t.Errorf("reserved for %+v", got)
	}
}

// TestEvents: what a pod is told that cannot have its claim.
func TestEvents(t *testing.T) {
	b := bed.New(t, 1)
	b.Put(pods.Resource(), pod("p", ""))
	plan := b.Reconcile(resourceclaim.New(nil), engine.Key{Resource: pods.Resource(), Namespace: "default", Name: "p"}, b.Clock.Now())
	const want = `FailedResourceClaimCreation PodResourceClaim own: resource claim template "t": resourceclaimtemplate.resource.k8s.io "t" not found`
	if len(plan.Events) != 1 || plan.Events[0].Reason+" "+plan.Events[0].Message != want || plan.Failed == nil {
		t.Errorf("got %+v, want the event %q", plan, want)
	}
}

// TestLongNames: parts of a name that would be too long are cut alike.
func TestLongNames(t *testing.T) {
	b := bed.New(t, 1)
	b.Put(templates, template("t"))
	b.Put(pods.Resource(), pod(strings.Repeat("p", 80), ""))
	plan := b.Reconcile(resourceclaim.New(nil), engine.Key{Resource: pods.Resource(), Namespace: "default", Name: strings.Repeat("p", 80)}, b.Clock.Now())
	if got, want := plan.Writes[0].Object.GetGenerateName(), strings.Repeat("p", 80*57/85)+"-"+"ow"; got != want {
		t.Errorf("generateName %q, want %q", got, want)
	}
}

// TestByChance: pods come, get devices, end and go. No pod ever has two claims of its own, no device is given back while a pod may use it, and in the end none is kept for
// nobody.
func TestByChance(t *testing.T) {
	for seed := range int64(25) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			b := bed.New(t, seed)
			b.Sim.Add(resourceclaim.New(nil))
			b.Put(templates, template("t"))
			b.Put(claims, shared())
			b.Sim.Writing = func(string, engine.Write) { alive(b) }
			b.Chance(250, func() { act(b) })
			for i := range 3 {
				if p := bed.Get[*corev1.Pod](b, pods.Resource(), "default", fmt.Sprint("p", i)); p != nil {
					phase(b, p.Name, corev1.PodFailed)
				}
			}
			b.Settle()
			s := bed.Get[*resourcev1.ResourceClaim](b, claims, "default", "shared")
			if len(s.Status.ReservedFor) > 0 {
				t.Errorf("the shared claim is reserved for %v, and all pods have ended", s.Status.ReservedFor)
			}
			for i := range 3 {
				if p := bed.Get[*corev1.Pod](b, pods.Resource(), "default", fmt.Sprint("p", i)); p != nil && ownClaim(b, p) != nil {
					t.Errorf("the claim of pod %s, which has ended, is left", p.Name)
				}
			}
		})
	}
}

// alive holds what is true at all times.
func alive(b *bed.Bed) {
	b.Helper()
	for i := range 3 {
		p := bed.Get[*corev1.Pod](b, pods.Resource(), "default", fmt.Sprint("p", i))
		if p == nil {
			continue
		}
		if c := ownClaim(b, p); c != nil && c.Status.Allocation == nil && p.Annotations["given"] != "" && !pods.Ended(p) {
			b.Fatalf("the devices of pod %s are taken back while it may use them", p.Name)
		}
	}
}

func act(b *bed.Bed) {
	name := fmt.Sprint("p", b.Rand.Intn(3))
	p := bed.Get[*corev1.Pod](b, pods.Resource(), "default", name)
	switch n := b.Rand.Intn(6); {
	case p == nil:
		b.Put(pods.Resource(), pod(name, ""))
	case n == 0:
		phase(b, name, corev1.PodSucceeded)
	case n == 1:
		kill(b, name)
	case pods.Ended(p):
	default:
		if c := ownClaim(b, p); c != nil && c.DeletionTimestamp == nil {
			allocate(b, c.Name, p)
			allocate(b, "shared", p)
			bed.Change(b, pods.Resource(), "default", name, "", func(p *corev1.Pod) { p.Annotations = map[string]string{"given": "yes"} })
		}
	}
}
