package podspec

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// This file is the devices that a pod claims (KEP-4381), and which container uses which.

func validateClaims(s *subject, at place) (errs field.ErrorList) {
	names := sets.New[string]()
	for i := range s.ResourceClaims {
		if s.meta != nil {
			if _, ok := s.meta.Annotations[Mirror]; ok {
				errs = append(errs, field.Forbidden(field.NewPath(""), "static pods do not support resource claims"))
				continue
			}
		}
		errs = append(errs, validateClaim(&s.ResourceClaims[i], names, at.nth(i))...)
	}
	return errs
}

func validateClaim(c *corev1.PodResourceClaim, names sets.Set[string], at place) (errs field.ErrorList) {
	name := at.in("name")
	switch {
	case c.Name == "":
		errs = append(errs, field.Required(name.path(), ""))
	case names.Has(c.Name):
		errs = append(errs, field.Duplicate(name.path(), c.Name))
	default:
		errs = append(errs, dnsLabel(c.Name, name)...)
		names.Insert(c.Name)
	}
	switch claim, template := c.ResourceClaimName, c.ResourceClaimTemplateName; {
	case claim != nil && template != nil:
		errs = append(errs, field.Invalid(at.path(), untagged.Value(*c), "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"))
	case claim == nil && template == nil:
		errs = append(errs, field.Invalid(at.path(), untagged.Value(*c), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"))
	}
	for _, ref := range []struct {
		name  string
		value *string
	}{{"resourceClaimName", c.ResourceClaimName}, {"resourceClaimTemplateName", c.ResourceClaimTemplateName}} {
		if ref.value == nil {
			continue
		}
		for _, msg := range subdomain(*ref.value) {
			errs = append(errs, field.Invalid(at.in(ref.name).path(), *ref.value, msg))
		}
	}
	return errs
}

// validateClaimNames: a container uses a claim of its pod as a whole, or requests in it, each once.
func validateClaimNames(list []corev1.ResourceClaim, known sets.Set[string], at place) (errs field.ErrorList) {
	used := sets.New[string]() // claims, and requests as claim/request
	for i, c := range list {
		at := at.nth(i)
		if c.Name == "" {
			errs = append(errs, field.Required(at.path(), ""))
			continue
		}
		if used.Has(c.Name) {
			errs = append(errs, field.Duplicate(at.path(), c.Name))
		} else {
			key := c.Name
			if c.Request != "" {
				errs = append(errs, dnsLabel(c.Request, at.in("request"))...)
				key += "/" + c.Request
			}
			errs = append(errs, overlaps(c, key, used, at)...)
			used.Insert(key)
		}
		if !known.Has(c.Name) {
			bad := field.NotFound(at.path(), c.Name)
			bad.Detail = "must be one of the names in pod.spec.resourceClaims which is empty"
			if len(known) > 0 {
				bad.Detail = "must be one of the names in pod.spec.resourceClaims: " + strings.Join(sets.List(known), ", ")
			}
			errs = append(errs, bad)
		}
	}
	return errs
}

func overlaps(c corev1.ResourceClaim, key string, used sets.Set[string], at place) (errs field.ErrorList) {
	if used.Has(key) {
		return field.ErrorList{field.Duplicate(at.path(), key)}
	}
	for other := range used {
		if c.Request == "" && strings.HasPrefix(other, c.Name+"/") {
			errs = append(errs, field.Duplicate(at.path(), c.Name))
		}
	}
	return errs
}
