package node

import (
	"iter"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

var (
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
	claims      = corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
	volumes     = corev1.SchemeGroupVersion.WithResource("persistentvolumes")
	attachments = storagev1.SchemeGroupVersion.WithResource("volumeattachments")
	slicesOf    = resourcev1.SchemeGroupVersion.WithResource("resourceslices")
)

// relations are read from a table:
//
//	pod ── spec.nodeName ──► node
//	secret, config map, claim, resource claim, account ── used by ──► pod
//	volume ── bound to ──► claim;  secret ── of ──► volume
//	volume attachment, resource slice ── spec.nodeName ──► node
type relations struct{ table Table }

// using goes through the pods of a node in a namespace that give it rights to what they use.
func (r relations) using(node, namespace string) iter.Seq[*corev1.Pod] {
	return func(yield func(*corev1.Pod) bool) {
		for obj := range r.table.Lookup(pods, "spec.nodeName", node) {
			pod, ok := obj.(*corev1.Pod)
			if !ok || pod.Namespace != namespace {
				continue
			}
			if _, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]; !mirror && !yield(pod) {
				return
			}
		}
	}
}

// uses says whether a pod of the node refers to the name by one of the lists that refer makes.
func (r relations) uses(node, namespace, name string, refer func(*corev1.Pod) iter.Seq[string]) bool {
	for pod := range r.using(node, namespace) {
		for one := range refer(pod) {
			if one == name {
				return true
			}
		}
	}
	return false
}

func (r relations) pod(node, namespace, name string) bool {
	pod, ok := r.table.Get(pods, namespace, name).(*corev1.Pod)
	return ok && pod.Spec.NodeName == node
}

func (r relations) configMap(node, namespace, name string) bool {
	return r.uses(node, namespace, name, podspec.ConfigMaps)
}

func (r relations) claim(node, namespace, name string) bool {
	return r.uses(node, namespace, name, podspec.Claims)
}

func (r relations) account(node, namespace, name string) bool {
	for pod := range r.using(node, namespace) {
		if pod.Spec.ServiceAccountName == name {
			return true
		}
	}
	return false
}

func (r relations) resourceClaim(node, namespace, name string) bool {
	return r.uses(node, namespace, name, podspec.ResourceClaims)
}

// secret looks at the pods of the namespace first; the secrets of volumes may be in another than their pods.
func (r relations) secret(node, namespace, name string) bool {
	if r.uses(node, namespace, name, podspec.Secrets) {
		return true
	}
	for obj := range r.table.Lookup(pods, "spec.nodeName", node) {
		pod, ok := obj.(*corev1.Pod)
		if _, mirror := obj.GetAnnotations()[corev1.MirrorPodAnnotationKey]; !ok || mirror {
			continue
		}
		for claim := range podspec.Claims(pod) {
			if pv := r.bound(pod.Namespace, claim); pv != nil && volumeNeeds(pv, namespace, name) {
				return true
			}
		}
	}
	return false
}

// bound is the volume of a claim; nil: there is none that says so too.
func (r relations) bound(namespace, claim string) *corev1.PersistentVolume {
	c, ok := r.table.Get(claims, namespace, claim).(*corev1.PersistentVolumeClaim)
	if !ok || c.Spec.VolumeName == "" {
		return nil
	}
	pv, ok := r.table.Get(volumes, "", c.Spec.VolumeName).(*corev1.PersistentVolume)
	if !ok || pv.Spec.ClaimRef == nil || pv.Spec.ClaimRef.Namespace != namespace || pv.Spec.ClaimRef.Name != claim {
		return nil
	}
	return pv
}

func (r relations) volume(node, _, name string) bool {
	pv, ok := r.table.Get(volumes, "", name).(*corev1.PersistentVolume)
	return ok && pv.Spec.ClaimRef != nil && r.claim(node, pv.Spec.ClaimRef.Namespace, pv.Spec.ClaimRef.Name)
}

func (r relations) attachment(node, _, name string) bool {
	a, ok := r.table.Get(attachments, "", name).(*storagev1.VolumeAttachment)
	return ok && a.Spec.NodeName == node
}

func (r relations) slice(node, _, name string) bool {
	s, ok := r.table.Get(slicesOf, "", name).(*resourcev1.ResourceSlice)
	return ok && s.Spec.NodeName != nil && *s.Spec.NodeName == node
}

// volumeNeeds says whether an agent needs a secret to mount a volume that is bound.
func volumeNeeds(pv *corev1.PersistentVolume, namespace, name string) bool {
	home := pv.Spec.ClaimRef.Namespace // of a secret whose namespace is not said
	is := func(ref *corev1.SecretReference, otherwise string) bool {
		if ref == nil || ref.Name != name {
			return false
		}
		return ref.Namespace == namespace || ref.Namespace == "" && otherwise == namespace
	}
	object := func(ref *corev1.ObjectReference) bool {
		return ref != nil && ref.Name == name && ref.Namespace == namespace
	}
	switch s := &pv.Spec.PersistentVolumeSource; {
	case s.AzureFile != nil:
		if given := s.AzureFile.SecretNamespace; given != nil && *given != "" {
			home = *given
		}
		return s.AzureFile.SecretName == name && home == namespace
	case s.CephFS != nil:
		return is(s.CephFS.SecretRef, home)
	case s.Cinder != nil:
		return is(s.Cinder.SecretRef, "")
	case s.FlexVolume != nil:
		return is(s.FlexVolume.SecretRef, home)
	case s.RBD != nil:
		return is(s.RBD.SecretRef, home)
	case s.ScaleIO != nil:
		return is(s.ScaleIO.SecretRef, home)
	case s.ISCSI != nil:
		return is(s.ISCSI.SecretRef, home)
	case s.StorageOS != nil:
		return object(s.StorageOS.SecretRef)
	case s.CSI != nil: // what only controllers need is not the node's
		return is(s.CSI.NodePublishSecretRef, "") || is(s.CSI.NodeStageSecretRef, "") || is(s.CSI.NodeExpandSecretRef, "")
	}
	return false
}
