package discovery

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"
)

// What one slice may hold.
const (
	maxEndpoints = 1000
	maxAddresses = 100 // of one endpoint
	maxPorts     = 20000
	maxHints     = 8 // zones, and nodes, of one endpoint
)

// validateSlice checks s as the next state of was; nil: there is none. Endpoints that stay as they are may be what no new ones may be.
func validateSlice(s, was *discoveryv1.EndpointSlice) (errs field.ErrorList) {
	path := field.NewPath("addressType")
	switch s.AddressType {
	case discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6:
	case "":
		errs = append(errs, field.Required(path, ""))
	default:
		errs = append(errs, field.NotSupported(path, s.AddressType, []discoveryv1.AddressType{discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6}))
	}
	errs = append(errs, validatePorts(s.Ports, field.NewPath("ports"))...)
	of := validateEndpoints(s.Endpoints, s.AddressType, field.NewPath("endpoints"))
	// Compared only when something is wrong: it costs more than to look.
	if len(of) > 0 && was != nil && equality.Semantic.DeepEqual(s.Endpoints, was.Endpoints) {
		return errs
	}
	return append(errs, of...)
}

func validatePorts(ports []discoveryv1.EndpointPort, path *field.Path) (errs field.ErrorList) {
	if len(ports) > maxPorts {
		return field.ErrorList{field.TooMany(path, len(ports), maxPorts)}
	}
	seen := sets.New[string]()
	for i, p := range ports {
		at, name := path.Index(i), ""
		if p.Name != nil {
			name = *p.Name
		}
		if name != "" {
			errs = append(errs, invalid(at.Child("name"), name, utilvalidation.IsDNS1123Label(name))...)
		}
		if seen.Has(name) {
			errs = append(errs, field.Duplicate(at.Child("name"), name))
		}
		seen.Insert(name)
		if p.Protocol == nil {
			errs = append(errs, field.Required(at.Child("protocol"), ""))
		} else if n := *p.Protocol; n != corev1.ProtocolTCP && n != corev1.ProtocolUDP && n != corev1.ProtocolSCTP {
			errs = append(errs, field.NotSupported(at.Child("protocol"), n, []corev1.Protocol{corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP}))
		}
		if p.AppProtocol != nil {
			errs = append(errs, invalid(at.Child("appProtocol"), *p.AppProtocol, utilvalidation.IsQualifiedName(*p.AppProtocol))...)
		}
	}
	return errs
}

func invalid(path *field.Path, value string, msgs []string) (errs field.ErrorList) {
	for _, msg := range msgs {
		errs = append(errs, field.Invalid(path, value, msg))
	}
	return errs
}

func validateEndpoints(list []discoveryv1.Endpoint, kind discoveryv1.AddressType, path *field.Path) (errs field.ErrorList) {
	if len(list) > maxEndpoints {
		return field.ErrorList{field.TooMany(path, len(list), maxEndpoints)}
	}
	for i := range list {
		e, at := &list[i], path.Index(i)
		addresses := at.Child("addresses")
		if n := len(e.Addresses); n == 0 {
			errs = append(errs, field.Required(addresses, "must contain at least 1 address"))
		} else if n > maxAddresses {
			errs = append(errs, field.TooMany(addresses, n, maxAddresses))
		}
		for j, a := range e.Addresses {
			errs = append(errs, validateAddress(a, kind, addresses, j)...)
		}
		if e.NodeName != nil {
			errs = append(errs, invalid(at.Child("nodeName"), *e.NodeName, validation.NameIsDNSSubdomain(*e.NodeName, false))...)
		}
		if e.Hostname != nil {
			errs = append(errs, invalid(at.Child("hostname"), *e.Hostname, utilvalidation.IsDNS1123Label(*e.Hostname))...)
		}
		if e.Hints != nil {
			errs = append(errs, validateHints(e.Hints, at.Child("hints"))...)
		}
	}
	return errs
}

// validateAddress checks the address at place i. Of the wrong family, it is reported without its place, as upstream does.
func validateAddress(a string, kind discoveryv1.AddressType, path *field.Path, i int) (errs field.ErrorList) {
	switch at := path.Index(i); kind {
	case discoveryv1.AddressTypeIPv4:
		if errs = utilvalidation.IsValidIPForLegacyField(at, a, true, nil); len(errs) > 0 {
			return errs
		}
		if !netutils.IsIPv4String(a) {
			errs = append(errs, field.Invalid(path, a, "must be an IPv4 address"))
		}
		return append(errs, reachable(a, at)...)
	case discoveryv1.AddressTypeIPv6:
		if errs = utilvalidation.IsValidIP(at, a); len(errs) > 0 {
			return errs
		}
		if !netutils.IsIPv6String(a) {
			errs = append(errs, field.Invalid(path, a, "must be an IPv6 address"))
		}
		return append(errs, reachable(a, at)...)
	case discoveryv1.AddressTypeFQDN:
		return utilvalidation.IsFullyQualifiedDomainName(at, a)
	}
	return nil
}

// reachable refuses addresses that mean the node itself, or its links, and so would lead somewhere else on each node.
func reachable(a string, path *field.Path) (errs field.ErrorList) {
	ip := netutils.ParseIPSloppy(a)
	if ip.IsUnspecified() {
		errs = append(errs, field.Invalid(path, a, fmt.Sprintf("may not be unspecified (%v)", a)))
	}
	if ip.IsLoopback() {
		errs = append(errs, field.Invalid(path, a, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
	}
	if ip.IsLinkLocalUnicast() {
		errs = append(errs, field.Invalid(path, a, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
	}
	if ip.IsLinkLocalMulticast() {
		errs = append(errs, field.Invalid(path, a, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"))
	}
	return errs
}

// validateHints checks for which zones and nodes an endpoint is best.
func validateHints(h *discoveryv1.EndpointHints, path *field.Path) (errs field.ErrorList) {
	zones, nodes := path.Child("forZones"), path.Child("forNodes")
	if n := len(h.ForZones); n > maxHints {
		return field.ErrorList{field.TooMany(zones, n, maxHints)}
	}
	seen := sets.New[string]()
	for i, z := range h.ForZones {
		at := zones.Index(i).Child("name")
		if seen.Has(z.Name) {
			errs = append(errs, field.Duplicate(at, z.Name))
		}
		seen.Insert(z.Name)
		errs = append(errs, invalid(at, z.Name, utilvalidation.IsValidLabelValue(z.Name))...)
	}
	if n := len(h.ForNodes); n > maxHints {
		return append(errs, field.TooMany(nodes, n, maxHints))
	}
	seen = sets.New[string]()
	for i, n := range h.ForNodes {
		at := nodes.Index(i).Child("name")
		if seen.Has(n.Name) {
			errs = append(errs, field.Duplicate(at, n.Name))
		}
		seen.Insert(n.Name)
		errs = append(errs, invalid(at, n.Name, validation.NameIsDNSSubdomain(n.Name, false))...)
	}
	return errs
}
