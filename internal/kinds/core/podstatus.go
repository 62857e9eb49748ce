package core

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// podStatus takes the status alone, and keeps of the rest what is there.
func podStatus(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
	pod, was := obj.(*corev1.Pod), old.(*corev1.Pod)
	pod.Spec = *was.Spec.DeepCopy()
	pod.DeletionTimestamp, pod.OwnerReferences = was.DeletionTimestamp, was.OwnerReferences
	if pod.Status.QOSClass == "" {
		pod.Status.QOSClass = was.Status.QOSClass
	}
	keepObserved(&pod.Status, &was.Status)
	return validatePodStatus(pod, was)
}

// keepObserved keeps the generations that were observed where a status leaves them out, as one of an older node does.
func keepObserved(now, was *corev1.PodStatus) {
	if now.ObservedGeneration == 0 {
		now.ObservedGeneration = was.ObservedGeneration
	}
	seen := map[corev1.PodConditionType][]int64{}
	for _, c := range was.Conditions {
		seen[c.Type] = append(seen[c.Type], c.ObservedGeneration)
	}
	for i := range now.Conditions {
		c := &now.Conditions[i]
		list := seen[c.Type]
		if len(list) == 0 {
			continue
		}
		if c.ObservedGeneration == 0 {
			c.ObservedGeneration = list[0]
		}
		seen[c.Type] = list[1:]
	}
}

func validatePodStatus(pod, was *corev1.Pod) (errs field.ErrorList) {
	at, s, before := field.NewPath("status"), &pod.Status, &was.Status
	errs = append(errs, validateConditions(s.Conditions, at.Child("conditions"))...)
	if name := s.NominatedNodeName; name != before.NominatedNodeName && name != "" {
		at := at.Child("nominatedNodeName")
		for _, msg := range validation.NameIsDNSSubdomain(name, false) {
			errs = append(errs, field.Invalid(at, name, msg))
		}
		if was.Spec.NodeName != "" {
			errs = append(errs, field.Forbidden(at, "may not be set on pods that are already bound to a node"))
		}
	}
	if n := s.ObservedGeneration; n < 0 {
		errs = append(errs, field.Invalid(at.Child("observedGeneration"), n, "must be a non-negative integer"))
	}
	errs = append(errs, validation.ValidateImmutableField(s.QOSClass, before.QOSClass, at.Child("qosClass"))...)
	errs = append(errs, validateStates(s.ContainerStatuses, before.ContainerStatuses, &was.Spec, was.Spec.Containers, at.Child("containerStatuses"))...)
	errs = append(errs, validateStates(s.InitContainerStatuses, before.InitContainerStatuses, &was.Spec, was.Spec.InitContainers, at.Child("initContainerStatuses"))...)
	errs = append(errs, validateEnded(s.EphemeralContainerStatuses, before.EphemeralContainerStatuses, at.Child("ephemeralContainerStatuses"),
		func(string, int32) bool { return false })...)
	return append(errs, validateIPs(s, before, at)...)
}

func validateConditions(list []corev1.PodCondition, at *field.Path) (errs field.ErrorList) {
	for i, c := range list {
		if c.ObservedGeneration < 0 {
			errs = append(errs, field.Invalid(at.Index(i).Child("observedGeneration"), c.ObservedGeneration, "must be a non-negative integer"))
		}
		for _, msg := range utilvalidation.IsQualifiedName(string(c.Type)) {
			errs = append(errs, field.Invalid(at.Index(i).Child("Type"), string(c.Type), msg)) // upstream's spelling
		}
	}
	return errs
}

// validateStates: a container that has ended stays so, unless it is to be restarted.
func validateStates(now, was []corev1.ContainerStatus, s *corev1.PodSpec, list []corev1.Container, at *field.Path) field.ErrorList {
	if restartsAll(s.InitContainers) || restartsAll(s.Containers) {
		return nil
	}
	return validateEnded(now, was, at, func(name string, code int32) bool {
		for i := range list {
			if list[i].Name == name {
				return restarts(&list[i], s.RestartPolicy, code)
			}
		}
		return false
	})
}

func restartsAll(list []corev1.Container) bool {
	for i := range list {
		for _, r := range list[i].RestartPolicyRules {
			if r.Action == corev1.ContainerRestartRuleActionRestartAllContainers {
				return true
			}
		}
	}
	return false
}

// restarts says whether a container that ended with code begins again: by its own rules (KEP-5307), its own policy, or the pod's.
func restarts(c *corev1.Container, policy corev1.RestartPolicy, code int32) bool {
	if c.RestartPolicy != nil {
		for _, r := range c.RestartPolicyRules {
			if r.ExitCodes == nil || r.Action != corev1.ContainerRestartRuleActionRestart {
				continue
			}
			if in := sets.New(r.ExitCodes.Values...).Has(code); in == (r.ExitCodes.Operator == corev1.ContainerRestartRuleOnExitCodesOpIn) {
				return true
			}
		}
		policy = corev1.RestartPolicy(*c.RestartPolicy)
	}
	return policy != corev1.RestartPolicyNever && (policy != corev1.RestartPolicyOnFailure || code != 0)
}

func validateEnded(now, was []corev1.ContainerStatus, at *field.Path, mayBegin func(name string, code int32) bool) (errs field.ErrorList) {
	for i, old := range was {
		if old.State.Terminated == nil {
			continue
		}
		for _, c := range now {
			if c.Name == old.Name && c.State.Terminated == nil && !mayBegin(c.Name, old.State.Terminated.ExitCode) {
				errs = append(errs, field.Forbidden(at.Index(i).Child("state"), "may not be transitioned to non-terminated state"))
			}
		}
	}
	return errs
}

// validateIPs: addresses are addresses, at most one of each family, and a node's first is the one that older clients know.
func validateIPs(s, before *corev1.PodStatus, at *field.Path) (errs field.ErrorList) {
	var pods, podsBefore, hosts, hostsBefore []string
	for _, ip := range s.PodIPs {
		pods = append(pods, ip.IP)
	}
	for _, ip := range before.PodIPs {
		podsBefore = append(podsBefore, ip.IP)
	}
	for _, ip := range s.HostIPs {
		hosts = append(hosts, ip.IP)
	}
	for _, ip := range before.HostIPs {
		hostsBefore = append(hostsBefore, ip.IP)
	}
	errs = append(errs, validateFamilies(pods, podsBefore, untagged.Value(s.PodIPs), at.Child("podIPs"))...)
	if len(hosts) > 0 && hosts[0] != s.HostIP {
		errs = append(errs, field.Invalid(at.Child("hostIPs").Index(0).Child("ip"), hosts[0], "must be equal to `hostIP`"))
	}
	return append(errs, validateFamilies(hosts, hostsBefore, untagged.Value(s.HostIPs), at.Child("hostIPs"))...)
}

// validateFamilies checks addresses; shown is the list as refusals quote it.
func validateFamilies(ips, before []string, shown json.Marshaler, at *field.Path) (errs field.ErrorList) {
	for i, ip := range ips {
		errs = append(errs, utilvalidation.IsValidIPForLegacyField(at.Index(i), ip, true, before)...)
	}
	if len(ips) < 2 {
		return errs
	}
	both, err := netutils.IsDualStackIPStrings(ips)
	if err != nil {
		errs = append(errs, field.InternalError(at, fmt.Errorf("failed to check for dual stack with error:%w", err)))
	}
	if !both || len(ips) > 2 {
		errs = append(errs, field.Invalid(at, shown, "may specify no more than one IP for each IP family"))
	}
	return errs
}

// oddIPs warns of addresses that are written otherwise than they should be.
func oddIPs(obj kinds.Object) (texts []string) {
	s, at := &obj.(*corev1.Pod).Status, field.NewPath("status")
	for i, ip := range s.PodIPs {
		texts = append(texts, utilvalidation.GetWarningsForIP(at.Child("podIPs").Index(i).Child("ip"), ip.IP)...)
	}
	for i, ip := range s.HostIPs {
		texts = append(texts, utilvalidation.GetWarningsForIP(at.Child("hostIPs").Index(i).Child("ip"), ip.IP)...)
	}
	return texts
}
