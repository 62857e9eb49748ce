package noderestriction

import (
	"errors"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
)

var (
	claims  = corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
	volumes = corev1.SchemeGroupVersion.WithResource("persistentvolumes")
	drivers = storagev1.SchemeGroupVersion.WithResource("csidrivers")
)

// account refuses tokens that are not for a pod on the node, or for an audience that the pod does not want.
func account(node string, a *admission.Attributes) error {
	if a.Operation != admission.Create || a.Subresource != "token" {
		return nil
	}
	wanted, err := typed[*authenticationv1.TokenRequest](a, a.Object)
	if err != nil {
		return err
	}
	ref := wanted.Spec.BoundObjectRef
	if ref == nil || ref.APIVersion != "v1" || ref.Kind != "Pod" || ref.Name == "" {
		return a.Forbidf("node requested token not bound to a pod")
	}
	if ref.UID == "" {
		return a.Forbidf("node requested token with a pod binding without a uid")
	}
	p, ok := a.See.Get(pods, a.Namespace, ref.Name).(*corev1.Pod)
	switch {
	case !ok:
		return apierrors.NewNotFound(corev1.Resource("pod"), ref.Name)
	case ref.UID != p.UID:
		return a.Forbidf("the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted and then recreated", ref.UID)
	case p.Spec.NodeName != node:
		return a.Forbidf("node requested token bound to a pod scheduled on a different node")
	}
	if err := audience(a, wanted, p); err != nil {
		return a.Forbid(err)
	}
	return nil
}

// audience says why a token is not for who the pod shows tokens to.
func audience(a *admission.Attributes, wanted *authenticationv1.TokenRequest, p *corev1.Pod) error {
	name := ""
	switch list := wanted.Spec.Audiences; len(list) {
	case 0:
	case 1:
		name = list[0]
	default:
		return errors.New("node may only request 0 or 1 audiences")
	}
	found, err := shown(a, p, name)
	switch {
	case err != nil:
		return fmt.Errorf("error validating audience %q: %w", name, err)
	case found:
		return nil
	}
	err = a.Env.Powers.Refuse(kinds.Wish{Verb: "request-serviceaccounts-token-audience", Resource: name, Namespace: a.Namespace, Name: a.Name})
	if err != nil {
		return fmt.Errorf("audience %q not found in pod spec volume, %s is not authorized to request tokens for this audience", name, a.User.Name)
	}
	return nil
}

// shown says whether a volume of the pod has tokens for an audience. An error says what of it could not be found.
func shown(a *admission.Attributes, p *corev1.Pod, audience string) (bool, error) {
	var errs []error
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		if v.Projected != nil {
			for _, s := range v.Projected.Sources {
				if s.ServiceAccountToken != nil && s.ServiceAccountToken.Audience == audience {
					return true, nil
				}
			}
		}
		driver, err := driverOf(a.See, p, v)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if driver == "" {
			continue
		}
		d, ok := a.See.Get(drivers, "", driver).(*storagev1.CSIDriver)
		if !ok {
			errs = append(errs, apierrors.NewNotFound(storagev1.Resource("csidriver"), driver))
			continue
		}
		for _, r := range d.Spec.TokenRequests {
			if r.Audience == audience {
				return true, nil
			}
		}
	}
	return false, utilerrors.NewAggregate(errs)
}

// driverOf is the CSI driver behind a volume; "": there is none.
func driverOf(see kinds.Reader, p *corev1.Pod, v *corev1.Volume) (string, error) {
	name := ""
	switch {
	case v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil:
		name = p.Name + "-" + v.Name
	case v.PersistentVolumeClaim != nil:
		name = v.PersistentVolumeClaim.ClaimName
	case v.CSI != nil:
		return v.CSI.Driver, nil
	default:
		return "", nil
	}
	c, ok := see.Get(claims, p.Namespace, name).(*corev1.PersistentVolumeClaim)
	if !ok {
		return "", apierrors.NewNotFound(corev1.Resource("persistentvolumeclaim"), name)
	}
	pv, ok := see.Get(volumes, "", c.Spec.VolumeName).(*corev1.PersistentVolume)
	if !ok {
		return "", apierrors.NewNotFound(corev1.Resource("persistentvolume"), c.Spec.VolumeName)
	}
	if pv.Spec.CSI == nil {
		return "", nil
	}
	return pv.Spec.CSI.Driver, nil
}
