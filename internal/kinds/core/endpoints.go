//lint:file-ignore SA1019 upstream has deprecated the kind, and serves it all the same

package core

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Endpoints is v1 Endpoints, what endpoint slices were before there were any. Subsets that stay as they are may be what no new ones may be.
func Endpoints() *kinds.Kind {
	return &kinds.Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("Endpoints"), Resource: "endpoints", Singular: "endpoints", ShortNames: []string{"ep"}, Namespaced: true,
		Deprecated:     "v1.33+; use discovery.k8s.io/v1 EndpointSlice",
		MetaAgain:      kinds.MetaChangeFirst,
		Storage:        "services/endpoints",
		New:            func() kinds.Object { return &corev1.Endpoints{} },
		NewList:        func() runtime.Object { return &corev1.EndpointsList{} },
		CreateOnUpdate: true,
		Default: func(obj kinds.Object) {
			for _, s := range obj.(*corev1.Endpoints).Subsets {
				for i := range s.Ports {
					if s.Ports[i].Protocol == "" {
						s.Ports[i].Protocol = corev1.ProtocolTCP
					}
				}
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if isStored(obj) {
				return nil
			}
			return validateSubsets(obj.(*corev1.Endpoints).Subsets)
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			e, was := obj.(*corev1.Endpoints), old.(*corev1.Endpoints)
			errs := validateSubsets(e.Subsets)
			if len(errs) > 0 && !changed(e.Subsets, was.Subsets) { // compared only when something is wrong: it costs more than to look
				return nil
			}
			return errs
		},
		Warnings: endpointsWarnings,
		Columns: []kinds.Column{kinds.NameColumn(), {
			Name: "Endpoints", Type: "string", Description: corev1.Endpoints{}.SwaggerDoc()["subsets"],
			Cell: func(_ kinds.Env, obj kinds.Object) any { return endpointsText(obj.(*corev1.Endpoints)) },
		}, kinds.AgeColumn()},
	}
}

// endpointsText shows the first three, and how many more there are.
func endpointsText(e *corev1.Endpoints) string {
	if len(e.Subsets) == 0 {
		return noneShown
	}
	const most = 3
	var list []string
	for _, s := range e.Subsets {
		if len(s.Ports) == 0 { // services without a cluster address may have none
			for _, a := range s.Addresses {
				list = append(list, a.IP)
			}
		}
		for _, p := range s.Ports {
			for _, a := range s.Addresses {
				list = append(list, net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
			}
		}
	}
	if len(list) > most {
		return fmt.Sprintf("%s + %d more...", strings.Join(list[:most], ","), len(list)-most)
	}
	return strings.Join(list, ",")
}

func validateSubsets(list []corev1.EndpointSubset) (errs field.ErrorList) {
	for i, s := range list {
		at := field.NewPath("subsets").Index(i)
		if len(s.Addresses)+len(s.NotReadyAddresses) == 0 {
			errs = append(errs, field.Required(at, "must specify `addresses` or `notReadyAddresses`"))
		}
		for j, a := range s.Addresses {
			errs = append(errs, validateEndpoint(a, at.Child("addresses").Index(j))...)
		}
		for j, a := range s.NotReadyAddresses {
			errs = append(errs, validateEndpoint(a, at.Child("notReadyAddresses").Index(j))...)
		}
		for j, p := range s.Ports {
			errs = append(errs, validateEndpointPort(p, len(s.Ports) > 1, at.Child("ports").Index(j))...)
		}
	}
	return errs
}

func validateEndpoint(a corev1.EndpointAddress, path *field.Path) field.ErrorList {
	errs := utilvalidation.IsValidIPForLegacyField(path.Child("ip"), a.IP, true, nil)
	if a.Hostname != "" {
		errs = append(errs, invalid(path.Child("hostname"), a.Hostname, utilvalidation.IsDNS1123Label(a.Hostname))...)
	}
	if a.NodeName != nil {
		errs = append(errs, invalid(path.Child("nodeName"), *a.NodeName, validation.NameIsDNSSubdomain(*a.NodeName, false))...)
	}
	return append(errs, validateReachable(a.IP, path.Child("ip"))...)
}

// validateReachable refuses addresses that mean the node itself, or its links, and so would lead somewhere else on each node.
func validateReachable(a string, path *field.Path) (errs field.ErrorList) {
	ip := netutils.ParseIPSloppy(a)
	if ip == nil {
		return field.ErrorList{field.Invalid(path, a, "must be a valid IP address")}
	}
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{ip.IsUnspecified(), fmt.Sprintf("may not be unspecified (%v)", a)},
		{ip.IsLoopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)"},
		{ip.IsLinkLocalUnicast(), "may not be in the link-local range (169.254.0.0/16, fe80::/10)"},
		{ip.IsLinkLocalMulticast(), "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"},
	} {
		if rule.broken {
			errs = append(errs, field.Invalid(path, a, rule.text))
		}
	}
	return errs
}

func validateEndpointPort(p corev1.EndpointPort, named bool, path *field.Path) (errs field.ErrorList) {
	if p.Name != "" {
		errs = append(errs, invalid(path.Child("name"), p.Name, utilvalidation.IsDNS1123Label(p.Name))...)
	} else if named {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	for _, msg := range utilvalidation.IsValidPortNum(int(p.Port)) {
		errs = append(errs, field.Invalid(path.Child("port"), p.Port, msg))
	}
	errs = append(errs, validateProtocol(p.Protocol, path.Child("protocol"))...)
	if p.AppProtocol != nil {
		errs = append(errs, invalid(path.Child("appProtocol"), *p.AppProtocol, utilvalidation.IsQualifiedName(*p.AppProtocol))...)
	}
	return errs
}

func validateProtocol(p corev1.Protocol, path *field.Path) field.ErrorList {
	switch p {
	case corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP:
		return nil
	case "":
		return field.ErrorList{field.Required(path, "")}
	}
	return field.ErrorList{field.NotSupported(path, p, []corev1.Protocol{corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP})}
}

func invalid(path *field.Path, value string, msgs []string) (errs field.ErrorList) {
	for _, msg := range msgs {
		errs = append(errs, field.Invalid(path, value, msg))
	}
	return errs
}

// MasterLeases is the resource, served to nobody, of the signs of life of the API servers that share a cluster's state.
var MasterLeases = corev1.SchemeGroupVersion.WithResource("masterleases")

// MasterLease is the kind of MasterLeases: kube-apiserver's, an Endpoints with one address, which is its name too, and as generation the count of its
// renewals.
func MasterLease() *kinds.Kind {
	k := Endpoints()
	return &kinds.Kind{GVK: k.GVK, Resource: MasterLeases.Resource, Singular: "masterlease", New: k.New, NewList: k.NewList}
}
