package volumeexpansion_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/volumeexpansion"
)

var (
	claims  = corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
	volumes = corev1.SchemeGroupVersion.WithResource("persistentvolumes")
)

func size(text string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(text)}
}

func TestExpansion(t *testing.T) {
	csi := corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "d.example.com", VolumeHandle: "h"}}
	disk := corev1.PersistentVolumeSource{AWSElasticBlockStore: &corev1.AWSElasticBlockStoreVolumeSource{VolumeID: "vol-1"}}
	modes := []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	for _, c := range []struct {
		name    string
		source  corev1.PersistentVolumeSource
		has     string
		event   string
		resizer string
	}{
		{"as large as it wants", csi, "2Gi", "", ""},
		{"a driver's", csi, "1Gi", "Normal ExternalExpanding waiting for an external controller to expand this PVC", ""},
		{"taken over", disk, "1Gi", "Normal ExternalExpanding CSI migration enabled for kubernetes.io/aws-ebs; waiting for external resizer to expand the pvc", "ebs.csi.aws.com"},
	} {
		b := bed.New(t, 1)
		claim := b.Put(claims, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "c"}, Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: modes, VolumeName: "v", Resources: corev1.VolumeResourceRequirements{Requests: size("2Gi")}}})
		b.Put(volumes, &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v"}, Spec: corev1.PersistentVolumeSpec{
			AccessModes: modes, Capacity: size("2Gi"), PersistentVolumeSource: c.source, ClaimRef: &corev1.ObjectReference{Namespace: "default", Name: "c", UID: claim.GetUID()}}})
		ctl := volumeexpansion.New()
		b.Sim.Add(ctl)
		bed.Change(b, claims, "default", "c", "status", func(p *corev1.PersistentVolumeClaim) {
			p.Status.Phase, p.Status.Capacity = corev1.ClaimBound, size(c.has)
		})
		var got string
		for _, ev := range b.Reconcile(ctl, engine.Key{Resource: claims, Namespace: "default", Name: "c"}, b.Clock.Now()).Events {
			got += ev.Type + " " + ev.Reason + " " + ev.Message
		}
		if got != c.event {
			t.Errorf("%s: event %q, want %q", c.name, got, c.event)
		}
		b.Settle()
		if got := bed.Get[*corev1.PersistentVolumeClaim](b, claims, "default", "c").Annotations["volume.kubernetes.io/storage-resizer"]; got != c.resizer {
			t.Errorf("%s: resizer %q, want %q", c.name, got, c.resizer)
		}
	}
}
