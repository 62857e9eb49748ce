package apps

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// defaultClaim fills a claim for volumes inside a stateful set. Upstream shows such claims with a kind of their own.
func defaultClaim(c *corev1.PersistentVolumeClaim) {
	c.APIVersion, c.Kind = "v1", "PersistentVolumeClaim"
	if c.Status.Phase == "" {
		c.Status.Phase = corev1.ClaimPending
	}
	volumespec.DefaultClaim(&c.Spec)
	kinds.RoundUp(c.Status.Capacity, c.Status.AllocatedResources)
}

// statefulSetWarnings tell of the claims too, in the words of upstream's paths.
func statefulSetWarnings(obj, old kinds.Object) []string {
	s, path := &obj.(*appsv1.StatefulSet).Spec, field.NewPath("spec")
	list := podspec.WorkloadWarnings(obj, old, &s.Template, false, path.Child("template"))
	for i := range s.VolumeClaimTemplates {
		at := path.Child("volumeClaimTemplates").Index(i)
		if old != nil {
			at = at.Child("Spec")
		}
		list = append(list, volumespec.ClaimWarnings(&s.VolumeClaimTemplates[i].Spec, at)...)
	}
	if n := s.RevisionHistoryLimit; n != nil && *n < 0 {
		list = append(list, "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended")
	}
	return list
}
