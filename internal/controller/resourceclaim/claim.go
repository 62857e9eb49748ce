package resourceclaim

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

// decideClaim ends the reservations of pods that are done, gives back the devices of a claim that nobody has reserved any more, and deletes it when it was a pod's own.
func decideClaim(view client.View, c *resourcev1.ResourceClaim) (plan engine.Plan) {
	left := slices.DeleteFunc(slices.Clone(c.Status.ReservedFor), func(r resourcev1.ResourceClaimConsumerReference) bool {
		if r.APIGroup != "" || r.Resource != "pods" {
			return false
		}
		p, ok := view.Get(pods.Resource(), c.Namespace, r.Name).(*corev1.Pod)
		return !ok || p.UID != r.UID || done(p)
	})
	guarded := slices.Contains(c.Finalizers, resourcev1.Finalizer)
	switch ended := len(left) < len(c.Status.ReservedFor); {
	case ended, guarded && c.DeletionTimestamp != nil && len(left) == 0 && c.Status.Allocation != nil:
		next := c.DeepCopy()
		next.Status.ReservedFor = left
		if len(left) == 0 && guarded {
			next.Status.Allocation = nil
		}
		w := engine.NewUpdate(claims(), next, "status")
		w.Then = unguarded
		plan.Writes = append(plan.Writes, w)
	case guarded && c.DeletionTimestamp != nil && len(left) == 0:
		plan.Writes = append(plan.Writes, *unguarded(c))
	}
	if len(left) == 0 && c.DeletionTimestamp == nil && unused(view, c) {
		plan.Writes = append(plan.Writes, engine.NewDelete(claims(), c, ""))
	}
	return plan
}

// unguarded takes the finalizer from a claim that is not allocated; nil when there is nothing to take. It is of the version that was stored: who allocates the claim
// meanwhile has the finalizer.
func unguarded(stored kinds.Object) *engine.Write {
	c := stored.(*resourcev1.ResourceClaim)
	if c.Status.Allocation != nil || !slices.Contains(c.Finalizers, resourcev1.Finalizer) {
		return nil
	}
	next := c.DeepCopy()
	next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool { return f == resourcev1.Finalizer })
	w := engine.NewUpdate(claims(), next, "")
	return &w
}

// unused says that a claim was made for a pod that is done, or has another in its place. The claim of a pod that is gone is the garbage collector's.
func unused(view client.View, c *resourcev1.ResourceClaim) bool {
	name, uid := owningPod(c)
	if name == "" {
		return false
	}
	p, ok := view.Get(pods.Resource(), c.Namespace, name).(*corev1.Pod)
	return ok && (string(p.UID) != uid || done(p))
}
