package discovery

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// EndpointSlice is discovery.k8s.io/v1 EndpointSlice. Everything but its metadata is wanted state, its labels too.
func EndpointSlice() *kinds.Kind {
	return &kinds.Kind{
		GVK: discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"), Resource: "endpointslices", Singular: "endpointslice", Namespaced: true,
		MetaAgain: kinds.MetaObject,
		New:       func() kinds.Object { return &discoveryv1.EndpointSlice{} },
		NewList:   func() runtime.Object { return &discoveryv1.EndpointSliceList{} },
		Default:   defaultSlice,
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			s := obj.(*discoveryv1.EndpointSlice)
			s.Generation = 1
			dropTopology(s, nil)
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			s, was := obj.(*discoveryv1.EndpointSlice), old.(*discoveryv1.EndpointSlice)
			same := s.AddressType == was.AddressType && equality.Semantic.DeepEqual(s.Endpoints, was.Endpoints) &&
				equality.Semantic.DeepEqual(s.Ports, was.Ports) && equality.Semantic.DeepEqual(s.Labels, was.Labels)
			if !same {
				s.Generation = was.Generation + 1
			}
			dropTopology(s, was)
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if obj.GetResourceVersion() != "" { // stored before: ValidateUpdate judges it, which knows what was there
				return nil
			}
			return validateSlice(obj.(*discoveryv1.EndpointSlice), nil)
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			s, was := obj.(*discoveryv1.EndpointSlice), old.(*discoveryv1.EndpointSlice)
			errs := validateSlice(s, was)
			return append(errs, validation.ValidateImmutableField(s.AddressType, was.AddressType, field.NewPath("addressType"))...)
		},
		Warnings: sliceWarnings,
		Columns:  sliceColumns(),
		Indexes: []kinds.Index{{Name: kinds.ServiceIndex, Values: func(obj kinds.Object) []string {
			name := obj.GetLabels()[discoveryv1.LabelServiceName]
			if name == "" {
				return nil
			}
			return []string{obj.GetNamespace() + "/" + name}
		}}},
	}
}

func defaultSlice(obj kinds.Object) {
	s := obj.(*discoveryv1.EndpointSlice)
	for i := range s.Ports {
		p := &s.Ports[i]
		if p.Name == nil {
			p.Name = new(string)
		}
		if p.Protocol == nil {
			tcp := corev1.ProtocolTCP
			p.Protocol = &tcp
		}
	}
}

// dropTopology removes what only v1beta1 could write, unless the endpoints stay as they were. A node's name that a stored slice had there is
// kept in the field made for it, so that a partial update by an old client loses nothing.
func dropTopology(s, was *discoveryv1.EndpointSlice) {
	if was != nil && equality.Semantic.DeepEqual(s.Endpoints, was.Endpoints) {
		return
	}
	nodes := sets.New[string]()
	if was != nil {
		for _, e := range was.Endpoints {
			nodes.Insert(e.DeprecatedTopology[corev1.LabelHostname])
		}
	}
	for i := range s.Endpoints {
		e := &s.Endpoints[i]
		if node := e.DeprecatedTopology[corev1.LabelHostname]; e.NodeName == nil && node != "" && nodes.Has(node) && len(validation.NameIsDNSSubdomain(node, false)) == 0 {
			e.NodeName = &node
		}
		e.DeprecatedTopology = nil
	}
}

func sliceColumns() []kinds.Column {
	doc := discoveryv1.EndpointSlice{}.SwaggerDoc()
	cell := func(name, field string, f func(*discoveryv1.EndpointSlice) any) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc[field], Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*discoveryv1.EndpointSlice)) }}
	}
	return []kinds.Column{
		kinds.NameColumn(),
		cell("AddressType", "addressType", func(s *discoveryv1.EndpointSlice) any { return string(s.AddressType) }),
		cell("Ports", "ports", func(s *discoveryv1.EndpointSlice) any { return first(portTexts(s.Ports)) }),
		cell("Endpoints", "endpoints", func(s *discoveryv1.EndpointSlice) any {
			var list []string
			for _, e := range s.Endpoints {
				list = append(list, e.Addresses...)
			}
			return first(list)
		}),
		kinds.AgeColumn(),
	}
}

func portTexts(ports []discoveryv1.EndpointPort) (list []string) {
	for _, p := range ports {
		switch {
		case p.Port != nil:
			list = append(list, strconv.Itoa(int(*p.Port)))
		case p.Name != nil:
			list = append(list, *p.Name)
		default:
			list = append(list, "*")
		}
	}
	return list
}

// first shows three, and how many more there are.
func first(list []string) string {
	const most = 3
	if len(list) > most {
		return fmt.Sprintf("%s + %d more...", strings.Join(list[:most], ","), len(list)-most)
	}
	if text := strings.Join(list, ","); text != "" {
		return text
	}
	return "<unset>"
}
