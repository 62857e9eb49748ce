package volumebinding

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/component-helpers/storage/volume"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

func volumes() client.Resource {
	return corev1.SchemeGroupVersion.WithResource("persistentvolumes")
}
func claims() client.Resource {
	return corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
}
func classes() client.Resource {
	return storagev1.SchemeGroupVersion.WithResource("storageclasses")
}
func pods() client.Resource { return corev1.SchemeGroupVersion.WithResource("pods") }

// User is the controller's.
const User = "system:serviceaccount:kube-system:persistent-volume-binder"

// Reasons of events.
const (
	failedBinding        = "FailedBinding"
	volumeMismatch       = "VolumeMismatch"
	volumeFailedRecycle  = "VolumeFailedRecycle"
	volumeFailedDelete   = "VolumeFailedDelete"
	externalProvisioning = "ExternalProvisioning"
	provisioningFailed   = "ProvisioningFailed"
	waitForFirstConsumer = "WaitForFirstConsumer"
	waitForPodScheduled  = "WaitForPodScheduled"
)

// New returns the controller; metrics may be nil.
func New(metrics *Metrics) engine.Controller {
	b := binder{metrics}
	return engine.Controller{
		Name: "persistentvolume-binder", Component: "persistentvolume-controller", User: User, Queue: "claims",
		Inputs: []engine.Input{
			{Resource: claims(), Keys: claimKeys}, {Resource: volumes(), Keys: volumeKeys}, {Resource: classes(), Keys: classKeys}, {Resource: pods()},
		},
		Outputs: []engine.Output{
			{Resource: volumes(), Fields: []string{
				"spec.claimRef", "status.phase", "status.message", "metadata.finalizers[kubernetes.io/pv-controller,external-provisioner.volume.kubernetes.io/finalizer]",
				"metadata.annotations[pv.kubernetes.io/bound-by-controller,pv.kubernetes.io/migrated-to]",
			}},
			{Resource: claims(), Fields: []string{
				"spec.volumeName", "spec.storageClassName", "status.phase", "status.accessModes", "status.capacity", "status.currentVolumeAttributesClassName",
				"metadata.annotations[pv.kubernetes.io/bind-completed,pv.kubernetes.io/bound-by-controller,pv.kubernetes.io/migrated-to," +
					"volume.kubernetes.io/storage-provisioner,volume.beta.kubernetes.io/storage-provisioner]",
			}},
		},
		Reconcile: func(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
			switch obj := view.Get(key.Resource, key.Namespace, key.Name).(type) {
			case *corev1.PersistentVolumeClaim:
				return b.claim(view, obj, now), nil
			case *corev1.PersistentVolume:
				return b.volume(view, obj, now), nil
			case nil:
				b.metrics.gone(key, now)
			}
			return engine.Plan{}, nil
		},
	}
}

// binder decides. Its decisions depend on the view and the time alone.
type binder struct{ metrics *Metrics }

func claimKey(c *corev1.PersistentVolumeClaim) engine.Key {
	return engine.Key{Resource: claims(), Namespace: c.Namespace, Name: c.Name}
}

func volumeKey(name string) engine.Key { return engine.Key{Resource: volumes(), Name: name} }

// claimKeys are a claim, the volumes that are its or reserved for it, and that which it names.
func claimKeys(view client.View, ch client.Change) (keys []engine.Key) {
	c, ok := ch.Newest().(*corev1.PersistentVolumeClaim)
	if !ok {
		return nil
	}
	if ch.New != nil {
		keys = append(keys, claimKey(c))
	}
	if c.Spec.VolumeName != "" {
		keys = append(keys, volumeKey(c.Spec.VolumeName))
	}
	for v := range view.Lookup(volumes(), kinds.ReservedIndex, c.Namespace+"/"+c.Name) {
		if v.GetName() != c.Spec.VolumeName {
			keys = append(keys, volumeKey(v.GetName()))
		}
	}
	return keys
}

// volumeKeys are a volume, the claims that name it, that which it names or named, and when it is free the claims that it will do for.
func volumeKeys(view client.View, ch client.Change) (keys []engine.Key) {
	for _, obj := range []kinds.Object{ch.New, ch.Old} {
		if v, ok := obj.(*corev1.PersistentVolume); ok && v.Spec.ClaimRef != nil {
			keys = append(keys, engine.Key{Resource: claims(), Namespace: v.Spec.ClaimRef.Namespace, Name: v.Spec.ClaimRef.Name})
		}
	}
	for c := range view.Lookup(claims(), kinds.VolumeIndex, ch.Newest().GetName()) {
		keys = append(keys, claimKey(c.(*corev1.PersistentVolumeClaim)))
	}
	keys = append(keys, volumeKey(ch.Newest().GetName())) // of one that is gone the metrics want to know
	v, ok := ch.New.(*corev1.PersistentVolume)
	if !ok || v.Spec.ClaimRef != nil || v.Status.Phase != corev1.VolumeAvailable {
		return keys
	}
	for obj := range view.Lookup(claims(), kinds.UnboundIndex, volume.GetPersistentVolumeClass(v)) {
		if c := obj.(*corev1.PersistentVolumeClaim); c.Spec.VolumeName == "" && volume.CheckAccessModes(c, v) && fits(c, v, false) {
			keys = append(keys, claimKey(c))
		}
	}
	return keys
}

// classKeys are the claims that are not bound of a class that is new or has changed, and those without a class when it is the default.
func classKeys(view client.View, ch client.Change) (keys []engine.Key) {
	class, ok := ch.New.(*storagev1.StorageClass)
	if !ok {
		return nil
	}
	names := []string{class.Name}
	if first := defaultClass(view); first != nil && first.GetName() == class.Name {
		names = append(names, "")
	}
	for _, name := range names {
		for c := range view.Lookup(claims(), kinds.UnboundIndex, name) {
			keys = append(keys, claimKey(c.(*corev1.PersistentVolumeClaim)))
		}
	}
	return keys
}
