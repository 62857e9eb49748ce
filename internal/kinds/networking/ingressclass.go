package networking

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// maxController bounds the name of a class's controller, in bytes.
const maxController = 250

// IngressClass is networking.k8s.io/v1 IngressClass.
func IngressClass() *kinds.Kind {
	name := kinds.NameColumn()
	name.Cell = func(_ kinds.Env, obj kinds.Object) any {
		if obj.GetAnnotations()[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			return obj.GetName() + " (default)"
		}
		return obj.GetName()
	}
	return &kinds.Kind{
		GVK: networkingv1.SchemeGroupVersion.WithKind("IngressClass"), Resource: "ingressclasses", Singular: "ingressclass",
		MetaAgain: kinds.MetaChangeFirst,
		New:       func() kinds.Object { return &networkingv1.IngressClass{} },
		NewList:   func() runtime.Object { return &networkingv1.IngressClassList{} },
		Default: func(obj kinds.Object) {
			if p := obj.(*networkingv1.IngressClass).Spec.Parameters; p != nil && p.Scope == nil {
				scope := networkingv1.IngressClassParametersReferenceScopeCluster
				p.Scope = &scope
			}
		},
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) { obj.SetGeneration(1) },
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			if changed(obj.(*networkingv1.IngressClass).Spec, old.(*networkingv1.IngressClass).Spec) {
				obj.SetGeneration(old.GetGeneration() + 1)
			}
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if !isNew(obj) { // the order of upstream's errors: what may not change comes first
				return nil
			}
			return validateClass(&obj.(*networkingv1.IngressClass).Spec, field.NewPath("spec"))
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			s, path := &obj.(*networkingv1.IngressClass).Spec, field.NewPath("spec")
			errs := validation.ValidateImmutableField(s.Controller, old.(*networkingv1.IngressClass).Spec.Controller, path.Child("controller"))
			return append(errs, validateClass(s, path)...)
		},
		Columns: []kinds.Column{
			name,
			column("Controller", "Controller that is responsible for handling this class", func(c *networkingv1.IngressClass) string { return c.Spec.Controller }),
			column("Parameters", "A reference to a resource with additional parameters", parametersText),
			kinds.AgeColumn(),
		},
	}
}

func parametersText(c *networkingv1.IngressClass) string {
	p := c.Spec.Parameters
	if p == nil {
		return "<none>"
	}
	if p.APIGroup != nil {
		return p.Kind + "." + *p.APIGroup + "/" + p.Name
	}
	return p.Kind + "/" + p.Name
}

func validateClass(s *networkingv1.IngressClassSpec, path *field.Path) (errs field.ErrorList) {
	controller := path.Child("controller")
	if len(s.Controller) > maxController {
		errs = append(errs, field.TooLong(controller, "", maxController))
	}
	errs = append(errs, utilvalidation.IsDomainPrefixedPath(controller, s.Controller)...)
	if s.Parameters != nil {
		errs = append(errs, validateParameters(s.Parameters, path.Child("parameters"))...)
	}
	return errs
}

func validateParameters(p *networkingv1.IngressClassParametersReference, path *field.Path) field.ErrorList {
	errs := validateReference(p.APIGroup, p.Kind, p.Name, path)
	if p.Scope == nil {
		return append(errs, field.Required(path.Child("scope"), ""))
	}
	switch at := path.Child("namespace"); *p.Scope {
	case networkingv1.IngressClassParametersReferenceScopeNamespace:
		if p.Namespace == nil {
			errs = append(errs, field.Required(at, "`parameters.scope` is set to 'Namespace'"))
		} else {
			errs = append(errs, invalid(at, *p.Namespace, validation.ValidateNamespaceName(*p.Namespace, false))...)
		}
	case networkingv1.IngressClassParametersReferenceScopeCluster:
		if p.Namespace != nil {
			errs = append(errs, field.Forbidden(at, "`parameters.scope` is set to 'Cluster'"))
		}
	default:
		errs = append(errs, field.NotSupported(path.Child("scope"), *p.Scope, []string{networkingv1.IngressClassParametersReferenceScopeCluster, networkingv1.IngressClassParametersReferenceScopeNamespace}))
	}
	return errs
}

// validateReference checks a reference to an object of any kind.
func validateReference(group *string, kind, name string, path *field.Path) (errs field.ErrorList) {
	if group != nil {
		errs = append(errs, invalid(path.Child("apiGroup"), *group, utilvalidation.IsDNS1123Subdomain(*group))...)
	}
	errs = append(errs, segment(path.Child("kind"), kind)...)
	return append(errs, segment(path.Child("name"), name)...)
}

// segment checks what must be there and fit into a URL.
func segment(path *field.Path, value string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	return invalid(path, value, content.IsPathSegmentName(value))
}
