package core

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/diff"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// validatePodUpdate allows what may change of a pod: images, a nearer deadline, more tolerations, fewer gates, a negative grace made 1. It says all that
// is wrong with an updated pod, in upstream's order.
func validatePodUpdate(obj, old kinds.Object) field.ErrorList {
	pod, was := obj.(*corev1.Pod), old.(*corev1.Pod)
	path := field.NewPath("spec")
	errs := podspec.ValidatePod(pod, was)
	errs = append(errs, podspec.ValidateAnnotationsUpdate(pod, was, field.NewPath("metadata", "annotations"))...)
	for _, list := range []struct {
		name     string
		now, was []corev1.Container
	}{{"containers", pod.Spec.Containers, was.Spec.Containers}, {"initContainers", pod.Spec.InitContainers, was.Spec.InitContainers}} {
		if len(list.now) != len(list.was) {
			return append(errs, field.Forbidden(path.Child(list.name), "pod updates may not add or remove containers"))
		}
		errs = append(errs, newImages(list.now, path.Child(list.name))...)
	}
	bad, stop := deadlineUpdate(pod.Spec.ActiveDeadlineSeconds, was.Spec.ActiveDeadlineSeconds, path.Child("activeDeadlineSeconds"))
	if errs = append(errs, bad...); stop {
		return errs
	}
	if !keepsTolerations(pod.Spec.Tolerations, was.Spec.Tolerations) {
		errs = append(errs, field.Forbidden(path.Child("tolerations"), "existing toleration can not be modified except its tolerationSeconds"))
	} else {
		errs = append(errs, podspec.ValidateTolerations(&pod.Spec, &was.Spec, path.Child("tolerations"))...)
	}
	errs = append(errs, newGates(pod.Spec.SchedulingGates, was.Spec.SchedulingGates, path.Child("schedulingGates"))...)
	if !changed(pod.Spec, was.Spec) {
		return errs
	}
	return append(errs, validateRest(pod, was, path)...)
}

// newImages checks the images again, as upstream does: who is refused reads it twice.
func newImages(list []corev1.Container, path *field.Path) (errs field.ErrorList) {
	for i := range list {
		image, at := list[i].Image, path.Index(i).Child("image")
		if image == "" {
			errs = append(errs, field.Required(at, ""))
		}
		if strings.TrimSpace(image) != image {
			errs = append(errs, field.Invalid(at, image, "must not have leading or trailing whitespace"))
		}
	}
	return errs
}

// validateRest makes equal what may differ, and refuses every other difference.
func validateRest(pod, was *corev1.Pod, path *field.Path) (errs field.ErrorList) {
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
	if len(was.Spec.SchedulingGates) > 0 {
		errs = append(errs, narrowed(&like, &was.Spec, path)...)
	}
	if changed(like, was.Spec) {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("pod updates may not change fields other than %s\n%v",
			"`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
			diff.Diff(podspec.Shown(&was.Spec), podspec.Shown(&like)))))
	}
	return errs
}

// deadlineUpdate lets a deadline come nearer. stop: upstream looks no further.
func deadlineUpdate(now, was *int64, path *field.Path) (errs field.ErrorList, stop bool) {
	switch {
	case now == nil && was != nil:
		return field.ErrorList{field.Invalid(path, now, "must not update from a positive integer to nil value")}, false
	case now == nil:
		return nil, false
	case *now < 0 || *now > math.MaxInt32:
		return field.ErrorList{field.Invalid(path, *now, utilvalidation.InclusiveRangeError(0, math.MaxInt32))}, true
	case was != nil && *now > *was:
		return field.ErrorList{field.Invalid(path, *now, "must be less than or equal to previous value")}, true
	}
	return nil, false
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

func newGates(now, was []corev1.PodSchedulingGate, path *field.Path) (errs field.ErrorList) {
	for i, g := range now {
		if !slices.Contains(was, g) {
			errs = append(errs, field.Forbidden(path.Index(i).Child("name"), fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", g.Name)))
		}
	}
	return errs
}

// narrowed allows a pod with gates to be sent to fewer nodes than before (KEP-3838), and makes of now what it was otherwise.
func narrowed(now, was *corev1.PodSpec, path *field.Path) (errs field.ErrorList) {
	for k, v := range was.NodeSelector {
		if got, ok := now.NodeSelector[k]; !ok || got != v {
			errs = append(errs, field.Invalid(path.Child("nodeSelector"), now.NodeSelector, "only additions to spec.nodeSelector are allowed (no mutations or deletions)"))
			break
		}
	}
	now.NodeSelector = was.NodeSelector
	mine, old := nodeAffinity(now), nodeAffinity(was)
	if !changed(mine, old) {
		return errs
	}
	errs = append(errs, narrowedTerms(requiredTerms(mine), requiredTerms(old),
		path.Child("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"))...)
	switch {
	case now.Affinity == nil:
		now.Affinity = &corev1.Affinity{NodeAffinity: old}
	case was.Affinity == nil && now.Affinity.PodAffinity == nil && now.Affinity.PodAntiAffinity == nil:
		now.Affinity = nil
	default:
		now.Affinity.NodeAffinity = old
	}
	return errs
}

func nodeAffinity(s *corev1.PodSpec) *corev1.NodeAffinity {
	if s.Affinity == nil {
		return nil
	}
	return s.Affinity.NodeAffinity
}

func requiredTerms(a *corev1.NodeAffinity) []corev1.NodeSelectorTerm {
	if a == nil || a.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return nil
	}
	return a.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
}

// narrowedTerms: terms are alternatives, so one more would widen; requirements in a term all hold, so one more narrows.
func narrowedTerms(now, was []corev1.NodeSelectorTerm, path *field.Path) (errs field.ErrorList) {
	if len(was) > 0 && len(was) != len(now) {
		return field.ErrorList{field.Invalid(path, now, "no additions/deletions to non-empty NodeSelectorTerms list are allowed")}
	}
	for i, old := range was {
		// A term without requirements matches nothing; with some it would match.
		none := len(old.MatchExpressions)+len(old.MatchFields) == 0
		grown := len(now[i].MatchExpressions)+len(now[i].MatchFields) > 0
		if none && grown || !begins(now[i].MatchExpressions, old.MatchExpressions) || !begins(now[i].MatchFields, old.MatchFields) {
			errs = append(errs, field.Invalid(path.Index(i), now[i], "only additions are allowed (no mutations or deletions)"))
		}
	}
	return errs
}

func begins(list, with []corev1.NodeSelectorRequirement) bool {
	return len(list) >= len(with) && (len(with) == 0 || !changed(list[:len(with)], with))
}
