package scheduler

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
)

const (
	lanes       = 16   // reporters that write at once, so that they share syncs
	laneMost    = 512  // reports that wait for one of them
	noteMost    = 1024 // bytes of an event's note, as the API has it
	noteCut     = " ..."
	statusTries = 3 // to write a condition when the pod changes at the same time
)

// report is what is to be told of a pod.
type report struct {
	pod       *corev1.Pod
	event     eventsv1.Event // type, reason, action and note only
	condition *corev1.PodCondition
	nominate  *string     // what its status.nominatedNodeName becomes, with the condition; nil: what it is
	related   *corev1.Pod // that the event is about as well, and whose scheduler tells it; may be nil
}

// reporters write reports beside the loop. All reports about a pod take the same lane.
type reporters struct {
	cfg   Config
	lanes [lanes]chan report
	all   sync.WaitGroup
}

// startReporters starts them; stop waits until all that was reported is written, or ctx has ended.
func startReporters(ctx context.Context, cfg Config) *reporters {
	r := &reporters{cfg: cfg}
	for i := range r.lanes {
		r.lanes[i] = make(chan report, laneMost) // the loop must not wait for a sync
		r.all.Go(func() { newLane(cfg, i).run(ctx, r.lanes[i]) })
	}
	return r
}

func (r *reporters) stop() {
	for _, lane := range r.lanes {
		close(lane)
	}
	r.all.Wait()
}

// scheduled tells of a pod that was bound. Its condition was set with the binding.
func (r *reporters) scheduled(ctx context.Context, pod *corev1.Pod, node string) {
	r.put(ctx, report{pod: pod, event: eventsv1.Event{Type: corev1.EventTypeNormal, Reason: "Scheduled", Action: "Binding",
		Note: fmt.Sprintf("Successfully assigned %s/%s to %s", pod.Namespace, pod.Name, node)}})
}

// refused tells why a pod has no node: an event, and the condition PodScheduled when it says something new.
func (r *reporters) refused(ctx context.Context, pod *corev1.Pod, v verdict) {
	reason, message := v.reason()
	note := message
	if len(note) > noteMost {
		note = note[:noteMost-len(noteCut)] + noteCut
	}
	r.put(ctx, report{pod: pod,
		event:    eventsv1.Event{Type: corev1.EventTypeWarning, Reason: "FailedScheduling", Action: "Scheduling", Note: note},
		nominate: v.nominate,
		condition: &corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, ObservedGeneration: pod.Generation,
			Reason: reason, Message: message, LastTransitionTime: metav1.NewTime(r.cfg.Clock.Now())}})
}

func (r *reporters) put(ctx context.Context, rep report) {
	h := fnv.New32a()
	h.Write([]byte(rep.pod.UID)) // never fails
	select {
	case r.lanes[h.Sum32()%lanes] <- rep:
	case <-ctx.Done():
	}
}

// write puts condition and nomination into the pod's status, unless they are there.
func (l *lane) write(ctx context.Context, rep report) {
	_, err := amend(client.WithCause(ctx, causeOf(rep.pod)), l.cfg.Client, rep.pod, func(p *corev1.Pod) *corev1.Pod {
		if p.Spec.NodeName != "" {
			return nil // another has bound it
		}
		return amended(p, rep.condition, rep.nominate)
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		l.cfg.Log.Warn("condition not written", "pod", rep.pod.Namespace+"/"+rep.pod.Name, "err", err)
	}
}

// causeOf is what a write for a pod is put down to.
func causeOf(pod *corev1.Pod) string {
	return fmt.Sprintf("scheduler %s/%s@%s", pod.Namespace, pod.Name, pod.ResourceVersion)
}

// amend writes what change makes of a pod's status, if anything: change must not touch the pod itself, and answers nil when nothing is to
// be written. A pod that changes meanwhile is read again, since the next try, which would say the same, may be minutes away. It returns the
// pod as it then is. Errors are the API's: NotFound for a pod that has gone, a Conflict for one that goes on changing.
func amend(ctx context.Context, c client.Client, pod *corev1.Pod, change func(*corev1.Pod) *corev1.Pod) (*corev1.Pod, error) {
	for try := 1; ; try++ {
		next := change(pod)
		if next == nil {
			return pod, nil
		}
		obj, err := c.Update(ctx, podResource(), next, "status")
		if err == nil {
			return obj.(*corev1.Pod), nil
		}
		if !apierrors.IsConflict(err) || try == statusTries {
			return nil, fmt.Errorf("update status of pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		if pod, err = current(ctx, c, pod.Namespace, pod.Name, pod.UID); err != nil {
			return nil, err
		}
	}
}

// current reads a pod. Its error is a NotFound also when there is another of that name.
func current(ctx context.Context, c client.Client, namespace, name string, uid types.UID) (*corev1.Pod, error) {
	obj, err := c.Get(ctx, podResource(), namespace, name)
	if err == nil && obj.GetUID() != uid {
		err = apierrors.NewNotFound(podResource().GroupResource(), name)
	}
	if err != nil {
		return nil, fmt.Errorf("read pod %s/%s: %w", namespace, name, err)
	}
	return obj.(*corev1.Pod), nil
}

// amended is a copy of pod with a condition and nominated to a node, each unless it is nil; nil when that says nothing new.
func amended(pod *corev1.Pod, c *corev1.PodCondition, node *string) *corev1.Pod {
	next := pod
	if c != nil {
		if with := withCondition(pod, *c); with != nil {
			next = with
		}
	}
	if node != nil && pod.Status.NominatedNodeName != *node {
		if next == pod {
			next = pod.DeepCopy()
		}
		next.Status.NominatedNodeName = *node
	}
	if next == pod {
		return nil
	}
	return next
}

// withCondition is a copy of pod with a condition; nil when it says nothing new.
func withCondition(pod *corev1.Pod, c corev1.PodCondition) *corev1.Pod {
	i := slices.IndexFunc(pod.Status.Conditions, func(o corev1.PodCondition) bool { return o.Type == c.Type })
	if i >= 0 {
		old := &pod.Status.Conditions[i]
		if old.Status == c.Status && old.Reason == c.Reason && old.Message == c.Message {
			return nil
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	next := pod.DeepCopy()
	if i < 0 {
		next.Status.Conditions = append(next.Status.Conditions, c)
	} else {
		next.Status.Conditions[i] = c
	}
	return next
}
