package devicetainteviction_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/devicetainteviction"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
)

var (
	claims = resourcev1.SchemeGroupVersion.WithResource("resourceclaims")
	slices = resourcev1.SchemeGroupVersion.WithResource("resourceslices")
)

// slice has the device x of the pool p, tainted or not.
func slice(name string, generation int64, taints ...resourcev1.DeviceTaint) *resourcev1.ResourceSlice {
	return &resourcev1.ResourceSlice{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: resourcev1.ResourceSliceSpec{
		Driver: "d.example.com", AllNodes: ptr.To(true), Pool: resourcev1.ResourcePool{Name: "p", Generation: generation, ResourceSliceCount: 1},
		Devices: []resourcev1.Device{{Name: "x", Taints: taints}},
	}}
}

func taint(effect resourcev1.DeviceTaintEffect, at time.Time) resourcev1.DeviceTaint {
	return resourcev1.DeviceTaint{Key: "broken", Effect: effect, TimeAdded: &metav1.Time{Time: at}}
}

// user makes a claim, which tolerates a taint or not, has the device x and is reserved for a pod on a node.
func user(b *bed.Bed, tolerations ...resourcev1.DeviceToleration) *corev1.Pod {
	b.Helper()
	b.Put(claims, &resourcev1.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "c"}, Spec: resourcev1.ResourceClaimSpec{
		Devices: resourcev1.DeviceClaim{Requests: []resourcev1.DeviceRequest{{Name: "r", Exactly: &resourcev1.ExactDeviceRequest{DeviceClassName: "gpu"}}}}}})
	p := b.Put(pods.Resource(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}, Spec: corev1.PodSpec{
		NodeName: "n", Containers: []corev1.Container{{Name: "c", Image: "i"}}, ResourceClaims: []corev1.PodResourceClaim{{Name: "d", ResourceClaimName: ptr.To("c")}},
	}}).(*corev1.Pod)
	bed.Change(b, claims, "default", "c", "status", func(c *resourcev1.ResourceClaim) {
		c.Status.Allocation = &resourcev1.AllocationResult{Devices: resourcev1.DeviceAllocationResult{Results: []resourcev1.DeviceRequestAllocationResult{
			{Request: "r", Driver: "d.example.com", Pool: "p", Device: "x", Tolerations: tolerations}}}}
		c.Status.ReservedFor = []resourcev1.ResourceClaimConsumerReference{{Resource: "pods", Name: p.Name, UID: p.UID}}
	})
	return p
}

func tolerates(seconds *int64) resourcev1.DeviceToleration {
	return resourcev1.DeviceToleration{Key: "broken", Operator: resourcev1.DeviceTolerationOpExists, Effect: resourcev1.DeviceTaintEffectNoExecute, TolerationSeconds: seconds}
}

func TestEviction(t *testing.T) {
	const execute, schedule = resourcev1.DeviceTaintEffectNoExecute, resourcev1.DeviceTaintEffectNoSchedule
	for _, c := range []struct {
		name        string
		effect      resourcev1.DeviceTaintEffect
		tolerations []resourcev1.DeviceToleration
		newer       bool          // a newer generation of the pool has no taint
		after       time.Duration // looked at so long after the taint
		want        string        // events, and when it is looked at again
	}{
		{"not tolerated", execute, nil, false, 0, "Marking for deletion"},
		{"not to be scheduled to", schedule, nil, false, 0, ""},
		{"tolerated", execute, []resourcev1.DeviceToleration{tolerates(nil)}, false, time.Hour, ""},
		{"tolerated for a while", execute, []resourcev1.DeviceToleration{tolerates(ptr.To[int64](60))}, false, 20 * time.Second, "again in 40s"},
		{"tolerated for long enough", execute, []resourcev1.DeviceToleration{tolerates(ptr.To[int64](60))}, false, time.Minute, "Marking for deletion"},
		{"the shortest toleration counts", execute, []resourcev1.DeviceToleration{tolerates(ptr.To[int64](60)), tolerates(ptr.To[int64](30))}, false, 0, "again in 30s"},
		{"an older generation", execute, nil, true, 0, ""},
	} {
		b := bed.New(t, 1)
		p := user(b, c.tolerations...)
		at := b.Clock.Now().Truncate(time.Second)
		b.Put(slices, slice("s1", 1, taint(c.effect, at)))
		if c.newer {
			b.Put(slices, slice("s2", 2))
		}
		plan := b.Reconcile(devicetainteviction.New(nil), engine.Key{Resource: pods.Resource(), Namespace: "default", Name: "p", UID: p.UID}, at.Add(c.after))
		got := ""
		for _, ev := range plan.Events {
			got += ev.Message
		}
		if plan.After > 0 {
			got += fmt.Sprint("again in ", plan.After)
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestCancelled: a pod that was due stays when the taint goes, and is told.
func TestCancelled(t *testing.T) {
	b := bed.New(t, 1)
	p := user(b, tolerates(ptr.To[int64](60)))
	b.Put(slices, slice("s", 1, taint(resourcev1.DeviceTaintEffectNoExecute, b.Clock.Now())))
	ctl, key := devicetainteviction.New(nil), engine.Key{Resource: pods.Resource(), Namespace: "default", Name: "p", UID: p.UID}
	b.Reconcile(ctl, key, b.Clock.Now())
	bed.Change(b, slices, "", "s", "", func(s *resourcev1.ResourceSlice) { s.Spec.Devices[0].Taints = nil })
	plan := b.Reconcile(ctl, key, b.Clock.Now())
	if len(plan.Events) != 1 || plan.Events[0].Message != "Cancelling deletion" || len(plan.Writes) > 0 {
		t.Errorf("got %+v", plan)
	}
}

// TestByChance: taints come and go; in the end a pod whose device is tainted is being deleted and says why, and one whose device never was is not.
func TestByChance(t *testing.T) {
	for seed := range int64(15) {
		b := bed.New(t, seed)
		user(b, tolerates(ptr.To[int64](5)))
		b.Put(slices, slice("s", 1))
		b.Sim.Add(devicetainteviction.New(devicetainteviction.NewMetrics()))
		b.Sim.Writing = func(_ string, w engine.Write) {
			s := bed.Get[*resourcev1.ResourceSlice](b, slices, "", "s")
			if w.Verb == engine.Delete && seed%2 == 0 {
				b.Fatalf("seed %d: a pod is deleted whose devices are %+v", seed, s.Spec.Devices)
			}
		}
		tainted := false
		b.Chance(60, func() {
			if seed%2 == 0 { // never NoExecute
				bed.Change(b, slices, "", "s", "", func(s *resourcev1.ResourceSlice) {
					s.Spec.Devices[0].Taints = []resourcev1.DeviceTaint{taint(resourcev1.DeviceTaintEffectNoSchedule, b.Clock.Now())}
				})
				return
			}
			tainted = b.Rand.Intn(2) == 0
			bed.Change(b, slices, "", "s", "", func(s *resourcev1.ResourceSlice) {
				if s.Spec.Devices[0].Taints = nil; tainted {
					s.Spec.Devices[0].Taints = []resourcev1.DeviceTaint{taint(resourcev1.DeviceTaintEffectNoExecute, b.Clock.Now())}
				}
			})
		})
		p := bed.Get[*corev1.Pod](b, pods.Resource(), "default", "p")
		if going := p == nil || p.DeletionTimestamp != nil; tainted && !going {
			t.Errorf("seed %d: the pod stays, and its device is tainted", seed)
		}
		if p != nil && p.DeletionTimestamp != nil {
			if c := pods.Condition(p, corev1.DisruptionTarget); c == nil || c.Reason != "DeletionByDeviceTaintManager" {
				t.Errorf("seed %d: the condition is %+v", seed, c)
			}
		}
	}
}
