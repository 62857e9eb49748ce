package preempt

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// Eviction is what is written about one victim, in this order: the condition to its status (unless it has it, all but its
// time), the deletion (with the victim's own grace), the event. A victim that is gone by then is no error and has no event.
type Eviction struct {
	Victim    place.Placed
	Condition corev1.PodCondition // time and observed generation are the writer's
	// The event is about the victim and related to the preemptor.
	EventType, Reason, Action, Note string
}

// Writes is what is done about a plan with a node.
//
//	Renounce ─→ Evictions but the last, at once ─→ the last one
//
// It is done beside deciding. Meanwhile the preemptor, which is nominated to the node as soon as the plan is made (its
// status says so in the same write as its condition PodScheduled), stays out of the queue's way with MessageUnderway, until
// the last eviction is under way or something failed. A failure to renounce is not; a failed eviction ends the rest, and
// the preemptor is to be tried again at once.
type Writes struct {
	// Renounce are the pods of lower priority that are nominated to the node: their status.nominatedNodeName is emptied, and
	// they are tried again.
	Renounce  []place.Placed
	Evictions []Eviction // without the victims that terminate already
}

// MessageUnderway is why a pod is not tried while its victims are being evicted.
const MessageUnderway = "waiting for the preemption for this pod to be finished"

// Writes is what is done about the plan for a pod. With no evictions in it (the plan has no node, or all victims terminate
// already) nothing is: nominated pods keep their nominations too.
func (p *Preemptor) Writes(pod *corev1.Pod, plan Plan) Writes {
	var w Writes
	for _, v := range plan.Victims {
		if !v.Terminating {
			w.Evictions = append(w.Evictions, evict(pod, plan.Node, v))
		}
	}
	if len(w.Evictions) == 0 {
		return w
	}
	priority := schedulinghelpers.PodPriority(pod)
	for _, n := range p.table.Nominees(plan.Node) {
		if n.Priority < priority && n.UID != pod.UID {
			w.Renounce = append(w.Renounce, n)
		}
	}
	return w
}

func evict(pod *corev1.Pod, node string, v place.Placed) Eviction {
	return Eviction{Victim: v,
		Condition: corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: corev1.PodReasonPreemptionByScheduler,
			Message: fmt.Sprintf("%s: preempting to accommodate a higher priority pod", pod.Spec.SchedulerName)},
		EventType: corev1.EventTypeNormal, Reason: "Preempted", Action: "Preempting",
		Note: fmt.Sprintf("Preempted by pod %v on node %v", pod.UID, node)}
}

// Tail joins what PostFilter plug-ins say in their order; those that say nothing do not count.
func Tail(messages ...string) string {
	var said []string
	for _, m := range messages {
		if m != "" {
			said = append(said, m)
		}
	}
	return strings.Join(said, ", ")
}
