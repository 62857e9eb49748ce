package networking

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/floe-k8s/floe/internal/kinds"
)

// classAnnotation named an ingress's class before there was a field for it.
const classAnnotation = "kubernetes.io/ingress.class"

// Ingress is networking.k8s.io/v1 Ingress.
func Ingress() *kinds.Kind {
	gvk := networkingv1.SchemeGroupVersion.WithKind("Ingress")
	return &kinds.Kind{
		GVK: gvk, Resource: "ingresses", Singular: "ingress", ShortNames: []string{"ing"}, Namespaced: true, Storage: "ingress",
		MetaAgain: kinds.MetaChangeFirst,
		Admission: []kinds.Admission{{Plugin: "DefaultIngressClass", Admit: defaultClass}},
		New:       func() kinds.Object { return &networkingv1.Ingress{} },
		NewList:   func() runtime.Object { return &networkingv1.IngressList{} },
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) {
			in := obj.(*networkingv1.Ingress)
			in.Status, in.Generation = networkingv1.IngressStatus{}, 1
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			in, was := obj.(*networkingv1.Ingress), old.(*networkingv1.Ingress)
			in.Status = *was.Status.DeepCopy()
			if changed(in.Spec, was.Spec) {
				in.Generation = was.Generation + 1
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			in := obj.(*networkingv1.Ingress)
			if !isNew(in) {
				return nil
			}
			errs := ingressCheck{}.spec(&in.Spec, field.NewPath("spec"))
			if class, ok := in.Annotations[classAnnotation]; ok && in.Spec.IngressClassName != nil && class != *in.Spec.IngressClassName {
				errs = append(errs, field.Invalid(field.NewPath("annotations").Child(classAnnotation), class, "must match `ingressClassName` when both are specified"))
			}
			return errs
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return afterIngress(&old.(*networkingv1.Ingress).Spec).spec(&obj.(*networkingv1.Ingress).Spec, field.NewPath("spec"))
		},
		Warnings: ingressWarnings,
		Columns:  ingressColumns(),
		Resets:   []string{"status"},
		Subresources: []kinds.Subresource{
			{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"}, Update: ingressStatus},
		},
	}
}

// defaultClass gives a new ingress that names no class, in either way, the default one.
func defaultClass(_ kinds.Env, obj, old kinds.Object, see kinds.Reader) error {
	in := obj.(*networkingv1.Ingress)
	if _, named := in.Annotations[classAnnotation]; old != nil || named || in.Spec.IngressClassName != nil {
		return nil
	}
	res := networkingv1.SchemeGroupVersion.WithResource("ingressclasses")
	if class := kinds.NewestMarked(see, res, networkingv1.AnnotationIsDefaultIngressClass); class != nil {
		name := class.GetName()
		in.Spec.IngressClassName = &name
	}
	return nil
}

func ingressStatus(_ kinds.Env, obj, old kinds.Object) (errs field.ErrorList) {
	in, was := obj.(*networkingv1.Ingress), old.(*networkingv1.Ingress)
	in.Spec = *was.Spec.DeepCopy()
	var known []string
	for _, p := range was.Status.LoadBalancer.Ingress {
		if p.IP != "" {
			known = append(known, p.IP)
		}
	}
	for i, p := range in.Status.LoadBalancer.Ingress {
		path := field.NewPath("status", "loadBalancer", "ingress").Index(i)
		if p.IP != "" {
			errs = append(errs, utilvalidation.IsValidIPForLegacyField(path.Child("ip"), p.IP, true, known)...)
		}
		if p.Hostname != "" {
			errs = append(errs, invalid(path.Child("hostname"), p.Hostname, utilvalidation.IsDNS1123Subdomain(p.Hostname))...)
			errs = append(errs, noAddress(path.Child("hostname"), p.Hostname)...)
		}
	}
	return errs
}

func noAddress(path *field.Path, host string) field.ErrorList {
	if netutils.ParseIPSloppy(host) == nil {
		return nil
	}
	return field.ErrorList{field.Invalid(path, host, "must be a DNS name, not an IP address")}
}

func ingressColumns() []kinds.Column {
	return []kinds.Column{
		kinds.NameColumn(),
		column("Class", "The name of the IngressClass resource that should be used for additional configuration", func(in *networkingv1.Ingress) string {
			if in.Spec.IngressClassName == nil {
				return "<none>"
			}
			return *in.Spec.IngressClassName
		}),
		column("Hosts", "Hosts that incoming requests are matched against before the ingress rule", func(in *networkingv1.Ingress) string { return hosts(in.Spec.Rules) }),
		column("Address", "Address is a list containing ingress points for the load-balancer", addresses),
		column("Ports", "Ports of TLS configurations that open", func(in *networkingv1.Ingress) string {
			if len(in.Spec.TLS) > 0 {
				return "80, 443"
			}
			return "80"
		}),
		kinds.AgeColumn(),
	}
}

// hosts shows the first three, and of how many rules there are more.
func hosts(rules []networkingv1.IngressRule) string {
	const most = 3
	var list []string
	for _, r := range rules {
		if len(list) == most {
			return fmt.Sprintf("%s + %d more...", strings.Join(list, ","), len(rules)-most)
		}
		if r.Host != "" {
			list = append(list, r.Host)
		}
	}
	if len(list) == 0 {
		return "*"
	}
	return strings.Join(list, ",")
}

func addresses(in *networkingv1.Ingress) string {
	var list []string
	for _, p := range in.Status.LoadBalancer.Ingress {
		switch {
		case p.IP != "":
			list = append(list, p.IP)
		case p.Hostname != "":
			list = append(list, p.Hostname)
		}
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ",")
}
