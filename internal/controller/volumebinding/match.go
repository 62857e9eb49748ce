package volumebinding

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/component-helpers/storage/volume"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

// fits says whether a volume does for a claim by size, mode, class of attributes and deletion. Unless it is reserved for the claim, labels count too.
func fits(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume, reserved bool) bool {
	if v.DeletionTimestamp != nil || v.Spec.Capacity.Storage().Cmp(*c.Spec.Resources.Requests.Storage()) < 0 || volume.CheckVolumeModeMismatches(&c.Spec, &v.Spec) ||
		ptr.Deref(c.Spec.VolumeAttributesClassName, "") != ptr.Deref(v.Spec.VolumeAttributesClassName, "") {
		return false
	}
	if reserved || c.Spec.Selector == nil {
		return true
	}
	s, err := metav1.LabelSelectorAsSelector(c.Spec.Selector)
	return err == nil && s.Matches(labels.Set(v.Labels))
}

// modesFor are the sets of access modes that have all that a claim asks for, those with the fewest modes first.
func modesFor(c *corev1.PersistentVolumeClaim) (sets [][]corev1.PersistentVolumeAccessMode) {
	all := kinds.AccessModes()
	for bits := range 1 << len(all) {
		var set []corev1.PersistentVolumeAccessMode
		for i, m := range all {
			if bits&(1<<i) != 0 {
				set = append(set, m)
			}
		}
		missing := func(m corev1.PersistentVolumeAccessMode) bool { return !slices.Contains(set, m) }
		if !slices.ContainsFunc(c.Spec.AccessModes, missing) {
			sets = append(sets, set)
		}
	}
	slices.SortStableFunc(sets, func(a, b []corev1.PersistentVolumeAccessMode) int { return cmp.Compare(len(a), len(b)) })
	return sets
}

// match is the volume for a claim that names none: of the first set of access modes that has any, one that is reserved for it, whatever its class, or the smallest
// that is free. Of claims that wait for their first consumer only what is reserved counts. nil: there is none.
func match(view client.View, c *corev1.PersistentVolumeClaim, waits bool) *corev1.PersistentVolume {
	reserved := map[string]*corev1.PersistentVolume{} // by access modes, the first of each
	for obj := range view.Lookup(volumes(), kinds.ReservedIndex, c.Namespace+"/"+c.Name) {
		v := obj.(*corev1.PersistentVolume)
		at := kinds.FreeValue("", v.Spec.AccessModes)
		if reserved[at] == nil && volume.IsVolumeBoundToClaim(v, c) && fits(c, v, true) {
			reserved[at] = v
		}
	}
	class := volume.GetPersistentVolumeClaimClass(c)
	for _, modes := range modesFor(c) {
		if v := reserved[kinds.FreeValue("", modes)]; v != nil {
			return v
		}
		if waits {
			continue
		}
		if v := smallest(view, c, kinds.FreeValue(class, modes)); v != nil {
			return v
		}
	}
	return nil
}

// smallest looks no further than a volume that is exactly as large as it has to be.
func smallest(view client.View, c *corev1.PersistentVolumeClaim, at string) (best *corev1.PersistentVolume) {
	for obj := range view.Lookup(volumes(), kinds.FreeIndex, at) {
		v := obj.(*corev1.PersistentVolume)
		if v.Status.Phase != corev1.VolumeAvailable || best != nil && best.Spec.Capacity.Storage().Cmp(*v.Spec.Capacity.Storage()) <= 0 || !fits(c, v, false) {
			continue
		}
		if best = v; v.Spec.Capacity.Storage().Cmp(*c.Spec.Resources.Requests.Storage()) == 0 {
			break
		}
	}
	return best
}

// mismatch is why the volume that a claim names cannot be its; nil: it can.
func mismatch(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) error {
	switch {
	case v.DeletionTimestamp != nil:
		return fmt.Errorf("the volume is marked for deletion %q", v.Name)
	case v.Spec.Capacity.Storage().Value() < c.Spec.Resources.Requests.Storage().Value():
		return errors.New("requested PV is too small")
	case volume.GetPersistentVolumeClass(v) != volume.GetPersistentVolumeClaimClass(c):
		return errors.New("storageClassName does not match")
	case ptr.Deref(c.Spec.VolumeAttributesClassName, "") != ptr.Deref(v.Spec.VolumeAttributesClassName, ""):
		return errors.New("volumeAttributesClassName does not match")
	case volume.CheckVolumeModeMismatches(&c.Spec, &v.Spec):
		return errors.New("incompatible volumeMode")
	case !volume.CheckAccessModes(c, v):
		return errors.New("incompatible accessMode")
	}
	return nil
}

// reader is a view as kinds read it.
type reader struct{ client.View }

// Label implements kinds.Reader.
func (r reader) Label(res schema.GroupVersionResource, namespace, name, key string) (string, bool) {
	return kinds.LabelOf(r.Get(res, namespace, name), key)
}

// Each implements kinds.Reader.
func (r reader) Each(res schema.GroupVersionResource, namespace string, f func(kinds.Object) bool) {
	for obj := range r.List(res, namespace) {
		if !f(obj) {
			return
		}
	}
}

// defaultClass is the class of claims that have none; nil: there is no such class.
func defaultClass(view client.View) kinds.Object {
	return kinds.NewestMarked(reader{view}, classes(), "storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
}

// classOf is the class that a claim asks for; nil: there is none of that name, or it asks for none.
func classOf(view client.View, c *corev1.PersistentVolumeClaim) *storagev1.StorageClass {
	class, _ := view.Get(classes(), "", volume.GetPersistentVolumeClaimClass(c)).(*storagev1.StorageClass)
	return class
}
