package core

import (
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

func lower(s string) string   { return strings.ToLower(s) }
func trimmed(s string) string { return strings.TrimSpace(s) }

// Pod is v1 Pod. Its life from the API's side:
//
//	Pending ── binding ──► Pending on a node ── status ──► Running ──► Succeeded or Failed
//	   │ delete                   │ delete: deletionTimestamp, the node stops it and deletes with grace 0
//	   └─► removed                └─► removed
func Pod() *kinds.Kind { return PodFor(DefaultStay()) }

// PodFor is v1 Pod in a cluster where pods stay so long on nodes that have become unwell.
func PodFor(stay Stay) *kinds.Kind {
	gvk := corev1.SchemeGroupVersion.WithKind("Pod")
	return &kinds.Kind{
		GVK: gvk, Resource: "pods", Singular: "pod", ShortNames: []string{"po"}, Categories: []string{"all"}, Namespaced: true, ReturnDeleted: true,
		MetaAgain:     kinds.MetaChangeFirst,
		New:           func() kinds.Object { return &corev1.Pod{} },
		NewList:       func() runtime.Object { return &corev1.PodList{} },
		Default:       defaultPod,
		Admission:     podAdmission(stay),
		PrepareCreate: preparePod,
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			pod, was := obj.(*corev1.Pod), old.(*corev1.Pod)
			pod.Status = *was.Status.DeepCopy()
			podspec.DropDisabled(&pod.Spec, &was.Spec)
			if changed(pod.Spec, was.Spec) {
				pod.Generation++
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if isStored(obj) {
				return nil // validatePodUpdate says all
			}
			return podspec.ValidatePod(obj.(*corev1.Pod), nil)
		},
		ValidateCreate: func(obj kinds.Object) field.ErrorList { return podspec.ValidateNewPod(obj.(*corev1.Pod)) },
		Warnings:       podWarnings,
		ValidateUpdate: validatePodUpdate,
		Delete:         deletePod,
		Columns:        podColumns(),
		RowConditions:  podRowConditions,
		Fields: func(obj kinds.Object) fields.Set {
			pod := obj.(*corev1.Pod)
			return fields.Set{
				"spec.nodeName": pod.Spec.NodeName, "spec.restartPolicy": string(pod.Spec.RestartPolicy), "spec.schedulerName": pod.Spec.SchedulerName,
				"spec.serviceAccountName": pod.Spec.ServiceAccountName, "spec.hostNetwork": strconv.FormatBool(pod.Spec.HostNetwork),
				"status.phase": string(pod.Status.Phase), "status.podIP": pod.Status.PodIP, "status.podIPs": "", // upstream lets it be asked for, and finds nothing
				"status.nominatedNodeName": pod.Status.NominatedNodeName,
			}
		},
		Adopted: true,
		Facts: []kinds.Fact{
			{Name: "spec.nodeName", Path: []int32{2, 10}, Index: true}, {Name: "spec.restartPolicy", Path: []int32{2, 3}},
			{Name: "spec.schedulerName", Path: []int32{2, 19}}, {Name: "spec.serviceAccountName", Path: []int32{2, 8}},
			{Name: "status.phase", Path: []int32{3, 1}}, {Name: "status.podIP", Path: []int32{3, 6}}, {Name: "status.nominatedNodeName", Path: []int32{3, 11}},
		},
		Resets: []string{"status"},
		Subresources: []kinds.Subresource{
			stream("attach", "PodAttachOptions", intoContainer("attach")),
			{Name: "binding", GVK: corev1.SchemeGroupVersion.WithKind("Binding"), Verbs: []string{"create"}, New: func() runtime.Object { return &corev1.Binding{} }, Create: bindPod, ValidateBody: validBinding},
			{Name: "ephemeralcontainers", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Owns: []string{"spec.ephemeralContainers"}, Update: addEphemeral},
			{
				Name: "eviction", GVK: policyv1.SchemeGroupVersion.WithKind("Eviction"), Verbs: []string{"create"},
				Older: []schema.GroupVersionKind{{Group: policyv1.GroupName, Version: "v1beta1", Kind: "Eviction"}},
				New:   func() runtime.Object { return &policyv1.Eviction{} }, Create: evictPod,
			},
			stream("exec", "PodExecOptions", intoContainer("exec")),
			{Name: "log", GVK: gvk, Verbs: []string{"get"}, Node: podLog},
			stream("portforward", "PodPortForwardOptions", intoPorts),
			proxyOf("PodProxyOptions", podPlace),
			{Name: "resize", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Update: resizePod,
				Owns: []string{"spec.containers.*.resources", "spec.initContainers.*.resources"}}, // upstream names resizePolicy too, to no avail
			{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec", "metadata.deletionTimestamp", "metadata.ownerReferences"}, Update: podStatus, Warnings: oddIPs},
		},
	}
}

func defaultPod(obj kinds.Object) {
	pod := obj.(*corev1.Pod)
	podspec.Default(&pod.Spec)
	podspec.DefaultPod(&pod.Spec)
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil && *g < 0 { // in a template it stays, and is refused or not
		shortest := int64(1)
		pod.Spec.TerminationGracePeriodSeconds = &shortest
	}
	joinIPs(&pod.Status)
}

// joinIPs makes a pod's address and the first of all its addresses one, which older clients know as podIP: where both are given it wins.
func joinIPs(s *corev1.PodStatus) {
	if s.PodIP != "" && (len(s.PodIPs) == 0 || s.PodIPs[0].IP != s.PodIP) {
		s.PodIPs = []corev1.PodIP{{IP: s.PodIP}}
	}
	if len(s.PodIPs) > 0 {
		s.PodIP = s.PodIPs[0].IP
	}
}

// preparePod makes a new pod's first status.
func preparePod(env kinds.Env, obj kinds.Object) {
	pod := obj.(*corev1.Pod)
	pod.Generation = 1
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: podspec.QOSClass(&pod.Spec)}
	podspec.DropDisabled(&pod.Spec, nil)
	markGates(env, pod)
	podspec.MergeLabelKeys(pod)
	podspec.ApplyArmor(pod)
}

// markGates says of a new pod with scheduling gates that it is not to be scheduled yet (KEP-3521). Who schedules it says more later.
func markGates(env kinds.Env, pod *corev1.Pod) {
	if len(pod.Spec.SchedulingGates) > 0 {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(env.Now).Rfc3339Copy(),
			Reason: corev1.PodReasonSchedulingGated, Message: "Scheduling is blocked due to non-empty scheduling gates",
		})
	}
}

func conditionAt(list []corev1.PodCondition, t corev1.PodConditionType) int {
	for i, c := range list {
		if c.Type == t {
			return i
		}
	}
	return -1
}

// deletePod: a pod that no node runs, or that has ended, goes at once; the others when their node has stopped them.
func deletePod(_ kinds.Env, obj kinds.Object, opts *metav1.DeleteOptions) kinds.Deletion {
	pod := obj.(*corev1.Pod)
	grace := int64(corev1.DefaultTerminationGracePeriodSeconds)
	if own := pod.Spec.TerminationGracePeriodSeconds; own != nil {
		grace = *own
	}
	if opts.GracePeriodSeconds != nil {
		grace = *opts.GracePeriodSeconds
	}
	if grace < 0 {
		grace = 1
	}
	if pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		grace = 0
	}
	return kinds.Deletion{Graceful: true, Grace: time.Duration(grace) * time.Second}
}
