package autoscaling

import (
	"errors"
	"fmt"
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	longestPeriod = 1800 // seconds
	longestWindow = 3600 // seconds
)

// validateAutoscaler checks a specification. was is what it replaces, nil for a new one: what was wrong already may stay so.
func validateAutoscaler(s, was *autoscalingv2.HorizontalPodAutoscalerSpec) (errs field.ErrorList) {
	path, lowest := field.NewPath("spec"), int32(1) // none at all is for a feature that is off by default
	if was != nil && was.MinReplicas != nil && *was.MinReplicas == 0 {
		lowest = 0
	}
	least, most := s.MinReplicas, path.Child("maxReplicas")
	if least != nil && *least < lowest {
		errs = append(errs, field.Invalid(path.Child("minReplicas"), *least, fmt.Sprintf("must be greater than or equal to %d", lowest)))
	}
	if s.MaxReplicas == 0 {
		errs = append(errs, field.Required(most, "must be set and greater than 0"))
	} else if s.MaxReplicas < 0 {
		errs = append(errs, field.Invalid(most, s.MaxReplicas, "must be greater than or equal to 1"))
	}
	if least != nil && s.MaxReplicas < *least {
		errs = append(errs, field.Invalid(most, s.MaxReplicas, "must be greater than or equal to `minReplicas`"))
	}
	errs = append(errs, validateReference(&s.ScaleTargetRef, scaleTargetRule(&s.ScaleTargetRef, was), path.Child("scaleTargetRef"))...)
	errs = append(errs, validateMetrics(s, was, path.Child("metrics"))...)
	if b := s.Behavior; b != nil {
		errs = append(errs, validateRules(b.ScaleUp, path.Child("behavior", "scaleUp"))...)
		errs = append(errs, validateRules(b.ScaleDown, path.Child("behavior", "scaleDown"))...)
	}
	return errs
}

func validateMetrics(s, was *autoscalingv2.HorizontalPodAutoscalerSpec, path *field.Path) (errs field.ErrorList) {
	rule := anyGroup
	if was != nil {
		for i := range was.Metrics {
			m := &was.Metrics[i]
			if m.Type == autoscalingv2.ObjectMetricSourceType && m.Object != nil && anyGroup.check(m.Object.DescribedObject.APIVersion) != nil {
				rule = anyVersion
			}
		}
	}
	measured := false
	for i := range s.Metrics {
		m := &s.Metrics[i]
		errs = append(errs, validateMetric(m, rule, path.Index(i))...)
		measured = measured || m.Type == autoscalingv2.ObjectMetricSourceType || m.Type == autoscalingv2.ExternalMetricSourceType
	}
	if least := s.MinReplicas; least != nil && *least == 0 && !measured {
		errs = append(errs, field.Forbidden(path, "must specify at least one Object or External metric to support scaling to zero replicas"))
	}
	return errs
}

// versionRule is what the API version of a reference must be.
type versionRule int

const (
	withGroup  versionRule = iota
	anyGroup               // that of core, which has no name, too
	anyVersion             // whatever is written there
)

func (r versionRule) check(version string) error {
	if r == anyVersion {
		return nil
	}
	gv, err := schema.ParseGroupVersion(version)
	if err == nil && gv.Group == "" && r == withGroup {
		err = errors.New("apiVersion must specify API group")
	}
	return err
}

// scaleTargetRule lets a reference to the same kind stay as it is. Of what has no group, only replication controllers can be scaled.
func scaleTargetRule(r *autoscalingv2.CrossVersionObjectReference, was *autoscalingv2.HorizontalPodAutoscalerSpec) versionRule {
	switch {
	case was != nil && was.ScaleTargetRef.APIVersion == r.APIVersion && was.ScaleTargetRef.Kind == r.Kind:
		return anyVersion
	case r.Kind == "ReplicationController":
		return anyGroup
	}
	return withGroup
}

func validateReference(r *autoscalingv2.CrossVersionObjectReference, rule versionRule, path *field.Path) (errs field.ErrorList) {
	errs = append(errs, segment(r.Kind, "", path.Child("kind"))...)
	errs = append(errs, segment(r.Name, "", path.Child("name"))...)
	if err := rule.check(r.APIVersion); err != nil {
		errs = append(errs, field.Invalid(path.Child("apiVersion"), r.APIVersion, err.Error()))
	}
	return errs
}

// segment takes a name that can stand in a path of the API; missing says that there is none.
func segment(name, missing string, path *field.Path) (errs field.ErrorList) {
	if name == "" {
		return field.ErrorList{field.Required(path, missing)}
	}
	for _, msg := range content.IsPathSegmentName(name) {
		errs = append(errs, field.Invalid(path, name, msg))
	}
	return errs
}

func validateRules(r *autoscalingv2.HPAScalingRules, path *field.Path) (errs field.ErrorList) {
	if r == nil {
		return nil
	}
	window := path.Child("stabilizationWindowSeconds")
	if n := r.StabilizationWindowSeconds; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(window, *n, "must be greater than or equal to zero"))
	} else if n != nil && *n > longestWindow {
		errs = append(errs, field.Invalid(window, *n, fmt.Sprintf("must be less than or equal to %d", longestWindow)))
	}
	choices := []autoscalingv2.ScalingPolicySelect{autoscalingv2.DisabledPolicySelect, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect}
	if p := r.SelectPolicy; p != nil && !slices.Contains(choices, *p) {
		errs = append(errs, field.NotSupported(path.Child("selectPolicy"), *p, choices))
	}
	if len(r.Policies) == 0 {
		errs = append(errs, field.Required(path.Child("policies"), "must specify at least one Policy"))
	}
	for i := range r.Policies {
		errs = append(errs, validatePolicy(&r.Policies[i], path.Child("policies").Index(i))...)
	}
	if q := r.Tolerance; q != nil && q.Sign() < 0 {
		errs = append(errs, field.Invalid(path.Child("tolerance"), q.String(), "must be greater than or equal to 0"))
	}
	return errs
}

func validatePolicy(p *autoscalingv2.HPAScalingPolicy, path *field.Path) (errs field.ErrorList) {
	if p.Type != autoscalingv2.PodsScalingPolicy && p.Type != autoscalingv2.PercentScalingPolicy {
		errs = append(errs, field.NotSupported(path.Child("type"), p.Type, []autoscalingv2.HPAScalingPolicyType{autoscalingv2.PercentScalingPolicy, autoscalingv2.PodsScalingPolicy}))
	}
	if p.Value <= 0 {
		errs = append(errs, field.Invalid(path.Child("value"), p.Value, "must be greater than zero"))
	}
	if p.PeriodSeconds <= 0 {
		errs = append(errs, field.Invalid(path.Child("periodSeconds"), p.PeriodSeconds, "must be greater than zero"))
	}
	if p.PeriodSeconds > longestPeriod {
		errs = append(errs, field.Invalid(path.Child("periodSeconds"), p.PeriodSeconds, fmt.Sprintf("must be less than or equal to %d", longestPeriod)))
	}
	return errs
}
