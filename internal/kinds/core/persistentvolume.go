package core

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

const (
	// protectVolume and protectClaim keep what is in use: whoever deletes it waits until nothing is bound to it, and no pod uses it.
	protectVolume = "kubernetes.io/pv-protection"
	protectClaim  = "kubernetes.io/pvc-protection"
	unset         = "<unset>"
)

// PersistentVolume is v1 PersistentVolume: storage that a claim may be bound to.
//
//	Pending ──► Available ──► Bound ──► Released
//	                            └─────► Failed
//
// The phase is a controller's to write; the time of its last change follows by itself.
func PersistentVolume() *kinds.Kind {
	gvk := corev1.SchemeGroupVersion.WithKind("PersistentVolume")
	return &kinds.Kind{
		GVK: gvk, Resource: "persistentvolumes", Singular: "persistentvolume", ShortNames: []string{"pv"}, MetaAgain: kinds.MetaTwice,
		New:           func() kinds.Object { return &corev1.PersistentVolume{} },
		NewList:       func() runtime.Object { return &corev1.PersistentVolumeList{} },
		ReturnDeleted: true,
		Default:       func(obj kinds.Object) { defaultVolume(obj.(*corev1.PersistentVolume)) },
		Admission:     []kinds.Admission{kinds.ProtectInUse(protectVolume)},
		PrepareCreate: func(env kinds.Env, obj kinds.Object) {
			now := metav1.NewTime(env.Now)
			obj.(*corev1.PersistentVolume).Status = corev1.PersistentVolumeStatus{Phase: corev1.VolumePending, LastPhaseTransitionTime: &now}
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			obj.(*corev1.PersistentVolume).Status = *old.(*corev1.PersistentVolume).Status.DeepCopy()
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if isStored(obj) {
				return nil
			}
			pv := obj.(*corev1.PersistentVolume)
			return append(validateVolume(pv, nil), validateMountOptions(pv)...)
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return validateVolumeUpdate(obj.(*corev1.PersistentVolume), old.(*corev1.PersistentVolume))
		},
		Warnings: volumeWarnings,
		Columns:  volumeColumns(),
		Indexes:  kinds.VolumeIndexes(),
		Resets:   []string{"status"},
		Subresources: []kinds.Subresource{{
			Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"}, Update: volumeStatus,
		}},
	}
}

func volumeStatus(env kinds.Env, obj, old kinds.Object) field.ErrorList {
	pv, was := obj.(*corev1.PersistentVolume), old.(*corev1.PersistentVolume)
	pv.Spec = *was.Spec.DeepCopy()
	at, before := &pv.Status.LastPhaseTransitionTime, was.Status.LastPhaseTransitionTime
	switch same := pv.Status.Phase == was.Status.Phase; {
	case same && *at == nil:
		*at = before.DeepCopy()
	case !same && (*at == nil || (*at).Equal(before)): // the writer did not say when
		now := metav1.NewTime(env.Now)
		*at = &now
	}
	return nil
}

func defaultVolume(pv *corev1.PersistentVolume) {
	s := &pv.Spec
	or(&pv.Status.Phase, corev1.VolumePending)
	or(&s.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimRetain)
	orNew(&s.VolumeMode, corev1.PersistentVolumeFilesystem)
	kinds.RoundUp(s.Capacity)
	if v := s.HostPath; v != nil {
		orNew(&v.Type, corev1.HostPathUnset)
	}
	if v := s.RBD; v != nil {
		or(&v.RBDPool, "rbd")
		or(&v.RadosUser, "admin")
		or(&v.Keyring, "/etc/ceph/keyring")
	}
	if v := s.ISCSI; v != nil {
		or(&v.ISCSIInterface, "default")
	}
	if v := s.AzureDisk; v != nil {
		orNew(&v.CachingMode, corev1.AzureDataDiskCachingReadWrite)
		orNew(&v.FSType, "ext4")
		orNew(&v.ReadOnly, false)
		orNew(&v.Kind, corev1.AzureSharedBlobDisk)
	}
	if v := s.ScaleIO; v != nil {
		or(&v.StorageMode, "ThinProvisioned")
		or(&v.FSType, "xfs")
	}
}

// or sets *p to v when it is empty.
func or[T ~string](p *T, v T) {
	if *p == "" {
		*p = v
	}
}

// orNew sets *p to v when nothing is there.
func orNew[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

// isRoot says that a volume is all of a node.
func isRoot(s *corev1.PersistentVolumeSpec) bool {
	return s.HostPath != nil && path.Clean(s.HostPath.Path) == "/"
}

func volumeColumns() []kinds.Column {
	cell := func(name, doc string, priority int32, f func(*corev1.PersistentVolume) string) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Priority: priority, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*corev1.PersistentVolume)) }}
	}
	spec, status := corev1.PersistentVolumeSpec{}.SwaggerDoc(), corev1.PersistentVolumeStatus{}.SwaggerDoc()
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Capacity", spec["capacity"], 0, func(pv *corev1.PersistentVolume) string { return pv.Spec.Capacity.Storage().String() }),
		cell("Access Modes", spec["accessModes"], 0, func(pv *corev1.PersistentVolume) string { return modesText(pv.Spec.AccessModes) }),
		cell("Reclaim Policy", spec["persistentVolumeReclaimPolicy"], 0, func(pv *corev1.PersistentVolume) string { return string(pv.Spec.PersistentVolumeReclaimPolicy) }),
		cell("Status", status["phase"], 0, func(pv *corev1.PersistentVolume) string { return phaseText(pv, string(pv.Status.Phase)) }),
		cell("Claim", spec["claimRef"], 0, func(pv *corev1.PersistentVolume) string {
			if ref := pv.Spec.ClaimRef; ref != nil {
				return ref.Namespace + "/" + ref.Name
			}
			return ""
		}),
		cell("StorageClass", "StorageClass of the pv", 0, func(pv *corev1.PersistentVolume) string { return classText(pv, pv.Spec.StorageClassName) }),
		cell("VolumeAttributesClass", "VolumeAttributesClass of the pv", 0, func(pv *corev1.PersistentVolume) string { return orUnset(pv.Spec.VolumeAttributesClassName) }),
		cell("Reason", status["reason"], 0, func(pv *corev1.PersistentVolume) string { return pv.Status.Reason }),
		kinds.AgeColumn(),
		cell("VolumeMode", spec["volumeMode"], 1, func(pv *corev1.PersistentVolume) string { return orUnset(pv.Spec.VolumeMode) }),
	}
}

func orUnset[T ~string](p *T) string {
	if p == nil {
		return unset
	}
	return string(*p)
}

func phaseText(obj kinds.Object, phase string) string {
	if obj.GetDeletionTimestamp() != nil {
		return "Terminating"
	}
	return phase
}

// classText is the storage class; an annotation of old comes first.
func classText(obj kinds.Object, class string) string {
	if old, ok := obj.GetAnnotations()[corev1.BetaStorageClassAnnotation]; ok {
		return old
	}
	return class
}

// modesText shows access modes in short, always in the same order.
func modesText(modes []corev1.PersistentVolumeAccessMode) (text string) {
	for _, m := range []struct {
		mode  corev1.PersistentVolumeAccessMode
		short string
	}{
		{corev1.ReadWriteOnce, "RWO"}, {corev1.ReadOnlyMany, "ROX"}, {corev1.ReadWriteMany, "RWX"}, {corev1.ReadWriteOncePod, "RWOP"},
	} {
		for _, have := range modes {
			if have != m.mode {
				continue
			}
			if text != "" {
				text += ","
			}
			text += m.short
			break
		}
	}
	return text
}
