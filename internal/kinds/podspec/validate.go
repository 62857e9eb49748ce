package podspec

import (
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const atLeastZero = "must be greater than or equal to 0"

// validate looks at the parts in upstream's order, which clients see. A pod's own specification must hold to more than a template's.
func validate(s *subject, at place) field.ErrorList {
	errs := validateVolumes(s, at.in("volumes"))
	errs = append(errs, validateClaims(s, at.in("resourceClaims"))...)
	errs = append(errs, validateContainers(s, at)...)
	errs = append(errs, validatePodResources(s, at.in("resources"))...)
	errs = append(errs, validateHostNetwork(s, at.in("containers"))...)
	errs = append(errs, oneOf(at.in("restartPolicy"), s.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, oneOf(at.in("dnsPolicy"), s.DNSPolicy, corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	if len(s.NodeSelector) > 0 {
		errs = append(errs, metavalidation.ValidateLabels(s.NodeSelector, at.in("nodeSelector").path())...)
	}
	errs = append(errs, validatePodSecurity(s, at.in("securityContext"))...)
	errs = append(errs, validateAffinity(s, at.in("affinity"))...)
	errs = append(errs, validateDNS(s.PodSpec, at.in("dnsConfig"))...)
	errs = append(errs, validateGates(s.PodSpec, at)...)
	errs = append(errs, validateSpread(s, at.in("topologySpreadConstraints"))...)
	errs = append(errs, validateHostProcess(s.PodSpec, at)...)
	errs = append(errs, validateHostUsers(s, at)...)
	errs = append(errs, validateHostnameOverride(s.PodSpec, at.in("hostnameOverride"))...)
	errs = append(errs, validateNames(s.PodSpec, at)...)
	errs = append(errs, validateTolerations(s.Tolerations, s.leave.comparisons, at.in("tolerations"))...)
	errs = append(errs, validateHostAliases(s.HostAliases, at.in("hostAliases"))...)
	errs = append(errs, validateClasses(s, at)...)
	errs = append(errs, validateOS(s.PodSpec, at)...)
	return append(errs, validateFileVolumes(s.PodSpec, at)...)
}

// oneOf refuses a value that is none of the allowed, and lists them in the order given.
func oneOf[T ~string](at place, value T, allowed ...T) field.ErrorList {
	switch {
	case slices.Contains(allowed, value):
		return nil
	case value == "":
		return field.ErrorList{field.Required(at.path(), "")}
	}
	return field.ErrorList{field.NotSupported(at.path(), value, allowed)}
}

// named reports what rule has against a value; "" has nothing against it.
func named(value string, at place, rule func(string) []string) (errs field.ErrorList) {
	if value == "" {
		return nil
	}
	for _, msg := range rule(value) {
		errs = append(errs, field.Invalid(at.path(), value, msg))
	}
	return errs
}

func subdomain(v string) []string { return validation.NameIsDNSSubdomain(v, false) }

func validateNames(s *corev1.PodSpec, at place) field.ErrorList {
	errs := named(s.ServiceAccountName, at.in("serviceAccountName"), subdomain)
	errs = append(errs, named(s.NodeName, at.in("nodeName"), subdomain)...)
	if n := s.ActiveDeadlineSeconds; n != nil && (*n < 1 || *n > math.MaxInt32) {
		errs = append(errs, field.Invalid(at.in("activeDeadlineSeconds").path(), *n, utilvalidation.InclusiveRangeError(1, math.MaxInt32)))
	}
	errs = append(errs, named(s.Hostname, at.in("hostname"), utilvalidation.IsDNS1123Label)...)
	return append(errs, named(s.Subdomain, at.in("subdomain"), utilvalidation.IsDNS1123Label)...)
}

// validateClasses: the classes that a pod names, and what it runs on.
func validateClasses(s *subject, at place) field.ErrorList {
	errs := named(s.PriorityClassName, at.in("priorityClassName"), subdomain)
	if s.RuntimeClassName != nil {
		for _, msg := range subdomain(*s.RuntimeClassName) {
			errs = append(errs, field.Invalid(at.in("runtimeClassName").path(), *s.RuntimeClassName, msg))
		}
	}
	if s.PreemptionPolicy != nil {
		errs = append(errs, oneOf(at.in("preemptionPolicy"), *s.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	if s.Overhead != nil {
		errs = append(errs, validateResources(&corev1.ResourceRequirements{Limits: s.Overhead}, at.in("overhead"), containerResource, s.leave.oddPages)...)
	}
	return errs
}

// validateHostNetwork: on the node's network a port of a container is one of the node.
func validateHostNetwork(s *subject, at place) (errs field.ErrorList) {
	if !s.HostNetwork {
		return nil
	}
	for i := range s.Containers {
		for j, p := range s.Containers[i].Ports {
			if (s.isPod() || p.HostPort != 0) && p.HostPort != p.ContainerPort {
				errs = append(errs, field.Invalid(at.nth(i).in("ports").nth(j).in("hostPort").path(), p.HostPort, "must match `containerPort` when `hostNetwork` is true"))
			}
		}
	}
	return errs
}

// ValidatePod reports what is wrong with a pod besides its metadata; templates of pods may have more. old is what it replaces, nil for a new one: what was
// odd there may stay so.
func ValidatePod(pod, old *corev1.Pod) field.ErrorList {
	var was *corev1.PodSpec
	if old != nil {
		was = &old.Spec
	}
	s, at := newSubject(&pod.Spec, was, &pod.ObjectMeta), place{up: field.NewPath("spec")}
	errs := validateAnnotations(pod.Annotations, s.PodSpec, place{}.in("metadata", "annotations"))
	errs = append(errs, validate(s, at)...)
	errs = append(errs, tokensNeedAccount(s.PodSpec, at.in("volumes"))...)
	for i := range s.Containers {
		errs = append(errs, trimmedImage(s.Containers[i].Image, at.in("containers").nth(i).in("image"))...)
	}
	for i := range s.InitContainers {
		errs = append(errs, trimmedImage(s.InitContainers[i].Image, at.in("initContainers").nth(i).in("image"))...)
	}
	return errs
}

// tokensNeedAccount: a token in a volume is one of the pod's account.
func tokensNeedAccount(s *corev1.PodSpec, at place) (errs field.ErrorList) {
	if s.ServiceAccountName != "" {
		return nil
	}
	for i := range s.Volumes {
		p := s.Volumes[i].Projected
		if p == nil {
			continue
		}
		for j := range p.Sources {
			if p.Sources[j].ServiceAccountToken != nil {
				errs = append(errs, field.Forbidden(at.nth(i).in("projected", "sources").nth(j).in("serviceAccountToken").path(), "must not be specified when serviceAccountName is not set"))
			}
		}
	}
	return errs
}

// ValidateNewPod refuses what a pod can only come to later, and annotations that say otherwise than the fields.
func ValidateNewPod(pod *corev1.Pod) (errs field.ErrorList) {
	s, at := &pod.Spec, place{up: field.NewPath("spec")}
	if len(s.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(at.in("ephemeralContainers").path(), "cannot be set on create"))
	}
	if s.NodeName != "" && len(s.SchedulingGates) > 0 {
		errs = append(errs, field.Forbidden(at.in("nodeName").path(), "cannot be set until all schedulingGates have been cleared"))
	}
	return append(errs, validateAgreement(pod.Annotations, s, at)...)
}

// ValidateLasting reports what is wrong with the template of a workload whose pods always restart. what is the kind of the workload in refusals; was is
// the template before, nil for a new one.
func ValidateLasting(t, was *corev1.PodTemplateSpec, what string, path *field.Path) field.ErrorList {
	at := place{up: path}
	errs := ValidateTemplate(t, was, path)
	if p := t.Spec.RestartPolicy; p != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(at.in("spec", "restartPolicy").path(), p, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if t.Spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(at.in("spec", "activeDeadlineSeconds").path(), "activeDeadlineSeconds in "+what+" is not Supported"))
	}
	return errs
}

// ValidateTemplate reports what is wrong with a template whose selector and restart policy, if anything asks for them, are checked elsewhere. What was odd
// in was, the template before, may stay so; was is nil for a new one.
func ValidateTemplate(t, was *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	at, spec := place{up: path}, place{up: path.Child("spec")}
	var old *corev1.PodSpec
	if was != nil {
		old = &was.Spec
	}
	errs := metavalidation.ValidateLabels(t.Labels, at.in("labels").path())
	errs = append(errs, validation.ValidateAnnotations(t.Annotations, at.in("annotations").path())...)
	errs = append(errs, validateAnnotations(t.Annotations, &t.Spec, at.in("annotations"))...)
	errs = append(errs, validate(newSubject(&t.Spec, old, nil), spec)...)
	errs = append(errs, validateAgreement(t.Annotations, &t.Spec, spec)...)
	if len(t.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(spec.in("ephemeralContainers").path(), "ephemeral containers not allowed in pod template"))
	}
	return errs
}

// DropDisabledTemplate is DropDisabled for templates; old is nil for a new one.
func DropDisabledTemplate(t, old *corev1.PodTemplateSpec) {
	if old == nil {
		DropDisabled(&t.Spec, nil)
		return
	}
	DropDisabled(&t.Spec, &old.Spec)
}
