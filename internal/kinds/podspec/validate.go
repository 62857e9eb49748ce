package podspec

import (
	"fmt"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const atLeastZero = "must be greater than or equal to 0"

// Validate reports what is wrong with a specification, which has its defaults.
func Validate(s *corev1.PodSpec, path *field.Path) field.ErrorList {
	volumes, errs := validateVolumes(s.Volumes, path.Child("volumes"))
	errs = append(errs, validateContainers(s, volumes, path)...)
	errs = append(errs, oneOf(path.Child("restartPolicy"), s.RestartPolicy, corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)...)
	errs = append(errs, oneOf(path.Child("dnsPolicy"), s.DNSPolicy, corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst, corev1.DNSDefault, corev1.DNSNone)...)
	errs = append(errs, metavalidation.ValidateLabels(s.NodeSelector, path.Child("nodeSelector"))...)
	errs = append(errs, validateNames(s, path)...)
	errs = append(errs, validateTolerations(s.Tolerations, path.Child("tolerations"))...)
	errs = append(errs, validateAffinity(s.Affinity, path.Child("affinity"))...)
	if n := s.ActiveDeadlineSeconds; n != nil && (*n < 1 || *n > math.MaxInt32) {
		errs = append(errs, field.Invalid(path.Child("activeDeadlineSeconds"), *n, utilvalidation.InclusiveRangeError(1, math.MaxInt32)))
	}
	gates := sets.New[string]()
	for i, g := range s.SchedulingGates {
		at := path.Child("schedulingGates").Index(i)
		for _, msg := range utilvalidation.IsQualifiedName(g.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), g.Name, msg))
		}
		if gates.Has(g.Name) {
			errs = append(errs, field.Duplicate(at, g.Name))
		}
		gates.Insert(g.Name)
	}
	for i, alias := range s.HostAliases {
		at := path.Child("hostAliases").Index(i)
		errs = append(errs, utilvalidation.IsValidIP(at.Child("ip"), alias.IP)...)
		for j, host := range alias.Hostnames {
			for _, msg := range utilvalidation.IsDNS1123Subdomain(host) {
				errs = append(errs, field.Invalid(at.Child("hostnames").Index(j), host, msg))
			}
		}
	}
	return errs
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

func validateNames(s *corev1.PodSpec, path *field.Path) (errs field.ErrorList) {
	check := func(child, value string, rule func(string) []string) {
		if value == "" {
			return
		}
		for _, msg := range rule(value) {
			errs = append(errs, field.Invalid(path.Child(child), value, msg))
		}
	}
	subdomain := func(v string) []string { return validation.NameIsDNSSubdomain(v, false) }
	check("serviceAccountName", s.ServiceAccountName, subdomain)
	check("nodeName", s.NodeName, subdomain)
	check("priorityClassName", s.PriorityClassName, subdomain)
	check("hostname", s.Hostname, utilvalidation.IsDNS1123Label)
	check("subdomain", s.Subdomain, utilvalidation.IsDNS1123Label)
	if s.RuntimeClassName != nil {
		check("runtimeClassName", *s.RuntimeClassName, subdomain)
	}
	return errs
}

func validateTolerations(list []corev1.Toleration, path *field.Path) (errs field.ErrorList) {
	for i, t := range list {
		at := path.Index(i)
		if t.Key != "" {
			errs = append(errs, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
		}
		if t.Key == "" && t.Operator != corev1.TolerationOpExists {
			errs = append(errs, field.Invalid(at.Child("operator"), t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
		}
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			errs = append(errs, field.Invalid(at.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
		}
		switch t.Operator {
		case corev1.TolerationOpEqual, "":
			if msgs := utilvalidation.IsValidLabelValue(t.Value); len(msgs) != 0 {
				errs = append(errs, field.Invalid(at.Child("operator"), t.Value, strings.Join(msgs, ";")))
			}
		case corev1.TolerationOpExists:
			if t.Value != "" {
				errs = append(errs, field.Invalid(at.Child("operator"), t.Value, "value must be empty when `operator` is 'Exists'"))
			}
		default:
			errs = append(errs, field.NotSupported(at.Child("operator"), t.Operator, []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists}))
		}
		if t.Effect != "" {
			errs = append(errs, oneOf(at.Child("effect"), t.Effect, corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)...)
		}
	}
	return errs
}

func validateAffinity(a *corev1.Affinity, path *field.Path) (errs field.ErrorList) {
	if a == nil || a.NodeAffinity == nil {
		return nil
	}
	at := path.Child("nodeAffinity")
	if required := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
		at := at.Child("requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
		if len(required.NodeSelectorTerms) == 0 {
			errs = append(errs, field.Required(at, "must have at least one node selector term"))
		}
		for i, term := range required.NodeSelectorTerms {
			errs = append(errs, validateTerm(term, at.Index(i))...)
		}
	}
	for i, preferred := range a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
		at := at.Child("preferredDuringSchedulingIgnoredDuringExecution").Index(i)
		if preferred.Weight <= 0 || preferred.Weight > 100 {
			errs = append(errs, field.Invalid(at.Child("weight"), preferred.Weight, "must be in the range 1-100"))
		}
		errs = append(errs, validateTerm(preferred.Preference, at.Child("preference"))...)
	}
	return errs
}

func validateTerm(term corev1.NodeSelectorTerm, path *field.Path) (errs field.ErrorList) {
	for i, e := range term.MatchExpressions {
		at := path.Child("matchExpressions").Index(i)
		switch e.Operator {
		case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
			if len(e.Values) == 0 {
				errs = append(errs, field.Required(at.Child("values"), "must be specified when `operator` is 'In' or 'NotIn'"))
			}
		case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
			if len(e.Values) > 0 {
				errs = append(errs, field.Forbidden(at.Child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
			}
		case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
			if len(e.Values) != 1 {
				errs = append(errs, field.Required(at.Child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'"))
			}
		default:
			errs = append(errs, field.Invalid(at.Child("operator"), e.Operator, "not a valid selector operator"))
		}
		errs = append(errs, metavalidation.ValidateLabelName(e.Key, at.Child("key"))...)
	}
	return errs
}

// ValidatePod reports what is wrong with a pod's own specification; templates of pods may have more.
func ValidatePod(s *corev1.PodSpec, path *field.Path) field.ErrorList {
	errs := Validate(s, path)
	for i := range s.Containers {
		errs = append(errs, trimmedImage(s.Containers[i].Image, path.Child("containers").Index(i).Child("image"))...)
	}
	for i := range s.InitContainers {
		errs = append(errs, trimmedImage(s.InitContainers[i].Image, path.Child("initContainers").Index(i).Child("image"))...)
	}
	return errs
}

func trimmedImage(image string, path *field.Path) field.ErrorList {
	if strings.TrimSpace(image) == image {
		return nil
	}
	return field.ErrorList{field.Invalid(path, image, "must not have leading or trailing whitespace")}
}

// Template reports what is wrong with the template of a workload whose selector must choose it, and whose pods always restart.
func Template(t *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	errs := metavalidation.ValidateLabels(t.Labels, path.Child("labels"))
	errs = append(errs, validation.ValidateAnnotations(t.Annotations, path.Child("annotations"))...)
	errs = append(errs, Validate(&t.Spec, path.Child("spec"))...)
	if p := t.Spec.RestartPolicy; p != corev1.RestartPolicyAlways {
		errs = append(errs, field.NotSupported(path.Child("spec", "restartPolicy"), p, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if n := t.Spec.ActiveDeadlineSeconds; n != nil {
		errs = append(errs, field.Forbidden(path.Child("spec", "activeDeadlineSeconds"), fmt.Sprintf("activeDeadlineSeconds in %s is not Supported", "ReplicaSet")))
	}
	return errs
}
