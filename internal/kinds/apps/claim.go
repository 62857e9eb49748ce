package apps

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/kinds"
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
