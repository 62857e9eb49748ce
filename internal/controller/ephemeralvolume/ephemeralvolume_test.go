package ephemeralvolume_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/ephemeralvolume"
	"github.com/floe-k8s/floe/internal/controller/pods"
)

var claims = corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")

func spec() corev1.PersistentVolumeClaimSpec {
	return corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}}}
}

// pod has an ephemeral volume v, and one that is not.
func pod(name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "c", Image: "i"}},
		Volumes: []corev1.Volume{{Name: "e", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "v", VolumeSource: corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "2"}}, Spec: spec(),
			}}}}},
	}}
}

func TestClaimIsMade(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(ephemeralvolume.New(ephemeralvolume.NewMetrics()))
	p := b.Put(pods.Resource(), pod("p"))
	b.Settle()
	c := bed.Get[*corev1.PersistentVolumeClaim](b, claims, "default", "p-v")
	if c == nil {
		t.Fatal("no claim was made")
	}
	ref := metav1.GetControllerOf(c)
	if ref == nil || ref.UID != p.GetUID() || ref.BlockOwnerDeletion == nil || !*ref.BlockOwnerDeletion || c.Labels["l"] != "1" || c.Annotations["a"] != "2" {
		t.Errorf("the claim is %+v", c.ObjectMeta)
	}
}

// TestSomebodyElses: a claim of that name which is not the pod's is not used, until it goes.
func TestSomebodyElses(t *testing.T) {
	b := bed.New(t, 1)
	b.Put(claims, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p-v"}, Spec: spec()})
	p := b.Put(pods.Resource(), pod("p"))
	ctl := ephemeralvolume.New(nil)
	plan := b.Reconcile(ctl, engine.Key{Resource: pods.Resource(), Namespace: "default", Name: "p"}, b.Clock.Now())
	const want = "FailedBinding ephemeral volume v: PVC default/p-v was not created for pod default/p (pod is not owner)"
	if len(plan.Events) != 1 || plan.Events[0].Reason+" "+plan.Events[0].Message != want || plan.Failed == nil || len(plan.Writes) > 0 {
		t.Errorf("got %+v, want the event %q", plan, want)
	}
	b.Sim.Add(ctl)
	bed.Change(b, claims, "default", "p-v", "", func(c *corev1.PersistentVolumeClaim) { c.Finalizers = nil })
	b.Remove(claims, "default", "p-v")
	b.Settle()
	if c := bed.Get[*corev1.PersistentVolumeClaim](b, claims, "default", "p-v"); c == nil || !metav1.IsControlledBy(c, p) {
		t.Errorf("the claim is %+v", c)
	}
}

// TestByChance: pods and claims come and go; in the end each pod has its claim, made for it.
func TestByChance(t *testing.T) {
	for seed := range int64(20) {
		b := bed.New(t, seed)
		b.Sim.Add(ephemeralvolume.New(nil))
		act := func() {
			name := fmt.Sprint("p", b.Rand.Intn(3))
			switch b.Rand.Intn(3) {
			case 0:
				b.Remove(pods.Resource(), "default", name)
			case 1:
				bed.Change(b, claims, "default", name+"-v", "", func(c *corev1.PersistentVolumeClaim) { c.Finalizers = nil })
				b.Remove(claims, "default", name+"-v")
			default:
				if bed.Get[*corev1.Pod](b, pods.Resource(), "default", name) == nil {
					b.Put(pods.Resource(), pod(name))
				}
			}
		}
		for range 120 {
			if act(); b.Sim.Step(b.Context()) != nil {
				t.Fatal("seed", seed)
			}
		}
		collect(b)
		// The simulation does not show what came and went between two looks, such as a claim that was just made, as a stream does: a fresh look stands for that.
		b.Sim.Add(ephemeralvolume.New(nil))
		b.Settle()
		for i := range 3 {
			p := bed.Get[*corev1.Pod](b, pods.Resource(), "default", fmt.Sprint("p", i))
			if p == nil {
				continue
			}
			c := bed.Get[*corev1.PersistentVolumeClaim](b, claims, "default", p.Name+"-v")
			if c == nil {
				t.Errorf("seed %d: pod %s has no claim", seed, p.Name)
			} else if ref := metav1.GetControllerOf(c); ref.Name != p.Name {
				t.Errorf("seed %d: the claim of pod %s is controlled by %s", seed, p.Name, ref.Name)
			}
		}
	}
}

// collect removes the claims of pods that are gone, as the garbage collector does.
func collect(b *bed.Bed) {
	for i := range 3 {
		name := fmt.Sprint("p", i)
		c, p := bed.Get[*corev1.PersistentVolumeClaim](b, claims, "default", name+"-v"), bed.Get[*corev1.Pod](b, pods.Resource(), "default", name)
		if c != nil && (p == nil || !metav1.IsControlledBy(c, p)) {
			bed.Change(b, claims, "default", name+"-v", "", func(c *corev1.PersistentVolumeClaim) { c.Finalizers = nil })
			b.Remove(claims, "default", name+"-v")
		}
	}
}
