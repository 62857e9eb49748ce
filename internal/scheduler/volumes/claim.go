package volumes

import (
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Annotations that scheduler, controller and drivers speak through, upstream's.
const (
	bindCompleted     = "pv.kubernetes.io/bind-completed"
	boundByController = "pv.kubernetes.io/bound-by-controller"
	selectedNode      = "volume.kubernetes.io/selected-node"
)

// noProvisioner is the provisioner of classes that make no volumes.
const noProvisioner = "kubernetes.io/no-provisioner"

// claim is a PersistentVolumeClaim, or what stands for one that pods name and that does not exist.
type claim struct {
	name    types.NamespacedName
	object  *corev1.PersistentVolumeClaim // nil: does not exist
	assumed *corev1.PersistentVolumeClaim // nil: nothing is assumed
	users   map[*pod]bool                 // pods on nodes, or nominated, that name it
}

// now is the claim as it will be; nil when it does not exist.
func (c *claim) now() *corev1.PersistentVolumeClaim {
	if c.assumed != nil {
		return c.assumed
	}
	return c.object
}

func bound(c *corev1.PersistentVolumeClaim) bool {
	return c.Spec.VolumeName != "" && metav1.HasAnnotation(c.ObjectMeta, bindCompleted)
}

// className is the class that a claim asks for; "" for none.
func className(c *corev1.PersistentVolumeClaim) string {
	if name, ok := c.Annotations[corev1.BetaStorageClassAnnotation]; ok {
		return name
	}
	if c.Spec.StorageClassName != nil {
		return *c.Spec.StorageClassName
	}
	return ""
}

func nameOf(o metav1.Object) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}

func (x *Index) claimOf(name types.NamespacedName) *claim {
	c := x.claims[name]
	if c == nil {
		c = &claim{name: name, users: map[*pod]bool{}}
		x.claims[name] = c
	}
	return c
}

func (x *Index) forgetClaim(c *claim) {
	if c.object == nil && len(c.users) == 0 {
		delete(x.claims, c.name)
	}
}

// claimNamed is the claim as the API has it, or upstream's error.
func (x *Index) claimNamed(name types.NamespacedName) (*corev1.PersistentVolumeClaim, error) {
	if c := x.claims[name]; c != nil && c.object != nil {
		return c.object, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("persistentvolumeclaim"), name.Name)
}

// SetClaim adds or updates a PersistentVolumeClaim. A version other than the one that is assumed on ends the assumption.
func (x *Index) SetClaim(object *corev1.PersistentVolumeClaim) {
	c := x.claimOf(nameOf(object))
	if c.assumed != nil && c.assumed.ResourceVersion != object.ResourceVersion {
		c.assumed = nil
	}
	old := c.object
	c.object = object
	if old != nil && old.UID == object.UID && old.Spec.VolumeName == object.Spec.VolumeName && className(old) == className(object) &&
		sameController(old, object) {
		return
	}
	x.unlink(old)
	if object.Spec.VolumeName != "" {
		x.volumeOf(object.Spec.VolumeName).claims[c] = true
	}
	x.recountUsers(c)
}

func sameController(a, b metav1.Object) bool {
	one, two := metav1.GetControllerOf(a), metav1.GetControllerOf(b)
	return one == nil && two == nil || one != nil && two != nil && one.UID == two.UID
}

// RemoveClaim removes a PersistentVolumeClaim; one that is not known is ignored.
func (x *Index) RemoveClaim(name types.NamespacedName) {
	c := x.claims[name]
	if c == nil {
		return
	}
	x.unlink(c.object)
	c.object, c.assumed = nil, nil
	x.recountUsers(c)
	x.forgetClaim(c)
}

// unlink takes a claim from the volume that it names.
func (x *Index) unlink(old *corev1.PersistentVolumeClaim) {
	if old == nil || old.Spec.VolumeName == "" {
		return
	}
	v := x.volumes[old.Spec.VolumeName]
	delete(v.claims, x.claims[nameOf(old)])
	x.forgetVolume(v)
}

func (x *Index) recountUsers(c *claim) {
	for p := range c.users {
		if p.node != nil {
			x.recount(p.node)
		}
	}
}
