package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/volumespec"
)

// PersistentVolumeClaim is v1 PersistentVolumeClaim: what a namespace asks of storage. What it asks for stays, but that a bound claim may grow.
func PersistentVolumeClaim() *kinds.Kind {
	gvk := corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim")
	return &kinds.Kind{
		GVK: gvk, Resource: "persistentvolumeclaims", Singular: "persistentvolumeclaim", ShortNames: []string{"pvc"}, Namespaced: true,
		MetaAgain:     kinds.MetaChangeFirst,
		New:           func() kinds.Object { return &corev1.PersistentVolumeClaim{} },
		NewList:       func() runtime.Object { return &corev1.PersistentVolumeClaimList{} },
		ReturnDeleted: true, DefaultsOnRead: true, CreatedBare: true, // upstream stores no phase of a new claim
		Default: func(obj kinds.Object) {
			c := obj.(*corev1.PersistentVolumeClaim)
			or(&c.Status.Phase, corev1.ClaimPending)
			volumespec.DefaultClaim(&c.Spec)
			kinds.RoundUp(c.Status.Capacity, c.Status.AllocatedResources)
		},
		Admission: claimAdmission(),
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			c := obj.(*corev1.PersistentVolumeClaim)
			c.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
			prepareSources(&c.Spec, &corev1.PersistentVolumeClaimSpec{})
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			c, was := obj.(*corev1.PersistentVolumeClaim), old.(*corev1.PersistentVolumeClaim)
			c.Status = *was.Status.DeepCopy()
			prepareSources(&c.Spec, &was.Spec)
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if isStored(obj) {
				return nil
			}
			return volumespec.Claim(&obj.(*corev1.PersistentVolumeClaim).Spec, nil, field.NewPath("spec"))
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return validateClaimUpdate(obj.(*corev1.PersistentVolumeClaim), old.(*corev1.PersistentVolumeClaim))
		},
		Warnings: claimWarnings,
		Columns:  claimColumns(),
		Indexes:  kinds.ClaimIndexes(),
		Resets:   []string{"status"},
		Subresources: []kinds.Subresource{{
			Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"},
			Update: func(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
				c := obj.(*corev1.PersistentVolumeClaim)
				c.Spec = *old.(*corev1.PersistentVolumeClaim).Spec.DeepCopy()
				return validateClaimStatus(c)
			},
		}},
	}
}

// prepareSources makes the older and the newer form of what a volume is filled from agree. The older one, where it is given alone, knows claims
// and snapshots only: anything else was always ignored there. Sources in another namespace are behind a gate that is off.
func prepareSources(s, was *corev1.PersistentVolumeClaimSpec) {
	if ref := s.DataSourceRef; ref != nil && ref.Namespace != nil && *ref.Namespace != "" && was.DataSourceRef == nil {
		s.DataSourceRef = nil
	}
	if was.DataSource == nil && was.DataSourceRef == nil && s.DataSourceRef == nil && !isKnownSource(s.DataSource) {
		s.DataSource = nil
	}
	agree(s)
}

func isKnownSource(ref *corev1.TypedLocalObjectReference) bool {
	if ref == nil {
		return false
	}
	group := ""
	if ref.APIGroup != nil {
		group = *ref.APIGroup
	}
	return ref.Kind == "PersistentVolumeClaim" && group == "" || ref.Kind == "VolumeSnapshot" && group == "snapshot.storage.k8s.io"
}

// agree fills the form that is not given from the other.
func agree(s *corev1.PersistentVolumeClaimSpec) {
	older, newer := s.DataSource, s.DataSourceRef
	switch {
	case older != nil && newer == nil:
		older = older.DeepCopy()
		s.DataSourceRef = &corev1.TypedObjectReference{APIGroup: older.APIGroup, Kind: older.Kind, Name: older.Name}
	case older == nil && newer != nil && (newer.Namespace == nil || *newer.Namespace == ""):
		newer = newer.DeepCopy()
		s.DataSource = &corev1.TypedLocalObjectReference{APIGroup: newer.APIGroup, Kind: newer.Kind, Name: newer.Name}
	}
}

func claimColumns() []kinds.Column {
	cell := func(name, doc string, priority int32, f func(*corev1.PersistentVolumeClaim) string) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Priority: priority, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*corev1.PersistentVolumeClaim)) }}
	}
	bound := func(f func(*corev1.PersistentVolumeClaim) string) func(*corev1.PersistentVolumeClaim) string {
		return func(c *corev1.PersistentVolumeClaim) string {
			if c.Spec.VolumeName == "" {
				return ""
			}
			return f(c)
		}
	}
	spec, status := corev1.PersistentVolumeClaimSpec{}.SwaggerDoc(), corev1.PersistentVolumeClaimStatus{}.SwaggerDoc()
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Status", status["phase"], 0, func(c *corev1.PersistentVolumeClaim) string { return phaseText(c, string(c.Status.Phase)) }),
		cell("Volume", spec["volumeName"], 0, func(c *corev1.PersistentVolumeClaim) string { return c.Spec.VolumeName }),
		cell("Capacity", status["capacity"], 0, bound(func(c *corev1.PersistentVolumeClaim) string { return c.Status.Capacity.Storage().String() })),
		cell("Access Modes", status["accessModes"], 0, bound(func(c *corev1.PersistentVolumeClaim) string { return modesText(c.Status.AccessModes) })),
		cell("StorageClass", "StorageClass of the pvc", 0, func(c *corev1.PersistentVolumeClaim) string {
			if c.Spec.StorageClassName == nil {
				return classText(c, "")
			}
			return classText(c, *c.Spec.StorageClassName)
		}),
		cell("VolumeAttributesClass", "VolumeAttributesClass of the pvc", 0, func(c *corev1.PersistentVolumeClaim) string { return orUnset(c.Spec.VolumeAttributesClassName) }),
		kinds.AgeColumn(),
		cell("VolumeMode", spec["volumeMode"], 1, func(c *corev1.PersistentVolumeClaim) string { return orUnset(c.Spec.VolumeMode) }),
	}
}
