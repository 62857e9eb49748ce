package podspec

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// This file is a pod's names and the names that it finds, and the gates before it.

// What a resolver of a pod takes at most.
const (
	maxNameservers = 3
	maxSearches    = 32
	maxSearchChars = 2048
	maxOverride    = 64
)

// validateDNS: a pod that takes no resolver of the cluster's must bring its own.
func validateDNS(s *corev1.PodSpec, at place) (errs field.ErrorList) {
	c := s.DNSConfig
	if s.DNSPolicy == corev1.DNSNone {
		switch {
		case c == nil:
			return field.ErrorList{field.Required(at.path(), "must provide `dnsConfig` when `dnsPolicy` is None")}
		case len(c.Nameservers) == 0:
			return field.ErrorList{field.Required(at.in("nameservers").path(), "must provide at least one DNS nameserver when `dnsPolicy` is None")}
		}
	}
	if c == nil {
		return nil
	}
	if len(c.Nameservers) > maxNameservers {
		errs = append(errs, field.Invalid(at.in("nameservers").path(), c.Nameservers, fmt.Sprintf("must not have more than %v nameservers", maxNameservers)))
	}
	for i, server := range c.Nameservers {
		errs = append(errs, utilvalidation.IsValidIPForLegacyField(at.in("nameservers").nth(i).path(), server, true, nil)...)
	}
	if len(c.Searches) > maxSearches {
		errs = append(errs, field.Invalid(at.in("searches").path(), c.Searches, fmt.Sprintf("must not have more than %v search paths", maxSearches)))
	}
	if len(strings.Join(c.Searches, " ")) > maxSearchChars {
		errs = append(errs, field.Invalid(at.in("searches").path(), c.Searches, fmt.Sprintf("must not have more than %v characters (including spaces) in the search list", maxSearchChars)))
	}
	for i, search := range c.Searches {
		if search == "." {
			continue
		}
		search = strings.TrimSuffix(search, ".")
		for _, msg := range utilvalidation.IsDNS1123SubdomainWithUnderscore(search) {
			errs = append(errs, field.Invalid(at.in("searches").nth(i).path(), search, msg))
		}
	}
	for i, o := range c.Options {
		if o.Name == "" {
			errs = append(errs, field.Required(at.in("options").nth(i).path(), "must not be empty"))
		}
	}
	return errs
}

func validateHostAliases(list []corev1.HostAlias, at place) (errs field.ErrorList) {
	for i, alias := range list {
		at := at.nth(i)
		errs = append(errs, utilvalidation.IsValidIPForLegacyField(at.in("ip").path(), alias.IP, true, nil)...)
		for j, host := range alias.Hostnames {
			for _, msg := range utilvalidation.IsDNS1123Subdomain(host) {
				errs = append(errs, field.Invalid(at.in("hostnames").nth(j).path(), host, msg))
			}
		}
	}
	return errs
}

func validateHostnameOverride(s *corev1.PodSpec, at place) (errs field.ErrorList) {
	name := s.HostnameOverride
	if name == nil {
		return nil
	}
	if s.SetHostnameAsFQDN != nil && *s.SetHostnameAsFQDN {
		errs = append(errs, field.Forbidden(at.path(), "may not be specified when setHostnameAsFQDN is true"))
	}
	if s.HostNetwork {
		errs = append(errs, field.Forbidden(at.path(), "may not be specified when hostNetwork is true"))
	}
	if len(*name) > maxOverride {
		errs = append(errs, field.TooLong(at.path(), "", maxOverride))
	}
	for _, msg := range utilvalidation.IsDNS1123Subdomain(*name) {
		errs = append(errs, field.Invalid(at.path(), *name, msg))
	}
	return errs
}

// validateGates: what must be said of a pod before it is ready, and taken away before it is scheduled.
func validateGates(s *corev1.PodSpec, at place) (errs field.ErrorList) {
	for i, g := range s.ReadinessGates {
		for _, msg := range utilvalidation.IsQualifiedName(string(g.ConditionType)) {
			errs = append(errs, field.Invalid(at.in("readinessGates").nth(i).in("conditionType").path(), string(g.ConditionType), msg))
		}
	}
	seen := sets.New[string]()
	for i, g := range s.SchedulingGates {
		at := at.in("schedulingGates").nth(i)
		for _, msg := range utilvalidation.IsQualifiedName(g.Name) {
			errs = append(errs, field.Invalid(at.path(), g.Name, msg))
		}
		if seen.Has(g.Name) {
			errs = append(errs, field.Duplicate(at.path(), g.Name))
		}
		seen.Insert(g.Name)
	}
	return errs
}
