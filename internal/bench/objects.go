package bench

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// nobody is a scheduler that is not there: pods of it are stored and served like others, and never run.
const nobody = "floe-bench-nobody"

// nodeLabel marks the nodes of one run, so that its pods go there and no other pods are meant to.
const nodeLabel = "floe.dev/bench"

// resourceKind is what the loop needs to know of a kind: where its objects are, and how number 0 of them looks.
type resourceKind struct {
	name    string // in paths, and as --kind
	version schema.GroupVersion
	cluster bool // not in a namespace
	example func(o *Options) runtime.Object
}

func configMaps() resourceKind {
	return resourceKind{name: "configmaps", version: corev1.SchemeGroupVersion, example: func(o *Options) runtime.Object {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name(o.prefix(), 0)}, Data: map[string]string{"key": "value"}}
	}}
}

// idlePods are pods that no scheduler takes.
func idlePods() resourceKind {
	return resourceKind{name: "pods", version: corev1.SchemeGroupVersion, example: func(o *Options) runtime.Object {
		pod := podOf(o)
		pod.Spec.SchedulerName = nobody
		return pod
	}}
}

// livePods are pods that run, on any node.
func livePods() resourceKind {
	return resourceKind{name: "pods", version: corev1.SchemeGroupVersion, example: func(o *Options) runtime.Object { return podOf(o) }}
}

// boundPods are pods that are only bound: with nodes of the run's own they go there, whatever taints these are given.
func boundPods() resourceKind {
	return resourceKind{name: "pods", version: corev1.SchemeGroupVersion, example: func(o *Options) runtime.Object {
		pod := podOf(o)
		if o.Nodes > 0 {
			pod.Spec.NodeSelector = map[string]string{nodeLabel: o.RunID}
			pod.Spec.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
		}
		return pod
	}}
}

func podOf(o *Options) *corev1.Pod {
	grace, token := int64(1), false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name(o.prefix(), 0), Labels: map[string]string{"app": "floe-bench"}},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			AutomountServiceAccountToken:  &token, // no controller need be there to make one
			Containers: []corev1.Container{{
				Name: "main", Image: o.Image, Args: o.Args, ImagePullPolicy: corev1.PullIfNotPresent,
			}},
		},
	}
}

// nodes are Node objects with nobody behind them; they say that they are ready, and have room for 110 pods each.
func nodes() resourceKind {
	return resourceKind{name: "nodes", version: corev1.SchemeGroupVersion, cluster: true, example: func(o *Options) runtime.Object {
		room := corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("32"), corev1.ResourceMemory: resource.MustParse("256Gi"), corev1.ResourcePods: resource.MustParse("110"),
		}
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name(o.prefix(), 0), Labels: map[string]string{nodeLabel: o.RunID}},
			Status: corev1.NodeStatus{Capacity: room, Allocatable: room, Conditions: []corev1.NodeCondition{{
				Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "FloeBench", Message: "made for a measurement",
			}}},
		}
	}}
}

// kindNamed gives --kind's kind of create, get, list and patch.
func kindNamed(name string) (resourceKind, bool) {
	for _, kind := range []resourceKind{idlePods(), configMaps()} {
		if kind.name == name {
			return kind, true
		}
	}
	return resourceKind{}, false
}
