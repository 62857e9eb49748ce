package statefulset

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// claim makes the claims of a pod that are not there, and says whether all are to be had. aim is what is done about the pod that needs them.
func (r *round) claim(p *corev1.Pod, aim string) bool {
	var errs []error
	_, ordinal := parent(p.Name)
	for _, t := range r.Set.Spec.VolumeClaimTemplates {
		name := claimName(r.Set, t.Name, ordinal)
		if have := r.Claim(name); have != nil {
			if have.DeletionTimestamp != nil {
				errs = append(errs, fmt.Errorf("pvc %s is being deleted", name))
			}
			continue
		}
		c := t.DeepCopy()
		c.Namespace, c.Name = r.Set.Namespace, name
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		maps.Copy(c.Labels, r.Set.Spec.Selector.MatchLabels)
		r.step(phaseClaims, Step{Verb: engine.Create, Object: c, Pod: p, Aim: aim})
	}
	if len(errs) == 0 {
		return true
	}
	r.fail(p, aim, utilerrors.NewAggregate(errs))
	r.wait("claims of pod %s that are being deleted to be gone", p.Name)
	return false
}

// retention is the set's policy; nothing deletes claims unless it says so.
func retention(set *appsv1.StatefulSet) (deleted, scaled bool) {
	p := set.Spec.PersistentVolumeClaimRetentionPolicy
	if p == nil {
		return false, false
	}
	return p.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType, p.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType
}

// stale is the name of a claim that another pod of the same name leaves behind and that goes with it; "" when there is none.
func (r *round) stale(p *corev1.Pod) string {
	if _, scaled := retention(r.Set); !scaled {
		return ""
	}
	_, ordinal := parent(p.Name)
	for _, t := range r.Set.Spec.VolumeClaimTemplates {
		name := claimName(r.Set, t.Name, ordinal)
		if c := r.Claim(name); c != nil && outlived(c, p, podKind()) {
			return name
		}
	}
	return ""
}

// own gives the claims of a pod that are there the owners that the retention policy wants, and says whether any needed it. aim is what it fails as.
func (r *round) own(p *corev1.Pod, aim string) (changed bool) {
	for o := range r.owned(p) {
		if o.right() {
			continue
		}
		next := o.claim.DeepCopy()
		next.OwnerReferences = o.wanted()
		r.step(phaseOwners, Step{Verb: engine.Update, Object: next, Pod: p, Aim: aim})
		changed = true
	}
	if changed {
		r.conflicts(p)
	}
	return changed
}

// conflicts notes the claims of a pod that somebody else controls.
func (r *round) conflicts(p *corev1.Pod) {
	for o := range r.owned(p) {
		if o.foreign() && !slices.Contains(r.dec.Conflicts, o.claim.Name) {
			r.dec.Conflicts = append(r.dec.Conflicts, o.claim.Name)
		}
	}
}

// owned goes through the claims of a pod that are there.
func (r *round) owned(p *corev1.Pod) iter.Seq[ownership] {
	return func(yield func(ownership) bool) {
		_, ordinal := parent(p.Name)
		for _, t := range r.Set.Spec.VolumeClaimTemplates {
			if c := r.Claim(claimName(r.Set, t.Name, ordinal)); c != nil && !yield(ownership{r.Set, p, c}) {
				return
			}
		}
	}
}

func podKind() schema.GroupVersionKind { return corev1.SchemeGroupVersion.WithKind("Pod") }

// ownership is who owns a claim of a pod of a set.
type ownership struct {
	set   *appsv1.StatefulSet
	pod   *corev1.Pod
	claim *corev1.PersistentVolumeClaim
}

// names says that a reference is to an object of this kind and name, whatever its UID.
func names(ref metav1.OwnerReference, obj kinds.Object, gvk schema.GroupVersionKind) bool {
	return ref.APIVersion == gvk.GroupVersion().String() && ref.Kind == gvk.Kind && ref.Name == obj.GetName()
}

// outlived says that a claim belongs to an earlier object of the same name.
func outlived(c *corev1.PersistentVolumeClaim, obj kinds.Object, gvk schema.GroupVersionKind) bool {
	i := slices.IndexFunc(c.OwnerReferences, func(ref metav1.OwnerReference) bool { return names(ref, obj, gvk) })
	return i >= 0 && c.OwnerReferences[i].UID != obj.GetUID()
}

func (o ownership) owned(by kinds.Object) bool {
	return slices.ContainsFunc(o.claim.OwnerReferences, func(ref metav1.OwnerReference) bool { return ref.UID == by.GetUID() })
}

// foreign says that the policy would delete the claim, and that somebody else controls it.
func (o ownership) foreign() bool {
	if deleted, scaled := retention(o.set); !deleted && !scaled {
		return false
	}
	return slices.ContainsFunc(o.claim.OwnerReferences, func(ref metav1.OwnerReference) bool {
		switch {
		case names(ref, o.set, kind()):
			return ref.UID != o.set.UID
		case names(ref, o.pod, podKind()):
			return ref.UID != o.pod.UID
		}
		return ref.Controller != nil && *ref.Controller
	})
}

// owners says which of the two is to own the claim: with a pod that is scaled away it goes, otherwise with the set.
func (o ownership) owners() (set, pod bool) {
	deleted, scaled := retention(o.set)
	_, ordinal := parent(o.pod.Name)
	pod = scaled && !inRange(o.set, ordinal)
	return deleted && !pod, pod
}

// right says that the owners are as the policy wants them, or none of the set's business: those of earlier objects of the same names.
func (o ownership) right() bool {
	if outlived(o.claim, o.set, kind()) || outlived(o.claim, o.pod, podKind()) {
		return true
	}
	if o.foreign() {
		return !o.owned(o.set) && !o.owned(o.pod)
	}
	for _, ref := range o.claim.OwnerReferences {
		if (ref.UID == o.set.UID || ref.UID == o.pod.UID) && (ref.Controller == nil || !*ref.Controller) {
			return false
		}
	}
	set, pod := o.owners()
	return o.owned(o.set) == set && o.owned(o.pod) == pod
}

// wanted are the owners that the claim is to have. Where somebody else controls it, neither set nor pod is one.
func (o ownership) wanted() []metav1.OwnerReference {
	refs := slices.DeleteFunc(slices.Clone(o.claim.OwnerReferences), func(ref metav1.OwnerReference) bool {
		return names(ref, o.set, kind()) || names(ref, o.pod, podKind())
	})
	set, pod := o.owners()
	switch {
	case o.foreign():
	case set:
		refs = append(refs, *metav1.NewControllerRef(o.set, kind()))
	case pod:
		refs = append(refs, *metav1.NewControllerRef(o.pod, podKind()))
	}
	return refs
}
