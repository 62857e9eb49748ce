package core_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func storageClasses() kindtest.Objects {
	yes := true
	class := func(name string, made int64, mark string) *storagev1.StorageClass {
		return &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Time{Time: time.Unix(made, 0)}, Annotations: map[string]string{
			"storageclass.kubernetes.io/is-default-class": mark,
		}}, AllowVolumeExpansion: &yes}
	}
	rigid := class("rigid", 9, "false")
	rigid.AllowVolumeExpansion = nil
	return kindtest.Objects{storagev1.SchemeGroupVersion.WithResource("storageclasses"): {
		"/a": class("a", 1, "true"), "/b": class("b", 2, "true"), "/c": class("c", 2, "true"), "/rigid": rigid,
	}}
}

func TestClaimsGetTheNewestDefaultClass(t *testing.T) {
	given := ""
	for want, pvc := range map[string]*corev1.PersistentVolumeClaim{
		"b": {}, "": {Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &given}},
	} {
		if err := kindtest.Admit(core.PersistentVolumeClaim(), pvc, nil, storageClasses()); err != nil {
			t.Fatal(err)
		}
		if got := *pvc.Spec.StorageClassName; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestClaimsGrowWhenTheirClassLets(t *testing.T) {
	claim := func(class, size string, phase corev1.PersistentVolumeClaimPhase) *corev1.PersistentVolumeClaim {
		return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Status: corev1.PersistentVolumeClaimStatus{Phase: phase},
			Spec: corev1.PersistentVolumeClaimSpec{StorageClassName: &class, Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{"storage": resource.MustParse(size)}}}}
	}
	const rigid = `persistentvolumeclaims "c" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize`
	for name, c := range map[string]struct {
		next, old *corev1.PersistentVolumeClaim
		want      string
	}{
		"grows":    {claim("a", "2Gi", "Bound"), claim("a", "1Gi", "Bound"), ""},
		"the same": {claim("rigid", "1Gi", "Bound"), claim("rigid", "1Gi", "Bound"), ""},
		"unbound":  {claim("a", "2Gi", "Pending"), claim("a", "1Gi", "Pending"), `persistentvolumeclaims "c" is forbidden: Only bound persistent volume claims can be expanded`},
		"rigid":    {claim("rigid", "2Gi", "Bound"), claim("rigid", "1Gi", "Bound"), rigid},
		"no class": {claim("", "2Gi", "Bound"), claim("", "1Gi", "Bound"), rigid},
	} {
		got := ""
		if err := kindtest.Admit(core.PersistentVolumeClaim(), c.next, c.old, storageClasses()); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
