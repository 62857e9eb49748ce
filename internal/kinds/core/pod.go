package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/diff"
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
func Pod() *kinds.Kind {
	gvk := corev1.SchemeGroupVersion.WithKind("Pod")
	return &kinds.Kind{
		GVK: gvk, Resource: "pods", Singular: "pod", ShortNames: []string{"po"}, Categories: []string{"all"}, Namespaced: true, ReturnDeleted: true,
		New:           func() kinds.Object { return &corev1.Pod{} },
		NewList:       func() runtime.Object { return &corev1.PodList{} },
		Default:       func(obj kinds.Object) { podspec.Default(&obj.(*corev1.Pod).Spec) },
		PrepareCreate: preparePod,
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			pod, was := obj.(*corev1.Pod), old.(*corev1.Pod)
			pod.Status = *was.Status.DeepCopy()
			if changed(pod.Spec, was.Spec) {
				pod.Generation++
			}
			markGates(pod)
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			return podspec.Validate(&obj.(*corev1.Pod).Spec, field.NewPath("spec"))
		},
		ValidateUpdate: validatePodUpdate,
		Delete:         deletePod,
		Columns:        podColumns(),
		Fields: func(obj kinds.Object) fields.Set {
			pod := obj.(*corev1.Pod)
			return fields.Set{
				"spec.nodeName": pod.Spec.NodeName, "spec.restartPolicy": string(pod.Spec.RestartPolicy), "spec.schedulerName": pod.Spec.SchedulerName,
				"spec.serviceAccountName": pod.Spec.ServiceAccountName, "spec.hostNetwork": strconv.FormatBool(pod.Spec.HostNetwork),
				"status.phase": string(pod.Status.Phase), "status.podIP": pod.Status.PodIP, "status.nominatedNodeName": pod.Status.NominatedNodeName,
			}
		},
		Indexes: []kinds.Index{{Name: "spec.nodeName", Values: func(obj kinds.Object) []string { return []string{obj.(*corev1.Pod).Spec.NodeName} }}},
		Subresources: []kinds.Subresource{
			{Name: "binding", GVK: corev1.SchemeGroupVersion.WithKind("Binding"), Verbs: []string{"create"}, New: func() runtime.Object { return &corev1.Binding{} }, Create: bindPod},
			{Name: "log", GVK: gvk, Verbs: []string{"get"}, Node: podLog},
			{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Update: podStatus},
		},
	}
}

// preparePod makes a new pod's first status, and does what upstream's admission plug-ins do to every pod that are on by default and
// need nothing else: DefaultTolerationSeconds and Priority.
func preparePod(_ kinds.Env, obj kinds.Object) {
	pod := obj.(*corev1.Pod)
	pod.Generation = 1
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: podspec.QOSClass(&pod.Spec)}
	markGates(pod)
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		tolerate(&pod.Spec, key)
	}
	if pod.Spec.PriorityClassName == "" && pod.Spec.Priority == nil {
		none, lower := int32(0), corev1.PreemptLowerPriority
		pod.Spec.Priority = &none
		if pod.Spec.PreemptionPolicy == nil {
			pod.Spec.PreemptionPolicy = &lower
		}
	}
}

// tolerate lets a pod stay for five minutes on a node that has become unwell, unless it says otherwise.
func tolerate(s *corev1.PodSpec, key string) {
	for _, t := range s.Tolerations {
		if (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "") {
			return
		}
	}
	seconds := int64(300)
	s.Tolerations = append(s.Tolerations, corev1.Toleration{
		Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds,
	})
}

// markGates says of a pod with scheduling gates that it is not to be scheduled yet (KEP-3521).
func markGates(pod *corev1.Pod) {
	i := conditionAt(pod.Status.Conditions, corev1.PodScheduled)
	switch gated := len(pod.Spec.SchedulingGates) > 0; {
	case gated && i < 0:
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated, Message: "Scheduling is blocked due to non-empty scheduling gates",
		})
	case !gated && i >= 0 && pod.Status.Conditions[i].Reason == corev1.PodReasonSchedulingGated:
		pod.Status.Conditions = append(pod.Status.Conditions[:i:i], pod.Status.Conditions[i+1:]...)
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

// validatePodUpdate allows what may change of a pod: images, a nearer deadline, more tolerations, fewer gates, a negative grace made 1.
func validatePodUpdate(obj, old kinds.Object) (errs field.ErrorList) {
	pod, was := obj.(*corev1.Pod), old.(*corev1.Pod)
	path := field.NewPath("spec")
	if len(pod.Spec.Containers) != len(was.Spec.Containers) {
		return field.ErrorList{field.Forbidden(path.Child("containers"), "pod updates may not add or remove containers")}
	}
	if len(pod.Spec.InitContainers) != len(was.Spec.InitContainers) {
		return field.ErrorList{field.Forbidden(path.Child("initContainers"), "pod updates may not add or remove containers")}
	}
	errs = append(errs, deadlineUpdate(pod.Spec.ActiveDeadlineSeconds, was.Spec.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))...)
	if !keepsTolerations(pod.Spec.Tolerations, was.Spec.Tolerations) {
		errs = append(errs, field.Forbidden(path.Child("tolerations"), "existing toleration can not be modified except its tolerationSeconds"))
	}
	if extra := newGates(pod.Spec.SchedulingGates, was.Spec.SchedulingGates); len(extra) > 0 {
		errs = append(errs, field.Forbidden(path.Child("schedulingGates"), fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", strings.Join(extra, ","))))
	}
	if len(errs) > 0 {
		return errs
	}
	like := *pod.Spec.DeepCopy()
	for i := range like.Containers {
		like.Containers[i].Image = was.Spec.Containers[i].Image
	}
	for i := range like.InitContainers {
		like.InitContainers[i].Image = was.Spec.InitContainers[i].Image
	}
	like.ActiveDeadlineSeconds, like.Tolerations, like.SchedulingGates = was.Spec.ActiveDeadlineSeconds, was.Spec.Tolerations, was.Spec.SchedulingGates
	if g := was.Spec.TerminationGracePeriodSeconds; g != nil && *g < 0 && like.TerminationGracePeriodSeconds != nil && *like.TerminationGracePeriodSeconds == 1 {
		like.TerminationGracePeriodSeconds = g
	}
	if changed(like, was.Spec) {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("pod updates may not change fields other than %s\n%v",
			"`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
			diff.Diff(was.Spec, like))))
	}
	return errs
}

func deadlineUpdate(now, was *int64, path *field.Path) field.ErrorList {
	switch {
	case now == nil && was != nil:
		return field.ErrorList{field.Invalid(path, now, "must not update from a positive integer to nil value")}
	case now != nil && was != nil && *now > *was:
		return field.ErrorList{field.Invalid(path, *now, "must be less than or equal to previous value")}
	}
	return nil
}

func keepsTolerations(now, was []corev1.Toleration) bool {
	for _, old := range was {
		found := false
		for _, t := range now {
			t.TolerationSeconds = old.TolerationSeconds
			found = found || !changed(t, old)
		}
		if !found {
			return false
		}
	}
	return true
}

func newGates(now, was []corev1.PodSchedulingGate) (extra []string) {
	had := map[string]bool{}
	for _, g := range was {
		had[g.Name] = true
	}
	for _, g := range now {
		if !had[g.Name] {
			extra = append(extra, g.Name)
		}
	}
	return extra
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

// podStatus takes the status alone, and keeps of the rest what is there.
func podStatus(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
	pod, was := obj.(*corev1.Pod), old.(*corev1.Pod)
	pod.Spec = *was.Spec.DeepCopy()
	pod.DeletionTimestamp, pod.OwnerReferences = was.DeletionTimestamp, was.OwnerReferences
	if pod.Status.QOSClass == "" {
		pod.Status.QOSClass = was.Status.QOSClass
	}
	if pod.Status.QOSClass != was.Status.QOSClass && was.Status.QOSClass != "" {
		return field.ErrorList{field.Invalid(field.NewPath("status", "qosClass"), pod.Status.QOSClass, "field is immutable")}
	}
	return nil
}
