package core

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// What there is to say of an address that cannot be had, in upstream's words.
var (
	errAddressTaken = errors.New("provided IP is already allocated")
	errNoRange      = errors.New("the provided network does not match the current range")
	errNotReady     = errors.New("allocator not ready")
)

// asPreferred says that a service which takes two families where it can has what it had: it is left as it is, even where the cluster has
// got or lost a family since.
func (c *claims) asPreferred() bool {
	if c.was == nil || c.svc.Spec.IPFamilyPolicy == nil {
		return false
	}
	s, was := &c.svc.Spec, &c.was.Spec
	prefers := func(p *corev1.IPFamilyPolicy) bool { return p == nil || *p == corev1.IPFamilyPolicyPreferDualStack }
	return s.Type == was.Type && NeedsClusterIP(c.svc) && prefers(s.IPFamilyPolicy) && prefers(was.IPFamilyPolicy) &&
		slices.Equal(s.ClusterIPs, was.ClusterIPs) && slices.Equal(s.IPFamilies, was.IPFamilies)
}

// chooseFamilies fills in which families a service has, from what it says, from what it had, and from what the cluster has.
func (c *claims) chooseFamilies() error {
	s := &c.svc.Spec
	if !NeedsClusterIP(c.svc) || c.asPreferred() {
		return nil
	}
	c.choosePolicy()
	if errs := ValidateServiceIPs(c.svc, c.was); len(errs) > 0 {
		return c.invalid(errs...)
	}
	errs := c.downgrade()
	if isSingle(s) {
		errs = append(errs, c.oneFamily()...)
	}
	errs = append(errs, c.familiesOfAddresses()...)
	if len(errs) > 0 {
		return c.invalid(errs...)
	}
	unselected := s.ClusterIP == corev1.ClusterIPNone && len(s.Selector) == 0
	if !unselected { // what is only a name for any addresses may be of any family
		if errs := c.unserved(); len(errs) > 0 {
			return c.invalid(errs...)
		}
	}
	if len(s.IPFamilies) == 0 {
		s.IPFamilies = []corev1.IPFamily{c.Families[0]}
	}
	if !isSingle(s) && len(s.IPFamilies) == 1 && (unselected || len(c.Families) == 2) {
		s.IPFamilies = append(slices.Clone(s.IPFamilies), otherFamily(s.IPFamilies[0]))
	}
	return nil
}

// choosePolicy fills in the policy: the one before, or one family; two where a service without addresses selects nothing either.
func (c *claims) choosePolicy() {
	s := &c.svc.Spec
	if s.IPFamilyPolicy != nil {
		return
	}
	policy := corev1.IPFamilyPolicySingleStack
	switch {
	case c.was != nil && c.was.Spec.IPFamilyPolicy != nil:
		policy = *c.was.Spec.IPFamilyPolicy
	case s.ClusterIP == corev1.ClusterIPNone && len(s.Selector) == 0:
		policy = corev1.IPFamilyPolicyRequireDualStack
	}
	s.IPFamilyPolicy = &policy
}

// downgrade drops the second family and address of a service that wants one from now on, and refuses to drop them where it does not say so.
func (c *claims) downgrade() (errs field.ErrorList) {
	if c.was == nil {
		return nil
	}
	s, was, path := &c.svc.Spec, &c.was.Spec, field.NewPath("spec", "ipFamilyPolicy")
	if isSingle(s) {
		if len(s.ClusterIPs) > 1 && slices.Equal(s.ClusterIPs, was.ClusterIPs) {
			s.ClusterIPs = s.ClusterIPs[:1:1]
		}
		if len(s.IPFamilies) > 1 && slices.Equal(s.IPFamilies, was.IPFamilies) {
			s.IPFamilies = s.IPFamilies[:1:1]
		}
		return nil
	}
	if n := len(s.ClusterIPs); n > 0 && n < len(was.ClusterIPs) {
		errs = append(errs, field.Invalid(path, s.IPFamilyPolicy, "must be 'SingleStack' to release the secondary cluster IP"))
	}
	if n := len(s.IPFamilies); n > 0 && n < len(was.IPFamilies) {
		errs = append(errs, field.Invalid(path, s.IPFamilyPolicy, "must be 'SingleStack' to release the secondary IP family"))
	}
	return errs
}

func (c *claims) oneFamily() (errs field.ErrorList) {
	s, path := &c.svc.Spec, field.NewPath("spec", "ipFamilyPolicy")
	if len(s.ClusterIPs) == 2 {
		errs = append(errs, field.Invalid(path, s.IPFamilyPolicy, "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"))
	}
	if len(s.IPFamilies) == 2 {
		errs = append(errs, field.Invalid(path, s.IPFamilyPolicy, "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"))
	}
	return errs
}

// familiesOfAddresses fills in the families of addresses that the client names.
func (c *claims) familiesOfAddresses() (errs field.ErrorList) {
	s := &c.svc.Spec
	for i, ip := range s.ClusterIPs {
		if ip == corev1.ClusterIPNone {
			break
		}
		if i < len(s.IPFamilies) {
			continue
		}
		family := corev1.IPv4Protocol
		if netutils.IsIPv6String(ip) {
			family = corev1.IPv6Protocol
		}
		if !slices.Contains(c.Families, family) {
			errs = append(errs, field.Invalid(field.NewPath("spec", "clusterIPs").Index(i), s.ClusterIPs, fmt.Sprintf("%s is not configured on this cluster", family)))
			continue
		}
		s.IPFamilies = append(slices.Clone(s.IPFamilies), family)
	}
	return errs
}

// unserved refuses what the cluster has no ranges for.
func (c *claims) unserved() (errs field.ErrorList) {
	s := &c.svc.Spec
	if *s.IPFamilyPolicy == corev1.IPFamilyPolicyRequireDualStack && len(c.Families) < 2 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilyPolicy"), s.IPFamilyPolicy, "this cluster is not configured for dual-stack services"))
	}
	for i, family := range s.IPFamilies {
		if !slices.Contains(c.Families, family) {
			errs = append(errs, field.Invalid(field.NewPath("spec", "ipFamilies").Index(i), family, "not configured on this cluster"))
		}
	}
	return errs
}

func otherFamily(f corev1.IPFamily) corev1.IPFamily {
	if f == corev1.IPv4Protocol {
		return corev1.IPv6Protocol
	}
	return corev1.IPv4Protocol
}
