package volumebinding

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/component-helpers/storage/volume"
	csitranslation "k8s.io/csi-translation-lib"

	"github.com/floe-k8s/floe/internal/client"
)

// inTree begins the names of upstream's own plug-ins.
const inTree = "kubernetes.io/"

// driverOf is the driver that has taken over the work of a plug-in of upstream's; "": none has.
func driverOf(plugin string) string {
	name, err := csitranslation.New().GetCSINameFromInTreeName(plugin)
	if err != nil {
		return ""
	}
	return name
}

// provisionerOf is whom to ask for volumes of a class with a provisioner.
func provisionerOf(name string) (string, error) {
	if driver := driverOf(name); driver != "" {
		return driver, nil
	}
	if strings.HasPrefix(name, inTree) {
		return "", fmt.Errorf("no volume plugin matched name: %s", name)
	}
	return name, nil
}

// migrated are annotations that name the driver which stands for the plug-in that the first of keys which is there names, or none when no driver does.
func migrated(notes map[string]string, keys ...string) (next map[string]string, changed bool) {
	i := slices.IndexFunc(keys, func(k string) bool { _, ok := notes[k]; return ok })
	if i < 0 {
		return notes, false
	}
	driver := driverOf(notes[keys[i]])
	if notes[volume.AnnMigratedTo] == driver {
		return notes, false
	}
	next = maps.Clone(notes)
	next[volume.AnnMigratedTo] = driver
	if driver == "" {
		delete(next, volume.AnnMigratedTo)
	}
	return next, true
}

// cleaned is a volume with the annotations and finalizers that its provisioner's name asks for; nil when it has them.
func cleaned(v *corev1.PersistentVolume) *corev1.PersistentVolume {
	notes, changed := migrated(v.Annotations, volume.AnnDynamicallyProvisioned)
	finalizers := finalizersOf(v)
	if !changed && slices.Equal(finalizers, v.Finalizers) {
		return nil
	}
	next := v.DeepCopy()
	next.Annotations, next.Finalizers = notes, finalizers
	return next
}

// finalizersOf are a volume's, without upstream's own when a driver deletes it.
func finalizersOf(v *corev1.PersistentVolume) []string {
	by, ok := v.Annotations[volume.AnnDynamicallyProvisioned]
	without := func(gone ...string) []string {
		return slices.DeleteFunc(slices.Clone(v.Finalizers), func(f string) bool { return slices.Contains(gone, f) })
	}
	const own, drivers = volume.PVDeletionInTreeProtectionFinalizer, volume.PVDeletionProtectionFinalizer
	switch {
	case !ok || !strings.HasPrefix(by, inTree):
		return v.Finalizers
	case driverOf(by) != "":
		return without(own)
	case v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete:
		return without(own, drivers)
	case slices.Contains(v.Finalizers, own):
		return without(drivers)
	}
	return append(without(drivers), own)
}

// nameOfProvisioner is who provisions volumes of a volume's class, for metrics.
func nameOfProvisioner(view client.View, v *corev1.PersistentVolume) string {
	class, ok := view.Get(classes(), "", volume.GetPersistentVolumeClass(v)).(*storagev1.StorageClass)
	if _, err := deleter(v); err != nil || !ok {
		return unknown
	}
	if driver := driverOf(class.Provisioner); driver != "" {
		return driver
	}
	return class.Provisioner
}
