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
		event: eventsv1.Event{Type: corev1.EventTypeWarning, Reason: "FailedScheduling", Action: "Scheduling", Note: note},
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

// write puts the condition into the pod's status, unless it is there. A pod that changes meanwhile is read again, since the next try,
// which would say it again, may be minutes away.
func (l *lane) write(ctx context.Context, pod *corev1.Pod, c corev1.PodCondition) {
	cause := fmt.Sprintf("scheduler %s/%s@%s", pod.Namespace, pod.Name, pod.ResourceVersion)
	for range statusTries {
		next := withCondition(pod, c)
		if next == nil {
			return
		}
		_, err := l.cfg.Client.Update(client.WithCause(ctx, cause), podResource(), next, "status")
		if err == nil || apierrors.IsNotFound(err) {
			return
		}
		if !apierrors.IsConflict(err) {
			l.cfg.Log.Warn("condition not written", "pod", pod.Namespace+"/"+pod.Name, "err", err)
			return
		}
		obj, err := l.cfg.Client.Get(ctx, podResource(), pod.Namespace, pod.Name)
		if err != nil || obj.GetUID() != pod.UID {
			return // gone
		}
		if pod = obj.(*corev1.Pod); pod.Spec.NodeName != "" {
			return // another has bound it
		}
	}
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
