package scheduler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	resourcev1 "k8s.io/api/resource/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/scheduler/claims"
	"github.com/floe-k8s/floe/internal/scheduler/queue"
)

// claimTries is how often a claim is written that changes at the same time.
const claimTries = 5

// bindDevices writes what the resource claims of a pod get, and returns all that the API answered, also with an error. It runs beside the loop.
func (s *Scheduler) bindDevices(ctx context.Context, t *try) (given []kinds.Object, err error) {
	keep := func(c *resourcev1.ResourceClaim) { given = append(given, c) }
	for _, b := range t.bindings {
		c := b.Claim
		if b.Create != nil {
			if c, err = s.createClaim(ctx, b.Create); err != nil {
				return given, err
			}
			keep(c)
		}
		if c, err = s.bindDevice(ctx, b, c, keep); err != nil {
			return given, err
		}
		if b.Create == nil {
			continue
		}
		if err := s.mapDevices(ctx, t.pod, c.Name, b.Mappings); err != nil {
			return given, err
		}
	}
	return given, nil
}

func (s *Scheduler) createClaim(ctx context.Context, c *resourcev1.ResourceClaim) (*resourcev1.ResourceClaim, error) {
	obj, err := s.cfg.Client.Create(ctx, claims.Resource(), c, metav1.CreateOptions{})
	s.metrics.created(err)
	if err != nil {
		return nil, fmt.Errorf("create claim for extended resources %s/%s: %w", c.Namespace, c.Name, err)
	}
	return obj.(*resourcev1.ResourceClaim), nil
}

// bindDevice reserves a claim for its pod, with the devices that it gets. A claim that changes meanwhile is read again.
func (s *Scheduler) bindDevice(ctx context.Context, b claims.Binding, c *resourcev1.ResourceClaim,
	wrote func(*resourcev1.ResourceClaim)) (*resourcev1.ResourceClaim, error) {
	name := c.Namespace + "/" + c.Name
	return s.insist(ctx, c, "get updated claim "+name+" after conflict", func(c *resourcev1.ResourceClaim) (*resourcev1.ResourceClaim, error) {
		switch {
		case c.DeletionTimestamp != nil:
			return nil, fmt.Errorf("claim %s got deleted in the meantime", name)
		case b.Allocation != nil && c.Status.Allocation != nil:
			return nil, fmt.Errorf("claim %s got allocated elsewhere in the meantime", name)
		case b.Allocation == nil && c.Status.Allocation == nil:
			return nil, fmt.Errorf("claim %s got deallocated elsewhere in the meantime", name)
		}
		next, doing := c.DeepCopy(), "add reservation to claim"
		if b.Allocation != nil {
			doing = "add allocation and reservation to claim"
			if !slices.Contains(next.Finalizers, resourcev1.Finalizer) {
				next.Finalizers = append(next.Finalizers, resourcev1.Finalizer)
				answer, err := s.updateClaim(ctx, next, "")
				if err != nil {
					return nil, fmt.Errorf("add finalizer to claim %s: %w", name, err)
				}
				wrote(answer)
				next = answer.DeepCopy()
			}
			next.Status.Allocation = b.Allocation.DeepCopy()
		}
		next.Status.ReservedFor = append(next.Status.ReservedFor, b.Reserve)
		if next.Status.Allocation.AllocationTimestamp == nil {
			next.Status.Allocation.AllocationTimestamp = &metav1.Time{Time: s.cfg.Clock.Now()}
		}
		answer, err := s.updateClaim(ctx, next, "status")
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", doing, name, err)
		}
		wrote(answer)
		return answer, nil
	})
}

func (s *Scheduler) updateClaim(ctx context.Context, c *resourcev1.ResourceClaim, subresource string) (*resourcev1.ResourceClaim, error) {
	obj, err := s.cfg.Client.Update(ctx, claims.Resource(), c, subresource)
	if err != nil {
		return nil, err
	}
	return obj.(*resourcev1.ResourceClaim), nil
}

// insist changes a claim, and reads it again when that is a conflict. Reading says what the error of a failed read begins with.
func (s *Scheduler) insist(ctx context.Context, c *resourcev1.ResourceClaim, reading string,
	change func(*resourcev1.ResourceClaim) (*resourcev1.ResourceClaim, error)) (*resourcev1.ResourceClaim, error) {
	for try := 1; ; try++ {
		answer, err := change(c)
		if !apierrors.IsConflict(err) || try == claimTries {
			return answer, err
		}
		obj, err := s.cfg.Client.Get(ctx, claims.Resource(), c.Namespace, c.Name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", reading, err)
		}
		c = obj.(*resourcev1.ResourceClaim)
	}
}

// mapDevices tells in a pod's status which container has which devices of its special claim.
func (s *Scheduler) mapDevices(ctx context.Context, pod *corev1.Pod, claim string, mappings []corev1.ContainerExtendedResourceRequest) error {
	_, err := amend(ctx, s.cfg.Client, pod, func(p *corev1.Pod) *corev1.Pod {
		next := p.DeepCopy()
		next.Status.ExtendedResourceClaimStatus = &corev1.PodExtendedResourceClaimStatus{RequestMappings: mappings, ResourceClaimName: claim}
		return next
	})
	if err != nil {
		return fmt.Errorf("update pod %s/%s ExtendedResourceClaimStatus: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// beginWait tells of a pod whose devices have to get ready before it is bound, if any has.
func (s *Scheduler) beginWait(ctx context.Context, t *try, profile *Profile) {
	if slices.ContainsFunc(profile.Devices.Devices(t.pod), func(d claims.Device) bool { return d.Conditional }) {
		t.waits = s.cfg.Clock.Now()
		s.reports.waiting(ctx, t.pod, t.node)
	}
}

// waiting tells of a pod that waits for devices.
func (r *reporters) waiting(ctx context.Context, pod *corev1.Pod, node string) {
	r.put(ctx, report{pod: pod, event: eventsv1.Event{Type: corev1.EventTypeNormal, Reason: "BindingConditionsPending", Action: "Scheduling",
		Note: "waiting for binding conditions for device on node " + node}})
}

// checkDevices says whether the devices of a pod are ready, and why they will not be.
func (s *Scheduler) checkDevices(t *try) (bool, error) {
	rule := s.profiles[t.pod.Spec.SchedulerName].Devices
	if rule == nil || t.bindings == nil && !t.unready {
		return true, nil
	}
	ready, err := rule.Bound(t.pod)
	if err == nil && !ready && !s.cfg.Clock.Now().Before(t.devicesLate) {
		err = fmt.Errorf("%w: %w", claims.ErrLate, context.DeadlineExceeded)
	}
	if !t.waits.IsZero() && (ready || err != nil) {
		s.metrics.waited(t.pod.Spec.SchedulerName, rule.Devices(t.pod), waitResult(err), s.cfg.Clock.Since(t.waits))
		t.waits = time.Time{}
	}
	return ready, err
}

// waitResult is how metrics name the end of a wait.
func waitResult(err error) string {
	switch {
	case err == nil:
		return "success"
	case errors.Is(err, claims.ErrLate):
		return "timeout"
	case errors.Is(err, claims.ErrBinding):
		return "failure"
	}
	return "error"
}

// end takes back the devices of a try that leads to nothing, and has the loop go on with then: once nothing is being written for the pod, since
// devices that may be written are nobody else's, and what is written is undone, unless it is kept. The pod stands on its node until then.
func (s *Scheduler) end(ctx context.Context, t *try, then func()) {
	if t.ended = then; t.writing {
		return
	}
	s.forgetDevices(t.pod)
	reserved, special := s.devices.Held(t.pod)
	if t.kept || len(reserved) == 0 && special == nil {
		delete(s.claiming, t.pod.UID)
		then()
		return
	}
	s.claiming[t.pod.UID] = t
	s.errands.add(func() errand {
		return func(beside context.Context) func() {
			answers := s.unreserve(client.WithCause(beside, causeOf(t.pod)), t.pod, reserved, special)
			return func() {
				for _, c := range answers {
					s.devices.SetClaim(c)
				}
				delete(s.claiming, t.pod.UID)
				then()
			}
		}
	})
}

// forgetDevices takes back what was decided and not written, and tells those who wait for it.
func (s *Scheduler) forgetDevices(pod *corev1.Pod) {
	for _, c := range s.devices.Forget(pod) {
		s.happened(func() (queue.Event, bool) {
			given := c.DeepCopy()
			given.Status.Allocation = &resourcev1.AllocationResult{}
			return queue.Event{What: queue.ResourceClaim, Did: queue.Updated, Old: given, New: c}, true
		}, "")
	}
}

// unreserve takes a pod out of its claims, which keep their devices, and deletes its special claim. What cannot be undone is logged: whoever tries
// the pod again comes across it, and the controller of claims does when the pod is gone. It runs beside the loop.
func (s *Scheduler) unreserve(ctx context.Context, pod *corev1.Pod, reserved []*resourcev1.ResourceClaim,
	special *resourcev1.ResourceClaim) []*resourcev1.ResourceClaim {
	var answers []*resourcev1.ResourceClaim
	tell := func(c *resourcev1.ResourceClaim, err error) {
		if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
			s.cfg.Log.Warn("claim not given back", "pod", pod.Namespace+"/"+pod.Name, "claim", c.Namespace+"/"+c.Name, "err", err)
		}
	}
	for _, c := range reserved {
		answer, err := s.insist(ctx, c, "get claim "+c.Namespace+"/"+c.Name, func(c *resourcev1.ResourceClaim) (*resourcev1.ResourceClaim, error) {
			return s.leaveClaim(ctx, c, pod.UID)
		})
		if tell(c, err); err == nil {
			answers = append(answers, answer)
		}
	}
	if special != nil {
		tell(special, s.deleteClaim(ctx, special))
	}
	return answers
}

// leaveClaim takes a pod out of a claim.
func (s *Scheduler) leaveClaim(ctx context.Context, c *resourcev1.ResourceClaim, pod types.UID) (*resourcev1.ResourceClaim, error) {
	next := c.DeepCopy()
	next.Status.ReservedFor = slices.DeleteFunc(next.Status.ReservedFor, func(u resourcev1.ResourceClaimConsumerReference) bool { return u.UID == pod })
	return s.updateClaim(ctx, next, "status")
}

// deleteClaim deletes a special claim, without its finalizer.
func (s *Scheduler) deleteClaim(ctx context.Context, c *resourcev1.ResourceClaim) error {
	name := c.Namespace + "/" + c.Name
	_, err := s.insist(ctx, c, "get resourceclaim "+name, func(c *resourcev1.ResourceClaim) (*resourcev1.ResourceClaim, error) {
		next := c.DeepCopy()
		next.Finalizers = slices.DeleteFunc(next.Finalizers, func(f string) bool { return f == resourcev1.Finalizer })
		answer, err := s.updateClaim(ctx, next, "")
		if err != nil {
			return nil, fmt.Errorf("update resourceclaim %s: %w", name, err)
		}
		return answer, nil
	})
	if err != nil {
		return err
	}
	_, err = s.cfg.Client.Delete(ctx, claims.Resource(), c.Namespace, c.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &c.UID}})
	return err
}

// release lets a claim give its devices back, for a pod that fits nowhere, and concludes the try then.
func (s *Scheduler) release(ctx context.Context, it *queue.Item, begun time.Time, v verdict) {
	s.errands.add(func() errand {
		return func(beside context.Context) func() {
			answer, err := s.letGo(client.WithCause(beside, causeOf(it.Pod)), v.release)
			return func() {
				if answer != nil {
					s.devices.SetClaim(answer)
				}
				if err != nil {
					v = verdict{plugins: v.plugins, message: v.failure.Message(err.Error())}
				}
				if s.queue.Get(it.Pod.UID) == it {
					s.conclude(ctx, it, begun, v)
				}
			}
		}
	})
}

// letGo writes a release. It runs beside the loop.
func (s *Scheduler) letGo(ctx context.Context, r claims.Release) (*resourcev1.ResourceClaim, error) {
	if r.Deallocate == nil {
		return nil, s.deleteClaim(ctx, r.Delete)
	}
	next := r.Deallocate.DeepCopy()
	next.Status = resourcev1.ResourceClaimStatus{}
	return s.updateClaim(ctx, next, "status")
}
