package claims

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// What the end of the message of a pod that fits nowhere begins with, upstream's.
const (
	messageNothing  = "no new claims to deallocate"
	messageStill    = "still not schedulable"
	messageReleased = "deallocation of ResourceClaim completed"
	messageDeleted  = "deletion of ResourceClaim completed"
	messageUnasked  = "not found"
)

// Release is what may help a pod that fits nowhere, before preemption is thought of.
type Release struct {
	Message string // before preemption's
	// Final says that preemption is not asked any more: the message ends here.
	Final bool
	// Deallocate is a claim whose status is to be written without allocation, devices and reservations; nil for none.
	Deallocate *resourcev1.ResourceClaim
	// Delete is a special claim of an earlier attempt, which is deleted once its finalizer is gone; nil for none.
	Delete *resourcev1.ResourceClaim
}

// Release says what becomes of a pod's claims when no node will do. It is upstream's PostFilter.
func (r *Rule) Release(pod *corev1.Pod, p *place.Policy, f *place.Failure) (Release, error) {
	if f.Early() && !slices.Contains(f.Plugins, Name) {
		return Release{Message: messageUnasked, Final: true}, nil // another refused it before this plug-in saw it
	}
	w, status := r.wants(pod)
	if w == nil || status != nil {
		return Release{Message: messageNothing}, nil
	}
	c, err := w.idle(p, f)
	if err != nil {
		return Release{}, err
	}
	switch {
	case c != nil:
		return Release{Message: messageReleased, Deallocate: c}, nil
	case w.special != nil && w.special.Name != unwritten:
		return Release{Message: messageDeleted, Delete: w.special}, nil
	}
	return Release{Message: messageStill}, nil
}

// idle is a claim that nobody else uses and whose devices are in the way on a node that would do otherwise; nil for none.
func (w *wish) idle(p *place.Policy, f *place.Failure) (*resourcev1.ResourceClaim, error) {
	if !slices.ContainsFunc(f.Reasons, func(r place.Reason) bool { return r.Text == unavailable }) {
		return nil, nil
	}
	e, err := w.table.Explain(w.pod, p)
	if err != nil {
		return nil, err
	}
	for i, c := range w.claims {
		if used := c.Status.ReservedFor; len(used) > 1 || len(used) == 1 && used[0].UID != w.pod.UID {
			continue
		}
		for _, v := range e.Nodes {
			if s := v.Status; s == nil || s.Plugin != Name || s.Message() != unavailable {
				continue
			}
			if site, ok := w.table.Site(v.Node); ok && !w.has(i, site.Node) {
				return c.ResourceClaim, nil
			}
		}
	}
	return nil, nil
}

// Why devices that a pod was given do not get ready for it.
var (
	ErrBinding = errors.New("device binding failed")  // a driver says so
	ErrLate    = errors.New("device binding timeout") // it takes too long
)

// Ready says whether all binding conditions of a claim's devices are met. The error says that one will never be.
func Ready(c *resourcev1.ResourceClaim) (bool, error) {
	if c.Status.Allocation == nil {
		return false, nil
	}
	for i := range c.Status.Allocation.Devices.Results {
		d := &c.Status.Allocation.Devices.Results[i]
		if len(d.BindingConditions) == 0 {
			continue
		}
		at := slices.IndexFunc(c.Status.Devices, func(s resourcev1.AllocatedDeviceStatus) bool {
			return s.Driver == d.Driver && s.Pool == d.Pool && s.Device == d.Device
		})
		if at < 0 {
			return false, nil
		}
		conditions := c.Status.Devices[at].Conditions
		for _, t := range d.BindingFailureConditions {
			if f := apimeta.FindStatusCondition(conditions, t); f != nil && f.Status == metav1.ConditionTrue {
				return false, fmt.Errorf("%w: claim=%s, reason=%s, message=%q", ErrBinding, c.Name, f.Reason, f.Message)
			}
		}
		for _, t := range d.BindingConditions {
			if !apimeta.IsStatusConditionTrue(conditions, t) {
				return false, nil
			}
		}
	}
	return true, nil
}
