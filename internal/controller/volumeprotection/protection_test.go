package volumeprotection_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/volumeprotection"
	"github.com/floe-k8s/floe/internal/kinds"
)

var (
	volumes = corev1.SchemeGroupVersion.WithResource("persistentvolumes")
	claims  = corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
	pods    = corev1.SchemeGroupVersion.WithResource("pods")
	classes = storagev1.SchemeGroupVersion.WithResource("volumeattributesclasses")
)

func size() corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
}

func claim(name string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Resources: corev1.VolumeResourceRequirements{Requests: size()},
	}}
}

func volume(name string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PersistentVolumeSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}, Capacity: size(),
		PersistentVolumeSource: corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/x"}},
	}}
}

// pod has one volume, the claim of a name, on a node or on none.
func pod(name, node string, source corev1.VolumeSource) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{
		NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}, Volumes: []corev1.Volume{{Name: "v", VolumeSource: source}},
	}}
}

func named(claim string) corev1.VolumeSource {
	return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}}
}

func newBed(t *testing.T) *bed.Bed {
	b := bed.New(t, 1)
	b.Sim.Add(volumeprotection.Volumes())
	b.Sim.Add(volumeprotection.Claims())
	b.Sim.Add(volumeprotection.Classes())
	return b
}

// wantThere says whether an object is to be left when all is done.
func wantThere(b *bed.Bed, what string, res client.Resource, namespace, name string, want bool) {
	b.Helper()
	b.Settle()
	if got := bed.Get[kinds.Object](b, res, namespace, name) != nil; got != want {
		b.Errorf("%s: %s %s there: %v, want %v", what, res.Resource, name, got, want)
	}
}

func TestClaims(t *testing.T) {
	template := corev1.VolumeSource{Ephemeral: &corev1.EphemeralVolumeSource{VolumeClaimTemplate: &corev1.PersistentVolumeClaimTemplate{Spec: claim("x").Spec}}}
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		own  bool // the claim is controlled by the pod
		used bool
	}{
		{"no pod", nil, false, false},
		{"a pod on a node", pod("p", "n", named("p-v")), false, true},
		{"a pod on none", pod("p", "", named("p-v")), false, false},
		{"a pod with another claim", pod("p", "n", named("other")), false, false},
		{"an ephemeral volume's", pod("p", "n", template), true, true},
		{"as an ephemeral volume's is called", pod("p", "n", template), false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t)
			obj := claim("p-v")
			if c.pod != nil {
				stored := b.Put(pods, c.pod)
				if yes := true; c.own {
					obj.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "p", UID: stored.GetUID(), Controller: &yes}}
				}
			}
			b.Put(claims, obj)
			b.Remove(claims, "default", "p-v")
			wantThere(b, "deleted", claims, "default", "p-v", c.used)
			if !c.used {
				return
			}
			bed.Change(b, pods, "default", "p", "status", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
			wantThere(b, "the pod has ended", claims, "default", "p-v", true)
			now := int64(0)
			if _, err := b.Client.Delete(t.Context(), pods, "default", "p", metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
				t.Fatal(err)
			}
			wantThere(b, "the pod is gone", claims, "default", "p-v", false)
		})
	}
}

func TestVolumes(t *testing.T) {
	b := newBed(t)
	b.Put(volumes, volume("v"))
	bed.Change(b, volumes, "", "v", "status", func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeBound })
	b.Remove(volumes, "", "v")
	wantThere(b, "bound", volumes, "", "v", true)
	bed.Change(b, volumes, "", "v", "status", func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeReleased })
	wantThere(b, "released", volumes, "", "v", false)
}

func TestClasses(t *testing.T) {
	b := newBed(t)
	class := "c"
	b.Put(classes, &storagev1.VolumeAttributesClass{ObjectMeta: metav1.ObjectMeta{Name: class}, DriverName: "d.example.com", Parameters: map[string]string{"a": "b"}})
	v, c := volume("v"), claim("m")
	v.Spec.VolumeAttributesClassName = &class
	v.Spec.PersistentVolumeSource = corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d.example.com", VolumeHandle: "h"}}
	b.Put(volumes, v)
	b.Put(claims, c)
	bed.Change(b, claims, "default", "m", "status", func(c *corev1.PersistentVolumeClaim) {
		c.Status.ModifyVolumeStatus = &corev1.ModifyVolumeStatus{TargetVolumeAttributesClassName: class, Status: corev1.PersistentVolumeClaimModifyVolumePending}
	})
	b.Remove(classes, "", class)
	wantThere(b, "used twice", classes, "", class, true)
	b.Remove(volumes, "", "v")
	wantThere(b, "used by a claim", classes, "", class, true)
	bed.Change(b, claims, "default", "m", "status", func(c *corev1.PersistentVolumeClaim) { c.Status.ModifyVolumeStatus = nil })
	wantThere(b, "used by nobody", classes, "", class, false)
}

// TestFinalizersComeBack: what is not being deleted is protected, whoever thinks otherwise.
func TestFinalizersComeBack(t *testing.T) {
	b := newBed(t)
	b.Put(claims, claim("c"))
	bed.Change(b, claims, "default", "c", "", func(c *corev1.PersistentVolumeClaim) { c.Finalizers = []string{"example.com/other"} })
	b.Settle()
	if got := bed.Get[*corev1.PersistentVolumeClaim](b, claims, "default", "c").Finalizers; !slices.Equal(got, []string{"example.com/other", "kubernetes.io/pvc-protection"}) {
		t.Errorf("finalizers: %v", got)
	}
	b.Remove(claims, "default", "c")
	b.Settle()
	if got := bed.Get[*corev1.PersistentVolumeClaim](b, claims, "default", "c").Finalizers; !slices.Equal(got, []string{"example.com/other"}) {
		t.Errorf("finalizers of a claim that waits for others: %v", got)
	}
}
