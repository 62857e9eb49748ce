package core

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// Rules of the addresses of services, and of their families: IPv4 and IPv6, one address at most of each. The first is the primary one, and stays.

// ValidateServiceIPs reports what is wrong with a service's clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy by themselves, as the next state
// of was; nil: there is none. What allocates addresses asks it before it does.
func ValidateServiceIPs(svc, was *corev1.Service) (errs field.ErrorList) {
	s, path := &svc.Spec, field.NewPath("spec")
	if s.Type == corev1.ServiceTypeExternalName {
		return nil
	}
	at := path.Child("clusterIPs")
	switch {
	case s.ClusterIP == "" && len(s.ClusterIPs) != 0:
		errs = append(errs, field.Invalid(at, s.ClusterIPs, "must be empty when `clusterIP` is not specified"))
	case s.ClusterIP == "":
	case len(s.ClusterIPs) == 0:
		errs = append(errs, field.Required(at, ""))
	case s.ClusterIPs[0] != s.ClusterIP:
		errs = append(errs, field.Invalid(at, s.ClusterIPs, "first value must match `clusterIP`"))
	}
	seen := sets.New[corev1.IPFamily]()
	for i, f := range s.IPFamilies {
		errs = append(errs, oneOf(path.Child("ipFamilies").Index(i), f, corev1.IPv4Protocol, corev1.IPv6Protocol)...)
		if seen.Has(f) {
			errs = append(errs, field.Duplicate(path.Child("ipFamilies").Index(i), f))
		}
		seen.Insert(f)
	}
	if p := s.IPFamilyPolicy; p != nil {
		errs = append(errs, oneOf(path.Child("ipFamilyPolicy"), *p, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack, corev1.IPFamilyPolicySingleStack)...)
	}
	bad := validateClusterIPs(s.ClusterIPs, was, at)
	errs = append(errs, bad...)
	if len(s.ClusterIPs) > 2 {
		errs = append(errs, field.Invalid(at, s.ClusterIPs, "may only hold up to 2 values"))
	}
	if len(bad) > 0 { // what follows would only repeat it in other words
		return errs
	}
	return append(errs, validateIPFamilies(svc, at)...)
}

// validateClusterIPs checks each address. Those that were there before may be written as they were.
func validateClusterIPs(list []string, was *corev1.Service, path *field.Path) (errs field.ErrorList) {
	var before []string
	if was != nil {
		before = was.Spec.ClusterIPs
	}
	for i, ip := range list {
		switch {
		case i > 0 || ip != corev1.ClusterIPNone:
			errs = append(errs, utilvalidation.IsValidIPForLegacyField(path.Index(i), ip, true, before)...)
		case len(list) > 1:
			errs = append(errs, field.Invalid(path, list, "'None' must be the first and only value"))
		}
	}
	return errs
}

// validateIPFamilies checks that no two addresses are of one family, and that each is of the family that stands in its place.
func validateIPFamilies(svc *corev1.Service, path *field.Path) (errs field.ErrorList) {
	s := &svc.Spec
	if len(s.ClusterIPs) > 1 {
		both, err := netutils.IsDualStackIPStrings(s.ClusterIPs)
		if err != nil {
			errs = append(errs, field.InternalError(path, fmt.Errorf("failed to check for dual stack with error:%w", err)))
		}
		if !both {
			errs = append(errs, field.Invalid(path, s.ClusterIPs, "may specify no more than one IP for each IP family"))
		}
	}
	if isHeadless(svc) {
		return errs
	}
	for i, ip := range s.ClusterIPs {
		if i >= len(s.IPFamilies) {
			break
		}
		family, six := s.IPFamilies[i], netutils.IsIPv6String(ip)
		if family == corev1.IPv4Protocol && six || family == corev1.IPv6Protocol && !six {
			errs = append(errs, field.Invalid(path.Index(i), ip, fmt.Sprintf("expected an %s value as indicated by `ipFamilies[%v]`", family, i)))
		}
	}
	return errs
}

func validateExternalIPs(svc, was *corev1.Service, path *field.Path) (errs field.ErrorList) {
	var before []string
	if was != nil {
		before = was.Spec.ExternalIPs
	}
	for i, ip := range svc.Spec.ExternalIPs {
		bad := utilvalidation.IsValidIPForLegacyField(path.Index(i), ip, true, before)
		if len(bad) == 0 {
			bad = validateReachable(ip, path.Index(i))
		}
		errs = append(errs, bad...)
	}
	return errs
}

func validateServiceUpdate(svc, was *corev1.Service) (errs field.ErrorList) {
	if svc.Spec.Type != corev1.ServiceTypeExternalName && was.Spec.Type != corev1.ServiceTypeExternalName {
		if !isHeadless(svc) || !isHeadless(was) {
			errs = append(errs, keepIPs(&svc.Spec, &was.Spec)...)
		}
		if !isHeadless(svc) && !isHeadless(was) {
			errs = append(errs, keepFamilies(&svc.Spec, &was.Spec)...)
		}
	}
	errs = append(errs, validateBalancerClass(&svc.Spec, &was.Spec)...)
	if NeedsHealthCheckPort(svc) && NeedsHealthCheckPort(was) && svc.Spec.HealthCheckNodePort != was.Spec.HealthCheckNodePort {
		errs = append(errs, field.Forbidden(field.NewPath("spec", "healthCheckNodePort"), "field is immutable"))
	}
	return append(errs, validateService(svc, was)...)
}

// keepIPs lets a second address come and go, and nothing else change.
func keepIPs(s, was *corev1.ServiceSpec) (errs field.ErrorList) {
	path := field.NewPath("spec", "clusterIPs")
	now, before := s.ClusterIPs, was.ClusterIPs
	if len(now) == len(before) {
		for i, ip := range before {
			if ip != now[i] {
				errs = append(errs, field.Invalid(path.Index(i), now, "may not change once set"))
			}
		}
		return errs
	}
	if len(now) == 0 {
		errs = append(errs, field.Invalid(path.Index(0), now, "primary clusterIP can not be unset"))
	} else if len(before) > 0 && now[0] != before[0] {
		errs = append(errs, field.Invalid(path.Index(0), now, "may not change once set"))
	}
	if len(now) < len(before) && len(now) == 1 && !isSingle(s) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilyPolicy"), s.IPFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary clusterIP"))
	}
	return errs
}

// keepFamilies is the same for families. The paths and values that it reports are upstream's, the first of all and the addresses among them.
func keepFamilies(s, was *corev1.ServiceSpec) (errs field.ErrorList) {
	path := field.NewPath("spec", "ipFamilies").Index(0)
	now, before := s.IPFamilies, was.IPFamilies
	if len(now) == len(before) {
		for i, f := range before {
			if f != now[i] {
				errs = append(errs, field.Invalid(path, now, "may not change once set"))
			}
		}
		return errs
	}
	if len(now) < len(before) && len(s.ClusterIPs) == 0 {
		errs = append(errs, field.Invalid(path, now, "primary ipFamily can not be unset"))
	}
	if len(now) > 0 && len(before) > 0 && now[0] != before[0] {
		errs = append(errs, field.Invalid(path, s.ClusterIPs, "may not change once set"))
	}
	if len(now) < len(before) && len(now) == 1 && !isSingle(s) {
		errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilyPolicy"), s.IPFamilyPolicy, "must be set to 'SingleStack' when releasing the secondary ipFamily"))
	}
	return errs
}

func isSingle(s *corev1.ServiceSpec) bool {
	return s.IPFamilyPolicy != nil && *s.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack
}
