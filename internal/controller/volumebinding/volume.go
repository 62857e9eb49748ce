package volumebinding

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	podstate "github.com/floe-k8s/floe/internal/controller/pods"
)

// volume decides about a volume.
func (b binder) volume(view client.View, v *corev1.PersistentVolume, now time.Time) engine.Plan {
	if next := cleaned(v); next != nil {
		return write(engine.NewUpdate(volumes(), next, ""))
	}
	ref := v.Spec.ClaimRef
	if ref == nil || ref.UID == "" {
		return phase(v, corev1.VolumeAvailable, "")
	}
	c, _ := view.Get(claims(), ref.Namespace, ref.Name).(*corev1.PersistentVolumeClaim)
	switch {
	case c == nil || c.UID != ref.UID:
		return b.release(view, v, c == nil, now)
	case c.Spec.VolumeName == "" && volume.CheckVolumeModeMismatches(&c.Spec, &v.Spec):
		return engine.Plan{Waiting: "a claim of its volume mode", Events: []engine.Event{
			report(v, corev1.EventTypeWarning, volumeMismatch,
				fmt.Sprintf("Cannot bind PersistentVolume to requested PersistentVolumeClaim %q due to incompatible volumeMode.", c.Name)),
			tell(c, corev1.EventTypeWarning, volumeMismatch,
				fmt.Sprintf("Cannot bind PersistentVolume %q to requested PersistentVolumeClaim due to incompatible volumeMode.", v.Name)),
		}}
	case c.Spec.VolumeName == "":
		return engine.Plan{Waiting: "the claim to name it"} // which this volume has woken
	case c.Spec.VolumeName == v.Name:
		return phase(v, corev1.VolumeBound, "")
	case metav1.HasAnnotation(v.ObjectMeta, volume.AnnDynamicallyProvisioned) && v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete:
		return b.release(view, v, false, now) // made for a claim that has another one now
	}
	return write(engine.NewUpdate(volumes(), unbound(v), ""))
}

// unbound is a volume whose claim has another one: free, or reserved as it was by a person.
func unbound(v *corev1.PersistentVolume) *corev1.PersistentVolume {
	next := v.DeepCopy()
	if !metav1.HasAnnotation(v.ObjectMeta, volume.AnnBoundByController) {
		next.Spec.ClaimRef.UID = ""
		return next
	}
	next.Spec.ClaimRef = nil
	delete(next.Annotations, volume.AnnBoundByController)
	if len(next.Annotations) == 0 {
		next.Annotations = nil
	}
	return next
}

func report(v *corev1.PersistentVolume, level, reason, message string) engine.Event {
	return engine.Event{About: engine.Refer("v1", "PersistentVolume", v), Type: level, Reason: reason, Message: message}
}

// phase is a plan for a volume to be in a phase.
func phase(v *corev1.PersistentVolume, to corev1.PersistentVolumePhase, message string) engine.Plan {
	if v.Status.Phase == to {
		return engine.Plan{}
	}
	next := v.DeepCopy()
	next.Status.Phase, next.Status.Message = to, message
	return write(engine.NewUpdate(volumes(), next, "status"))
}

// failed is a plan for a volume that cannot be reclaimed, which tells why.
func failed(v *corev1.PersistentVolume, reason, message string) engine.Plan {
	plan := phase(v, corev1.VolumeFailed, message)
	if len(plan.Writes) > 0 {
		plan.Events = []engine.Event{report(v, corev1.EventTypeWarning, reason, message)}
	}
	return plan
}

// release takes a volume from a claim that is gone, or no longer wants it, and then reclaims it. gone: no other claim has that name.
func (b binder) release(view client.View, v *corev1.PersistentVolume, gone bool, now time.Time) engine.Plan {
	if v.Status.Phase != corev1.VolumeReleased && v.Status.Phase != corev1.VolumeFailed {
		plan := phase(v, corev1.VolumeReleased, "")
		if v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete {
			plan.Writes[0].Event = b.metrics.begins(v.Name, nameOfProvisioner(view, v), "delete", now)
		}
		return plan
	}
	if v.Annotations[volume.AnnMigratedTo] != "" {
		return engine.Plan{Waiting: "driver " + v.Annotations[volume.AnnMigratedTo]}
	}
	switch v.Spec.PersistentVolumeReclaimPolicy {
	case corev1.PersistentVolumeReclaimRetain:
		return engine.Plan{}
	case corev1.PersistentVolumeReclaimRecycle:
		return recycle(view, v, gone)
	case corev1.PersistentVolumeReclaimDelete:
		who, err := deleter(v)
		if err != nil {
			return failed(v, volumeFailedDelete, err.Error())
		}
		return engine.Plan{Waiting: who + " to delete it"}
	}
	return failed(v, "VolumeUnknownReclaimPolicy", "Volume has unrecognized PersistentVolumeReclaimPolicy")
}

// recycle fails, as there is no recycler; while pods use the volume of a claim that is gone it says so and waits.
func recycle(view client.View, v *corev1.PersistentVolume, gone bool) engine.Plan {
	if v.Status.Phase == corev1.VolumeFailed {
		return engine.Plan{}
	}
	var users []string
	for obj := range view.List(pods(), v.Spec.ClaimRef.Namespace) {
		pod := obj.(*corev1.Pod)
		if !podstate.Stopped(pod) && slices.Contains(podstate.Claims(pod), v.Spec.ClaimRef.Name) {
			users = append(users, pod.Namespace+"/"+pod.Name)
		}
	}
	if gone && len(users) > 0 {
		message := "Volume is used by pods: " + strings.Join(users, ",")
		return engine.Plan{
			Events: []engine.Event{report(v, corev1.EventTypeNormal, volumeFailedRecycle, message)}, After: 15 * time.Second, Waiting: message,
		}
	}
	return failed(v, volumeFailedRecycle, "No recycler plugin found for the volume!")
}

// deleter is who deletes the storage of a volume. floe has nobody of its own: volumes of no driver cannot be deleted.
func deleter(v *corev1.PersistentVolume) (string, error) {
	switch by := v.Annotations[volume.AnnDynamicallyProvisioned]; {
	case strings.HasPrefix(by, inTree):
		return "", fmt.Errorf("no volume plugin matched name: %s", by)
	case by != "":
		return by, nil
	case v.Spec.CSI != nil:
		return v.Spec.CSI.Driver, nil
	case v.Spec.HostPath != nil, v.Spec.NFS != nil:
		return "", fmt.Errorf("error getting deleter volume plugin for volume %q: no deletable volume plugin matched", v.Name)
	}
	return "", fmt.Errorf("error getting deleter volume plugin for volume %q: no volume plugin matched", v.Name)
}
