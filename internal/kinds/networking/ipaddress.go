package networking

import (
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// IPAddress is networking.k8s.io/v1 IPAddress: an address in use, which is its name, and by whom.
func IPAddress() *kinds.Kind {
	return &kinds.Kind{
		GVK: networkingv1.SchemeGroupVersion.WithKind("IPAddress"), Resource: "ipaddresses", Singular: "ipaddress", ShortNames: []string{"ip"},
		MetaAgain:  kinds.MetaAll,
		New:        func() kinds.Object { return &networkingv1.IPAddress{} },
		NewList:    func() runtime.Object { return &networkingv1.IPAddressList{} },
		BaseIsName: true,
		ValidName: func(name string, _ bool) (msgs []string) {
			for _, e := range utilvalidation.IsValidIP(nil, name) {
				msgs = append(msgs, e.Detail)
			}
			return msgs
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			return validateParent(obj.(*networkingv1.IPAddress).Spec.ParentRef, field.NewPath("spec", "parentRef"))
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			ref, was := obj.(*networkingv1.IPAddress).Spec.ParentRef, old.(*networkingv1.IPAddress).Spec.ParentRef
			if !changed(ref, was) {
				return nil
			}
			return field.ErrorList{field.Invalid(field.NewPath("spec", "parentRef"), untagged.Value(ref), "field is immutable")}
		},
		Columns: []kinds.Column{
			kinds.NameColumn(),
			column("ParentRef", networkingv1.IPAddressSpec{}.SwaggerDoc()["parentRef"], parentText),
			kinds.Column{Cell: kinds.AgeColumn().Cell}, // upstream prints it and has forgotten its header
		},
	}
}

func parentText(ip *networkingv1.IPAddress) string {
	p := ip.Spec.ParentRef
	if p == nil {
		return "<none>"
	}
	text := strings.ToLower(schema.GroupResource{Group: p.Group, Resource: p.Resource}.String())
	if p.Namespace != "" {
		text += "/" + p.Namespace
	}
	return text + "/" + p.Name
}

func validateParent(p *networkingv1.ParentReference, path *field.Path) (errs field.ErrorList) {
	if p == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	if p.Group != "" { // that of services has no name
		errs = append(errs, invalid(path.Child("group"), p.Group, utilvalidation.IsDNS1123Subdomain(p.Group))...)
	}
	errs = append(errs, segment(path.Child("resource"), p.Resource)...)
	errs = append(errs, segment(path.Child("name"), p.Name)...)
	if p.Namespace != "" {
		errs = append(errs, invalid(path.Child("namespace"), p.Namespace, content.IsPathSegmentName(p.Namespace))...)
	}
	return errs
}
