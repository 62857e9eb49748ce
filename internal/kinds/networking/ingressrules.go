package networking

import (
	"fmt"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ingressCheck judges an ingress; its fields are what is let pass since the like is stored already.
type ingressCheck struct {
	secrets   bool // any name of a secret
	wildcards bool // any rule for a host with a wildcard
}

// afterIngress judges an ingress whose present state is was.
func afterIngress(was *networkingv1.IngressSpec) (c ingressCheck) {
	for _, t := range was.TLS {
		c.secrets = c.secrets || len(secretName(t.SecretName)) > 0
	}
	for i := range was.Rules {
		r := &was.Rules[i]
		c.wildcards = c.wildcards || strings.Contains(r.Host, "*") && len(validatePaths(r.HTTP, nil, validation.NameIsDNS1035Label)) > 0
	}
	return c
}

func secretName(name string) []string {
	if name == "" {
		return nil
	}
	return validation.NameIsDNSSubdomain(name, false)
}

func (c ingressCheck) spec(s *networkingv1.IngressSpec, path *field.Path) (errs field.ErrorList) {
	if len(s.Rules) == 0 && s.DefaultBackend == nil {
		errs = append(errs, field.Invalid(path, s.Rules, "either `defaultBackend` or `rules` must be specified"))
	}
	if s.DefaultBackend != nil {
		errs = append(errs, validateBackend(s.DefaultBackend, path.Child("defaultBackend"), validation.NameIsDNSLabel)...)
	}
	for i := range s.Rules {
		r, at := &s.Rules[i], path.Child("rules").Index(i)
		wild := strings.Contains(r.Host, "*")
		if r.Host != "" {
			errs = append(errs, noAddress(at.Child("host"), r.Host)...)
			errs = append(errs, validateHost(r.Host, at.Child("host"))...)
		}
		if !wild || !c.wildcards {
			errs = append(errs, validatePaths(r.HTTP, at.Child("http"), validation.NameIsDNSLabel)...)
		}
	}
	for i, t := range s.TLS {
		at := path.Child("tls").Index(i)
		for j, host := range t.Hosts {
			errs = append(errs, validateHost(host, at.Child("hosts").Index(j))...)
		}
		if !c.secrets {
			errs = append(errs, invalid(at.Child("secretName"), t.SecretName, secretName(t.SecretName))...)
		}
	}
	if name := s.IngressClassName; name != nil {
		errs = append(errs, invalid(path.Child("ingressClassName"), *name, validation.NameIsDNSSubdomain(*name, false))...)
	}
	return errs
}

// validateHost checks a name that may begin with a wildcard.
func validateHost(host string, path *field.Path) field.ErrorList {
	if strings.Contains(host, "*") {
		return invalid(path, host, utilvalidation.IsWildcardDNS1123Subdomain(host))
	}
	return invalid(path, host, utilvalidation.IsDNS1123Subdomain(host))
}

// nameRule says what is wrong with the name of a service.
type nameRule = validation.ValidateNameFunc

func validatePaths(rule *networkingv1.HTTPIngressRuleValue, path *field.Path, service nameRule) (errs field.ErrorList) {
	if rule == nil {
		return nil
	}
	if len(rule.Paths) == 0 {
		errs = append(errs, field.Required(path.Child("paths"), ""))
	}
	for i := range rule.Paths {
		errs = append(errs, validatePath(&rule.Paths[i], path.Child("paths").Index(i), service)...)
	}
	return errs
}

func validatePath(p *networkingv1.HTTPIngressPath, path *field.Path, service nameRule) (errs field.ErrorList) {
	if p.PathType == nil {
		return field.ErrorList{field.Required(path.Child("pathType"), "pathType must be specified")}
	}
	at, absolute := path.Child("path"), strings.HasPrefix(p.Path, "/")
	switch *p.PathType {
	case networkingv1.PathTypeExact, networkingv1.PathTypePrefix:
		if !absolute {
			errs = append(errs, field.Invalid(at, p.Path, "must be an absolute path"))
		}
		// What proxies read differently must not be there.
		for _, part := range []string{"//", "/./", "/../", "%2f", "%2F"} {
			if strings.Contains(p.Path, part) {
				errs = append(errs, field.Invalid(at, p.Path, fmt.Sprintf("must not contain '%s'", part)))
			}
		}
		for _, end := range []string{"/..", "/."} {
			if strings.HasSuffix(p.Path, end) {
				errs = append(errs, field.Invalid(at, p.Path, fmt.Sprintf("cannot end with '%s'", end)))
			}
		}
	case networkingv1.PathTypeImplementationSpecific:
		if p.Path != "" && !absolute {
			errs = append(errs, field.Invalid(at, p.Path, "must be an absolute path"))
		}
	default:
		errs = append(errs, field.NotSupported(path.Child("pathType"), *p.PathType,
			[]networkingv1.PathType{networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, networkingv1.PathTypePrefix}))
	}
	return append(errs, validateBackend(&p.Backend, path.Child("backend"), service)...)
}

// validateBackend checks where requests go: to a port of a service, or to an object of any other kind.
func validateBackend(b *networkingv1.IngressBackend, path *field.Path, service nameRule) (errs field.ErrorList) {
	switch {
	case b.Resource != nil && b.Service != nil:
		return field.ErrorList{field.Invalid(path, "", "cannot set both resource and service backends")}
	case b.Resource != nil:
		return validateReference(b.Resource.APIGroup, b.Resource.Kind, b.Resource.Name, path.Child("resource"))
	case b.Service == nil:
		return field.ErrorList{field.Invalid(path, "", "resource or service backend is required")}
	}
	at := path.Child("service")
	if name := b.Service.Name; name == "" {
		errs = append(errs, field.Required(at.Child("name"), ""))
	} else {
		errs = append(errs, invalid(at.Child("name"), name, service(name, false))...)
	}
	switch port := b.Service.Port; {
	case port.Name != "" && port.Number != 0:
		errs = append(errs, field.Invalid(path, "", "cannot set both port name & port number"))
	case port.Name != "":
		errs = append(errs, invalid(at.Child("port", "name"), port.Name, utilvalidation.IsValidPortName(port.Name))...)
	case port.Number != 0:
		for _, msg := range utilvalidation.IsValidPortNum(int(port.Number)) {
			errs = append(errs, field.Invalid(at.Child("port", "number"), port.Number, msg))
		}
	default:
		errs = append(errs, field.Required(path, "port name or number is required"))
	}
	return errs
}
