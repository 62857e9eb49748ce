// Package replicationcontroller keeps as many pods as each ReplicationController asks for.
//
// # Vocabulary and laws
//
// A ReplicationController is an older form of a ReplicaSet: its selector names labels only, and its status does not count the pods that are being deleted. All
// else, the laws too, is package replicaset's.
package replicationcontroller

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/replicaset"
	"github.com/floe-k8s/floe/internal/kinds"
)

// New returns the controller.
func New() engine.Controller {
	return replicaset.Kind{
		Name: "replicationcontroller", Queue: "replicationmanager", Component: "replication-controller",
		User:     "system:serviceaccount:kube-system:replication-controller",
		Resource: corev1.SchemeGroupVersion.WithResource("replicationcontrollers"), GVK: corev1.SchemeGroupVersion.WithKind("ReplicationController"),
		Read: read, Write: write,
	}.Controller()
}

// read is a ReplicationController as a ReplicaSet, which shares with it. One without a template, which validation refuses, makes pods of nothing.
func read(obj kinds.Object) *appsv1.ReplicaSet {
	from := obj.(*corev1.ReplicationController)
	set := &appsv1.ReplicaSet{
		ObjectMeta: from.ObjectMeta,
		Spec: appsv1.ReplicaSetSpec{
			Replicas: from.Spec.Replicas, MinReadySeconds: from.Spec.MinReadySeconds, Selector: &metav1.LabelSelector{MatchLabels: from.Spec.Selector},
		},
		Status: appsv1.ReplicaSetStatus{
			Replicas: from.Status.Replicas, FullyLabeledReplicas: from.Status.FullyLabeledReplicas, ReadyReplicas: from.Status.ReadyReplicas,
			AvailableReplicas: from.Status.AvailableReplicas, ObservedGeneration: from.Status.ObservedGeneration,
		},
	}
	if from.Spec.Template != nil {
		set.Spec.Template = *from.Spec.Template
	}
	for _, c := range from.Status.Conditions {
		set.Status.Conditions = append(set.Status.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return set
}

// write is a copy of a ReplicationController with a status.
func write(obj kinds.Object, st appsv1.ReplicaSetStatus) kinds.Object {
	next := obj.(*corev1.ReplicationController).DeepCopy()
	next.Status = corev1.ReplicationControllerStatus{
		Replicas: st.Replicas, FullyLabeledReplicas: st.FullyLabeledReplicas, ReadyReplicas: st.ReadyReplicas,
		AvailableReplicas: st.AvailableReplicas, ObservedGeneration: st.ObservedGeneration,
	}
	for _, c := range st.Conditions {
		next.Status.Conditions = append(next.Status.Conditions, corev1.ReplicationControllerCondition{
			Type: corev1.ReplicationControllerConditionType(c.Type), Status: c.Status, LastTransitionTime: c.LastTransitionTime, Reason: c.Reason, Message: c.Message,
		})
	}
	return next
}
