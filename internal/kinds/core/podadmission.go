package core

import (
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// podAdmission is what upstream's plug-ins that are on by default do with pods.
func podAdmission(stay Stay) []kinds.Admission {
	return []kinds.Admission{
		{Plugin: "Priority", Admit: admitPriority},
		{Plugin: "DefaultTolerationSeconds", Admit: stay.tolerate},
		{Plugin: "RuntimeClass", Admit: admitRuntimeClass},
	}
}

func forbidPod(pod *corev1.Pod, format string, args ...any) error {
	return apierrors.NewForbidden(corev1.Resource("pods"), pod.Name, fmt.Errorf(format, args...))
}

// admitPriority gives a new pod its class's priority. A changed pod keeps it: a client that puts the manifest that it once applied leaves out what was
// added, and must not be refused for it.
func admitPriority(_ kinds.Env, obj, old kinds.Object, see kinds.Reader) error {
	pod := obj.(*corev1.Pod)
	if old != nil {
		keepPriority(&pod.Spec, &old.(*corev1.Pod).Spec)
		return nil
	}
	class, err := priorityOf(pod, see)
	if err != nil {
		return err
	}
	pod.Spec.PriorityClassName = class.Name
	if given := pod.Spec.Priority; given != nil && *given != class.Value {
		return forbidPod(pod, "the integer value of priority (%d) must not be provided in pod spec; priority admission controller computed %d from the given PriorityClass name", *given, class.Value)
	}
	pod.Spec.Priority = &class.Value
	if class.PreemptionPolicy == nil {
		return nil
	}
	policy := *class.PreemptionPolicy
	if given := pod.Spec.PreemptionPolicy; given != nil && *given != policy {
		return forbidPod(pod, "the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from the given PriorityClass name", *given, policy)
	}
	pod.Spec.PreemptionPolicy = &policy
	return nil
}

func keepPriority(s, was *corev1.PodSpec) {
	if s.Priority == nil && was.Priority != nil {
		priority := *was.Priority
		s.Priority = &priority
	}
	if s.PreemptionPolicy == nil && was.PreemptionPolicy != nil {
		policy := *was.PreemptionPolicy
		s.PreemptionPolicy = &policy
	}
}

// priorityOf returns a copy of the class that the pod names, or else of the default one: where a race made several, that with the lowest value.
func priorityOf(pod *corev1.Pod, see kinds.Reader) (schedulingv1.PriorityClass, error) {
	res := schedulingv1.SchemeGroupVersion.WithResource("priorityclasses")
	if name := pod.Spec.PriorityClassName; name != "" {
		class, ok := see.Get(res, "", name).(*schedulingv1.PriorityClass)
		if !ok {
			return schedulingv1.PriorityClass{}, forbidPod(pod, "no PriorityClass with name %v was found", name)
		}
		return *class, nil
	}
	lower := corev1.PreemptLowerPriority
	class := schedulingv1.PriorityClass{PreemptionPolicy: &lower}
	see.Each(res, "", func(obj kinds.Object) bool {
		if c := obj.(*schedulingv1.PriorityClass); c.GlobalDefault && (class.Name == "" || c.Value < class.Value) {
			class = *c
		}
		return true
	})
	return class, nil
}

// admitRuntimeClass gives a new pod what its runtime class says of overhead and placement.
func admitRuntimeClass(_ kinds.Env, obj, old kinds.Object, see kinds.Reader) error {
	pod := obj.(*corev1.Pod)
	if old != nil {
		return nil
	}
	class := &nodev1.RuntimeClass{}
	if name := pod.Spec.RuntimeClassName; name != nil {
		found, ok := see.Get(nodev1.SchemeGroupVersion.WithResource("runtimeclasses"), "", *name).(*nodev1.RuntimeClass)
		if !ok {
			return forbidPod(pod, "pod rejected: RuntimeClass %q not found", *name)
		}
		class = found
	}
	switch o := class.Overhead; {
	case o == nil && pod.Spec.Overhead != nil:
		return forbidPod(pod, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
	case o != nil && len(pod.Spec.Overhead) > 0 && !equality.Semantic.DeepEqual(o.PodFixed, pod.Spec.Overhead):
		return forbidPod(pod, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
	case o != nil:
		pod.Spec.Overhead = o.PodFixed.DeepCopy()
	}
	if class.Scheduling == nil {
		return nil
	}
	return placeByClass(pod, class.Scheduling)
}

// placeByClass joins what pod and class say of nodes.
func placeByClass(pod *corev1.Pod, s *nodev1.Scheduling) error {
	for key, want := range s.NodeSelector {
		if have, ok := pod.Spec.NodeSelector[key]; ok && have != want {
			return forbidPod(pod, "conflict: runtimeClass.scheduling.nodeSelector[%s] = %s; pod.spec.nodeSelector[%s] = %s", key, want, key, have)
		}
	}
	if pod.Spec.NodeSelector == nil {
		pod.Spec.NodeSelector = maps.Clone(s.NodeSelector)
	} else {
		maps.Copy(pod.Spec.NodeSelector, s.NodeSelector)
	}
	pod.Spec.Tolerations = podspec.MergeTolerations(pod.Spec.Tolerations, s.Tolerations)
	return nil
}
