package volumebinding

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/volume"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	podstate "github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

// claim decides about a claim.
func (b binder) claim(view client.View, c *corev1.PersistentVolumeClaim, now time.Time) engine.Plan {
	if notes, changed := migrated(c.Annotations, volume.AnnStorageProvisioner, volume.AnnBetaStorageProvisioner); changed {
		next := c.DeepCopy()
		next.Annotations = notes
		return write(engine.NewUpdate(claims(), next, ""))
	}
	switch done := metav1.HasAnnotation(c.ObjectMeta, volume.AnnBindCompleted); {
	case done:
		return b.bound(view, c, now)
	case c.Spec.VolumeName != "":
		return b.named(view, c, now)
	}
	return b.unbound(view, c, now)
}

// write is a plan of writes.
func write(w ...engine.Write) engine.Plan { return engine.Plan{Writes: w} }

// unbound decides about a claim that names no volume.
func (b binder) unbound(view client.View, c *corev1.PersistentVolumeClaim, now time.Time) engine.Plan {
	class := classOf(view, c)
	waits := class != nil && class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
	if v := match(view, c, waits); v != nil {
		return b.bind(c, v, now)
	}
	if w, ok := b.assignClass(view, c); ok {
		return write(w)
	}
	switch {
	case waits && !volume.IsDelayBindingProvisioning(c):
		reason, message := waiting(view, c)
		return pending(c, now, corev1.EventTypeNormal, reason, message)
	case volume.GetPersistentVolumeClaimClass(c) != "":
		return b.provision(c, class, now)
	}
	return pending(c, now, corev1.EventTypeNormal, failedBinding, "no persistent volumes available for this claim and no storage class is set")
}

// assignClass gives a claim that says nothing of classes the default one.
func (b binder) assignClass(view client.View, c *corev1.PersistentVolumeClaim) (engine.Write, bool) {
	if volume.PersistentVolumeClaimHasClass(c) {
		return engine.Write{}, false
	}
	class := defaultClass(view)
	if class == nil {
		return engine.Write{}, false
	}
	next, name := c.DeepCopy(), class.GetName()
	next.Spec.StorageClassName = &name
	w := engine.NewUpdate(claims(), next, "")
	w.Event = func(_ kinds.Object, err error) *engine.Event {
		b.metrics.assigned(err)
		return nil
	}
	return w, true
}

// waiting says what a claim waits for whose class waits for the first consumer.
func waiting(view client.View, c *corev1.PersistentVolumeClaim) (reason, message string) {
	var names []string
	for obj := range view.Lookup(pods(), "spec.nodeName", "") {
		pod := obj.(*corev1.Pod)
		if pod.Namespace == c.Namespace && !podstate.Stopped(pod) && slices.Contains(podstate.Claims(pod), c.Name) {
			names = append(names, pod.Name)
		}
	}
	switch len(names) {
	case 0:
		return waitForFirstConsumer, "waiting for first consumer to be created before binding"
	case 1:
		return waitForPodScheduled, fmt.Sprintf("waiting for pod %s to be scheduled", names[0])
	}
	return waitForPodScheduled, fmt.Sprintf("waiting for pods %s to be scheduled", strings.Join(names, ","))
}

// again is when to tell once more what a claim waits for: every 15 seconds, as often as upstream looks, and when it has waited for long every 5 minutes, which is
// what upstream's recorder lets through then.
func again(c *corev1.PersistentVolumeClaim, now time.Time) time.Duration {
	if now.Sub(c.CreationTimestamp.Time) < 25*15*time.Second {
		return 15 * time.Second
	}
	return 5 * time.Minute
}

func tell(c *corev1.PersistentVolumeClaim, level, reason, message string) engine.Event {
	return engine.Event{About: engine.Refer("v1", "PersistentVolumeClaim", c), Type: level, Reason: reason, Message: message}
}

// pending is a plan for a claim that waits, which tells why.
func pending(c *corev1.PersistentVolumeClaim, now time.Time, level, reason, message string) engine.Plan {
	plan := status(c, corev1.ClaimPending, nil)
	plan.Events = []engine.Event{tell(c, level, reason, message)}
	plan.After, plan.Waiting = again(c, now), message
	return plan
}

// named decides about a claim that names a volume and is not bound.
func (b binder) named(view client.View, c *corev1.PersistentVolumeClaim, now time.Time) engine.Plan {
	v, ok := view.Get(volumes(), "", c.Spec.VolumeName).(*corev1.PersistentVolume)
	switch {
	case !ok:
		plan := status(c, corev1.ClaimPending, nil)
		plan.Waiting = "volume " + c.Spec.VolumeName
		return plan
	case v.Spec.ClaimRef == nil:
		if err := mismatch(c, v); err != nil {
			return pending(c, now, corev1.EventTypeWarning, volumeMismatch, fmt.Sprintf("Cannot bind to requested volume %q: %s", v.Name, err))
		}
		return b.bind(c, v, now)
	case volume.IsVolumeBoundToClaim(v, c):
		return b.bind(c, v, now)
	}
	plan := pending(c, now, corev1.EventTypeWarning, failedBinding, fmt.Sprintf("volume %q already bound to a different claim.", v.Name))
	if metav1.HasAnnotation(c.ObjectMeta, volume.AnnBoundByController) {
		plan.Writes = nil // not a user's mistake: nothing is said of it in the status, as upstream does not
	}
	return plan
}

// bound decides about a claim whose binding is complete.
func (b binder) bound(view client.View, c *corev1.PersistentVolumeClaim, now time.Time) engine.Plan {
	v, ok := view.Get(volumes(), "", c.Spec.VolumeName).(*corev1.PersistentVolume)
	switch {
	case c.Spec.VolumeName == "":
		return lost(c, "ClaimLost", "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!")
	case !ok:
		return lost(c, "ClaimLost", "Bound claim has lost its PersistentVolume. Data on the volume is lost!")
	case v.Spec.ClaimRef != nil && v.Spec.ClaimRef.UID != c.UID:
		return lost(c, "ClaimMisbound", "Two claims are bound to the same volume, this one is bound incorrectly")
	}
	return b.bind(c, v, now)
}

func lost(c *corev1.PersistentVolumeClaim, reason, message string) engine.Plan {
	if c.Status.Phase == corev1.ClaimLost {
		return engine.Plan{}
	}
	plan := status(c, corev1.ClaimLost, nil)
	plan.Events = []engine.Event{tell(c, corev1.EventTypeWarning, reason, message)}
	return plan
}

// bind takes the next step of a binding.
func (b binder) bind(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume, now time.Time) engine.Plan {
	var plan engine.Plan
	next, changed, err := volume.GetBindVolumeToClaim(v, c)
	if err != nil {
		return engine.Plan{Failed: fmt.Errorf("claim %s/%s: bind to volume %s: %w", c.Namespace, c.Name, v.Name, err)}
	}
	if changed {
		w := engine.NewUpdate(volumes(), next, "")
		w.Event = b.metrics.refused(claimKey(c).String())
		plan.Writes = append(plan.Writes, w)
	}
	if mine, changed := naming(c, v); changed {
		w := engine.NewUpdate(claims(), mine, "")
		w.Event = b.metrics.refused(claimKey(c).String())
		plan.Writes = append(plan.Writes, w)
	}
	switch {
	case len(plan.Writes) > 0:
	case v.Status.Phase != corev1.VolumeBound:
		plan.Waiting = "volume " + v.Name + " to be bound"
	default:
		return b.done(status(c, corev1.ClaimBound, v), c, now)
	}
	return plan
}

// done counts the time that it took to provision a volume when the claim's status says that it is bound.
func (b binder) done(plan engine.Plan, c *corev1.PersistentVolumeClaim, now time.Time) engine.Plan {
	for i := range plan.Writes {
		plan.Writes[i].Event = b.metrics.ends(claimKey(c).String(), now)
	}
	return plan
}

// naming is a claim that names its volume and says that this is complete.
func naming(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) (next *corev1.PersistentVolumeClaim, changed bool) {
	next = c.DeepCopy()
	if c.Spec.VolumeName != v.Name {
		next.Spec.VolumeName, changed = v.Name, true
		if !metav1.HasAnnotation(c.ObjectMeta, volume.AnnBoundByController) {
			metav1.SetMetaDataAnnotation(&next.ObjectMeta, volume.AnnBoundByController, "yes")
		}
	}
	if !metav1.HasAnnotation(c.ObjectMeta, volume.AnnBindCompleted) {
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, volume.AnnBindCompleted, "yes")
		changed = true
	}
	return next, changed
}

// preResize is the size that a volume had before it grew, while its file system has not.
const preResize = "volume.alpha.kubernetes.io/pre-resize-capacity"

// status says of a claim how far it is; v is nil when it has no volume. The size is said when it becomes bound only: later that of the file system counts, which is
// not the volume's.
func status(c *corev1.PersistentVolumeClaim, phase corev1.PersistentVolumeClaimPhase, v *corev1.PersistentVolume) engine.Plan {
	next := c.DeepCopy()
	now := &next.Status
	before := now.Phase
	if before == "" {
		before = corev1.ClaimPending // as reading it from the API says
	}
	now.Phase = phase
	switch {
	case v == nil:
		now.AccessModes, now.Capacity, now.CurrentVolumeAttributesClassName = nil, nil, nil
	default:
		now.AccessModes = v.Spec.AccessModes
		if before == phase {
			break
		}
		if _, ok := v.Spec.Capacity[corev1.ResourceStorage]; !ok {
			return engine.Plan{Failed: fmt.Errorf("PersistentVolume %q is without a storage capacity", v.Name)}
		}
		now.Capacity = capacity(c, v)
		if before == corev1.ClaimPending {
			now.CurrentVolumeAttributesClassName = v.Spec.VolumeAttributesClassName
		}
	}
	if before == phase && equality.Semantic.DeepEqual(&c.Status, withPhase(now, c.Status.Phase)) {
		return engine.Plan{}
	}
	return write(engine.NewUpdate(claims(), next, "status"))
}

// withPhase is s with a phase.
func withPhase(s *corev1.PersistentVolumeClaimStatus, phase corev1.PersistentVolumeClaimPhase) *corev1.PersistentVolumeClaimStatus {
	copied := *s
	copied.Phase = phase
	return &copied
}

// capacity is what a claim has of a volume that it is bound to now.
func capacity(c *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) corev1.ResourceList {
	if text, ok := v.Annotations[preResize]; ok {
		size, err := resource.ParseQuantity(text)
		if err != nil {
			size = v.Spec.Capacity[corev1.ResourceStorage]
		}
		list := c.Status.Capacity.DeepCopy()
		if list == nil {
			list = corev1.ResourceList{}
		}
		list[corev1.ResourceStorage] = size
		return list
	}
	if has, ok := c.Status.Capacity[corev1.ResourceStorage]; ok && has.Cmp(*v.Spec.Capacity.Storage()) == 0 {
		return c.Status.Capacity
	}
	return v.Spec.Capacity
}

// provision asks the provisioner of a claim's class for a volume. class is nil when there is none of its name.
func (b binder) provision(c *corev1.PersistentVolumeClaim, class *storagev1.StorageClass, now time.Time) engine.Plan {
	refuse := func(message string) engine.Plan {
		return engine.Plan{
			Events: []engine.Event{tell(c, corev1.EventTypeWarning, provisioningFailed, message)}, After: again(c, now), Waiting: message,
		}
	}
	if class == nil {
		return refuse(apierrors.NewNotFound(storagev1.Resource("storageclass"), volume.GetPersistentVolumeClaimClass(c)).Error())
	}
	provisioner, err := provisionerOf(class.Provisioner)
	if err != nil {
		return refuse(err.Error())
	}
	message := fmt.Sprintf("Waiting for a volume to be created either by the external provisioner '%s' or manually by the system administrator. "+
		"If volume creation is delayed, please verify that the provisioner is running and correctly registered.", provisioner)
	plan := engine.Plan{
		Events: []engine.Event{tell(c, corev1.EventTypeNormal, externalProvisioning, message)}, After: again(c, now), Waiting: "provisioner " + provisioner,
	}
	if c.Annotations[volume.AnnStorageProvisioner] == provisioner {
		return plan
	}
	next := c.DeepCopy()
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, volume.AnnBetaStorageProvisioner, provisioner)
	metav1.SetMetaDataAnnotation(&next.ObjectMeta, volume.AnnStorageProvisioner, provisioner)
	next.Annotations, _ = migrated(next.Annotations, volume.AnnStorageProvisioner)
	w := engine.NewUpdate(claims(), next, "")
	w.Event = b.metrics.begins(claimKey(c).String(), provisioner, "provision", now)
	plan.Writes = []engine.Write{w}
	return plan
}
