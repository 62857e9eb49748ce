package core

import (
	"errors"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/component-helpers/storage/volume"

	"github.com/floe-k8s/floe/internal/kinds"
)

var storageClasses = storagev1.SchemeGroupVersion.WithResource("storageclasses")

// claimAdmission is what upstream's plug-ins that are on by default do with volume claims.
func claimAdmission() []kinds.Admission {
	return []kinds.Admission{
		{Plugin: "DefaultStorageClass", Admit: func(_ kinds.Env, obj, old kinds.Object, see kinds.Reader) error {
			pvc := obj.(*corev1.PersistentVolumeClaim)
			if _, named := pvc.Annotations[corev1.BetaStorageClassAnnotation]; old != nil || named || pvc.Spec.StorageClassName != nil {
				return nil
			}
			const marked = "storageclass.kubernetes.io/is-default-class"
			if class := kinds.NewestMarked(see, storageClasses, marked, "storageclass.beta.kubernetes.io/is-default-class"); class != nil {
				name := class.GetName()
				pvc.Spec.StorageClassName = &name
			}
			return nil
		}},
		kinds.ProtectInUse(protectClaim),
		{Plugin: "PersistentVolumeClaimResize", Validate: grows},
	}
}

// grows refuses to let a claim grow that has no volume yet, or whose class does not let its volumes grow.
func grows(_ kinds.Env, obj, old kinds.Object, see kinds.Reader) error {
	pvc := obj.(*corev1.PersistentVolumeClaim)
	was, ok := old.(*corev1.PersistentVolumeClaim)
	if !ok || pvc.Spec.Resources.Requests.Storage().Cmp(*was.Spec.Resources.Requests.Storage()) <= 0 {
		return nil
	}
	refuse := func(text string) error {
		return apierrors.NewForbidden(corev1.Resource("persistentvolumeclaims"), pvc.Name, errors.New(text))
	}
	if was.Status.Phase != corev1.ClaimBound {
		return refuse("Only bound persistent volume claims can be expanded")
	}
	name := volume.GetPersistentVolumeClaimClass(pvc)
	class, found := see.Get(storageClasses, "", name).(*storagev1.StorageClass)
	if name == "" || name != volume.GetPersistentVolumeClaimClass(was) || !found || class.AllowVolumeExpansion == nil || !*class.AllowVolumeExpansion {
		return refuse("only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize")
	}
	return nil
}
