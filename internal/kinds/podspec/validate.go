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
func validate(s *subject, at *field.Path) field.ErrorList {
	errs := validateVolumes(s, at.Child("volumes"))
	errs = append(errs, validateClaims(s, at.Child("resourceClaims"))...)
	errs = append(errs, validateContainers(s, at)...)
	errs = append(errs, validatePodResources(s, at.Child("resources"))...)
	errs = append(errs, validateHostNetwork(s, at.Child("containers"))...)
	errs = append(errs, oneOf(at.Child("restartPolicy"), s.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, oneOf(at.Child("dnsPolicy"), s.DNSPolicy, corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	errs = append(errs, metavalidation.ValidateLabels(s.NodeSelector, at.Child("nodeSelector"))...)
	errs = append(errs, validatePodSecurity(s, at.Child("securityContext"))...)
	errs = append(errs, validateAffinity(s, at.Child("affinity"))...)
	errs = append(errs, validateDNS(s.PodSpec, at.Child("dnsConfig"))...)
	errs = append(errs, validateGates(s.PodSpec, at)...)
	errs = append(errs, validateSpread(s, at.Child("topologySpreadConstraints"))...)
	errs = append(errs, validateHostProcess(s.PodSpec, at)...)
	errs = append(errs, validateHostUsers(s, at)...)
	errs = append(errs, validateHostnameOverride(s.PodSpec, at.Child("hostnameOverride"))...)
	errs = append(errs, validateNames(s.PodSpec, at)...)
	errs = append(errs, validateTolerations(s.Tolerations, s.leave.comparisons, at.Child("tolerations"))...)
	errs = append(errs, validateHostAliases(s.HostAliases, at.Child("hostAliases"))...)
	errs = append(errs, validateClasses(s, at)...)
	errs = append(errs, validateOS(s.PodSpec, at)...)
	return append(errs, validateFileVolumes(s.PodSpec, at)...)
}

// oneOf refuses a value that is none of the allowed, and lists them in the order given.
func oneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	switch {
	case slices.Contains(allowed, value):
		return nil
	case value == "":
		return field.ErrorList{field.Required(path, "")}
	}
	return field.ErrorList{field.NotSupported(path, value, allowed)}
}

// named reports what rule has against a value; "" has nothing against it.
func named(value string, at *field.Path, rule func(string) []string) (errs field.ErrorList) {
	if value == "" {
		return nil
	}
	for _, msg := range rule(value) {
		errs = append(errs, field.Invalid(at, value, msg))
	}
	return errs
}

func subdomain(v string) []string { return validation.NameIsDNSSubdomain(v, false) }

func validateNames(s *corev1.PodSpec, at *field.Path) field.ErrorList {
	errs := named(s.ServiceAccountName, at.Child("serviceAccountName"), subdomain)
	errs = append(errs, named(s.NodeName, at.Child("nodeName"), subdomain)...)
	if n := s.ActiveDeadlineSeconds; n != nil && (*n < 1 || *n > math.MaxInt32) {
		errs = append(errs, field.Invalid(at.Child("activeDeadlineSeconds"), *n, utilvalidation.InclusiveRangeError(1, math.MaxInt32)))
	}
	errs = append(errs, named(s.Hostname, at.Child("hostname"), utilvalidation.IsDNS1123Label)...)
	return append(errs, named(s.Subdomain, at.Child("subdomain"), utilvalidation.IsDNS1123Label)...)
}

// validateClasses: the classes that a pod names, and what it runs on.
func validateClasses(s *subject, at *field.Path) field.ErrorList {
	errs := named(s.PriorityClassName, at.Child("priorityClassName"), subdomain)
	if s.RuntimeClassName != nil {
		for _, msg := range subdomain(*s.RuntimeClassName) {
			errs = append(errs, field.Invalid(at.Child("runtimeClassName"), *s.RuntimeClassName, msg))
		}
	}
	if s.PreemptionPolicy != nil {
		errs = append(errs, oneOf(at.Child("preemptionPolicy"), *s.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)...)
	}
	if s.Overhead != nil {
		errs = append(errs, validateResources(&corev1.ResourceRequirements{Limits: s.Overhead}, at.Child("overhead"), containerResource, s.leave.oddPages)...)
	}
	return errs
}

// validateHostNetwork: on the node's network a port of a container is one of the node.
func validateHostNetwork(s *subject, at *field.Path) (errs field.ErrorList) {
	if !s.HostNetwork {
		return nil
	}
	for i := range s.Containers {
		for j, p := range s.Containers[i].Ports {
			if (s.isPod() || p.HostPort != 0) && p.HostPort != p.ContainerPort {
				errs = append(errs, field.Invalid(at.Index(i).Child("ports").Index(j).Child("hostPort"), p.HostPort, "must match `containerPort` when `hostNetwork` is true"))
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
	s, path := newSubject(&pod.Spec, was, &pod.ObjectMeta), field.NewPath("spec")
	errs := validateAnnotations(pod.Annotations, s.PodSpec, field.NewPath("metadata", "annotations"))
	errs = append(errs, validate(s, path)...)
	errs = append(errs, tokensNeedAccount(s.PodSpec, path.Child("volumes"))...)
	for i := range s.Containers {
		errs = append(errs, trimmedImage(s.Containers[i].Image, path.Child("containers").Index(i).Child("image"))...)
	}
	for i := range s.InitContainers {
		errs = append(errs, trimmedImage(s.InitContainers[i].Image, path.Child("initContainers").Index(i).Child("image"))...)
	}
	return errs
}

// tokensNeedAccount: a token in a volume is one of the pod's account.
func tokensNeedAccount(s *corev1.PodSpec, at *field.Path) (errs field.ErrorList) {
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
				errs = append(errs, field.Forbidden(at.Index(i).Child("projected", "sources").Index(j).Child("serviceAccountToken"), "must not be specified when serviceAccountName is not set"))
			}
		}
	}
	return errs
}

// ValidateNewPod refuses what a pod can only come to later, and annotations that say otherwise than the fields.
func ValidateNewPod(pod *corev1.Pod) (errs field.ErrorList) {
	s, path := &pod.Spec, field.NewPath("spec")
	if len(s.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(path.Child("ephemeralContainers"), "cannot be set on create"))
	}
	if s.NodeName != "" && len(s.SchedulingGates) > 0 {
		errs = append(errs, field.Forbidden(path.Child("nodeName"), "cannot be set until all schedulingGates have been cleared"))
	}
	return append(errs, validateAgreement(pod.Annotations, s, path)...)
}

// ValidateLasting reports what is wrong with the template of a workload whose pods always restart. what is the kind of the workload in refusals; was is
// the template before, nil for a new one.
func ValidateLasting(t, was *corev1.PodTemplateSpec, what string, path *field.Path) field.ErrorList {
	errs := ValidateTemplate(t, was, path)
	if p := t.Spec.RestartPolicy; p != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(path.Child("spec", "restartPolicy"), p, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if t.Spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(path.Child("spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in "+what+" is not Supported"))
	}
	return errs
}

// ValidateTemplate reports what is wrong with a template whose selector and restart policy, if anything asks for them, are checked elsewhere. What was odd
// in was, the template before, may stay so; was is nil for a new one.
func ValidateTemplate(t, was *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	var old *corev1.PodSpec
	if was != nil {
		old = &was.Spec
	}
	errs := metavalidation.ValidateLabels(t.Labels, path.Child("labels"))
	errs = append(errs, validation.ValidateAnnotations(t.Annotations, path.Child("annotations"))...)
	errs = append(errs, validateAnnotations(t.Annotations, &t.Spec, path.Child("annotations"))...)
	errs = append(errs, validate(newSubject(&t.Spec, old, nil), path.Child("spec"))...)
	errs = append(errs, validateAgreement(t.Annotations, &t.Spec, path.Child("spec"))...)
	if len(t.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(path.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))
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
