package nodelifecycle

import (
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// health is what is remembered of a node.
type health struct {
	uid     types.UID
	looked  bool         // was looked at, and not only counted
	posted  *metav1.Time // heartbeat of its condition Ready when it was seen last; nil: it had none
	renewed *metav1.MicroTime
	alive   time.Time // when it was last seen to live

	zone           string
	counted, ready bool      // stands in its zone's numbers; as a ready one
	asked          time.Time // for the first time to have a taint that evicts; zero: it has one, or needs none
	granted        bool      // may have it, and has it not yet
	marking        bool      // its pods are being marked
}

func condition(n *corev1.Node, of corev1.NodeConditionType) *corev1.NodeCondition {
	i := slices.IndexFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == of })
	if i < 0 {
		return nil
	}
	return &n.Status.Conditions[i]
}

// readiness is the status of a node's condition Ready; "" when it has none.
func readiness(n *corev1.Node) corev1.ConditionStatus {
	if c := condition(n, corev1.NodeReady); c != nil {
		return c.Status
	}
	return ""
}

// see takes in what a node says now. lease may be nil.
func (h *health) see(n *corev1.Node, lease *coordinationv1.Lease, now time.Time) {
	ready := condition(n, corev1.NodeReady)
	switch {
	case !h.looked && ready == nil: // it never said anything
		h.alive = n.CreationTimestamp.Time
	case !h.looked, (h.posted == nil) != (ready == nil), ready != nil && !ready.LastHeartbeatTime.Equal(h.posted):
		h.alive = now
	}
	h.looked, h.posted = true, nil
	if ready != nil {
		h.posted = &ready.LastHeartbeatTime
	}
	h.renew(lease, now)
}

// renew takes in a lease.
func (h *health) renew(lease *coordinationv1.Lease, now time.Time) {
	if lease == nil || lease.Spec.RenewTime == nil || h.renewed != nil && !h.renewed.Before(lease.Spec.RenewTime) {
		return
	}
	h.renewed, h.alive = lease.Spec.RenewTime, now
}

// lost returns the conditions of a node that has been silent for too long; nil when they stay as they are.
func lost(n *corev1.Node, now time.Time) []corev1.NodeCondition {
	if readiness(n) == corev1.ConditionUnknown {
		return nil
	}
	at, list := metav1.NewTime(now), slices.Clone(n.Status.Conditions)
	// NetworkUnavailable is not among them: kubelets do not post it.
	for _, of := range []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		i := slices.IndexFunc(list, func(c corev1.NodeCondition) bool { return c.Type == of })
		switch {
		case i < 0:
			list = append(list, corev1.NodeCondition{Type: of, Status: corev1.ConditionUnknown, Reason: "NodeStatusNeverUpdated",
				Message: "Kubelet never posted node status.", LastHeartbeatTime: n.CreationTimestamp, LastTransitionTime: at})
		case list[i].Status != corev1.ConditionUnknown:
			c := &list[i]
			c.Status, c.Reason, c.Message, c.LastTransitionTime = corev1.ConditionUnknown, "NodeStatusUnknown", "Kubelet stopped posting node status.", at
		}
	}
	return list
}
