package podspec

import (
	"fmt"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const atLeastZero = "must be greater than or equal to 0"

// Validate reports what is wrong with the specification in a template, which has its defaults.
func Validate(s *corev1.PodSpec, at *field.Path) field.ErrorList { return validate(s, at, false) }

// validate looks at the parts in upstream's order, which clients see. A pod's own specification must hold to more than a template's.
func validate(s *corev1.PodSpec, at *field.Path, pod bool) (errs field.ErrorList) {
	volumes, errs := validateVolumes(s.Volumes, at.Child("volumes"), pod)
	errs = append(errs, validateContainers(s, volumes, at, pod)...)
	errs = append(errs, validatePodResources(s, at.Child("resources"))...)
	errs = append(errs, validateHostNetwork(s, at.Child("containers"), pod)...)
	errs = append(errs, oneOf(at.Child("restartPolicy"), s.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, oneOf(at.Child("dnsPolicy"), s.DNSPolicy, corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	errs = append(errs, metavalidation.ValidateLabels(s.NodeSelector, at.Child("nodeSelector"))...)
	errs = append(errs, validatePodSecurity(s, at.Child("securityContext"))...)
	errs = append(errs, validateAffinity(s.Affinity, at.Child("affinity"))...)
	errs = append(errs, validateDNS(s, at.Child("dnsConfig"))...)
	errs = append(errs, validateGates(s, at)...)
	errs = append(errs, validateSpread(s.TopologySpreadConstraints, at.Child("topologySpreadConstraints"))...)
	errs = append(errs, validateHostUsers(s, at)...)
	errs = append(errs, validateHostnameOverride(s, at.Child("hostnameOverride"))...)
	errs = append(errs, validateNames(s, at)...)
	errs = append(errs, validateTolerations(s.Tolerations, at.Child("tolerations"))...)
	errs = append(errs, validateHostAliases(s.HostAliases, at.Child("hostAliases"))...)
	return append(errs, validateClasses(s, at)...)
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
func validateClasses(s *corev1.PodSpec, at *field.Path) field.ErrorList {
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
		errs = append(errs, validateResources(&corev1.ResourceRequirements{Limits: s.Overhead}, at.Child("overhead"), containerResource)...)
	}
	switch {
	case s.OS == nil, s.OS.Name == corev1.Linux, s.OS.Name == corev1.Windows:
	case s.OS.Name == "":
		errs = append(errs, field.Required(at.Child("os", "name"), ""))
	default:
		errs = append(errs, field.NotSupported(at.Child("os"), s.OS.Name, []corev1.OSName{corev1.Linux, corev1.Windows}))
	}
	return errs
}

// validateHostNetwork: on the node's network a port of a container is one of the node.
func validateHostNetwork(s *corev1.PodSpec, at *field.Path, pod bool) (errs field.ErrorList) {
	if !s.HostNetwork {
		return nil
	}
	for i := range s.Containers {
		for j, p := range s.Containers[i].Ports {
			if (pod || p.HostPort != 0) && p.HostPort != p.ContainerPort {
				errs = append(errs, field.Invalid(at.Index(i).Child("ports").Index(j).Child("hostPort"), p.HostPort, "must match `containerPort` when `hostNetwork` is true"))
			}
		}
	}
	return errs
}

// ValidatePod reports what is wrong with a pod's own specification; templates of pods may have more.
func ValidatePod(s *corev1.PodSpec, path *field.Path) field.ErrorList {
	errs := validate(s, path, true)
	for i := range s.Containers {
		errs = append(errs, trimmedImage(s.Containers[i].Image, path.Child("containers").Index(i).Child("image"))...)
	}
	for i := range s.InitContainers {
		errs = append(errs, trimmedImage(s.InitContainers[i].Image, path.Child("initContainers").Index(i).Child("image"))...)
	}
	return errs
}

// Template reports what is wrong with the template of a workload whose selector must choose it, and whose pods always restart.
func Template(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := templateParts(t, path)
	if p := t.Spec.RestartPolicy; p != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(path.Child("spec", "restartPolicy"), p, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if n := t.Spec.ActiveDeadlineSeconds; n != nil {
		errs = append(errs, field.Forbidden(path.Child("spec", "activeDeadlineSeconds"), fmt.Sprintf("activeDeadlineSeconds in %s is not Supported", "ReplicaSet")))
	}
	return errs
}

// ValidateTemplate reports what is wrong with a template whose selector and restart policy, if anything asks for them, are checked elsewhere.
func ValidateTemplate(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := templateParts(t, path)
	if len(t.Spec.EphemeralContainers) > 0 {
		errs = append(errs, field.Forbidden(path.Child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template"))
	}
	return errs
}

func templateParts(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := metavalidation.ValidateLabels(t.Labels, path.Child("labels"))
	errs = append(errs, validation.ValidateAnnotations(t.Annotations, path.Child("annotations"))...)
	return append(errs, Validate(&t.Spec, path.Child("spec"))...)
}
