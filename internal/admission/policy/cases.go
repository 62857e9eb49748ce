package policy

import (
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/match"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Config is what both plug-ins need. All fields but Metrics are required.
type Config struct {
	Table      admission.Table
	Catalog    func() *kinds.Catalog
	Authorizer auth.Authorizer // whom expressions ask
	Clock      clock.PassiveClock
	Metrics    *Metrics // nil: nothing is counted
	Types      Types    // of MutatingAdmissionPolicies
}

// oneCase is a policy that is meant and one of its bindings. When err says that something is wrong with one of them there are no parameters; binding is nil when
// it is the policy.
type oneCase[E any] struct {
	policy  *policy[E]
	binding *binding
	form    match.Form
	params  []runtime.Object // one nil without parameters
	err     error
}

// misfit is err in upstream's words.
func (c *oneCase[E]) misfit() string {
	if c.binding == nil {
		return fmt.Sprintf("failed to configure policy: %v", c.err)
	}
	return fmt.Sprintf("failed to configure binding: %v", c.err)
}

// cases lists, in order, who is meant by the wish.
func cases[E any](policies []policy[E], a *admission.Attributes, served *kinds.Catalog) (list []oneCase[E]) {
	for i := range policies {
		p := &policies[i]
		form, ok, err := p.criteria.Match(a, served)
		if err != nil {
			list = append(list, oneCase[E]{policy: p, err: err})
		}
		if err != nil || !ok {
			continue
		}
		params, err := p.paramKind(served)
		if err != nil {
			list = append(list, oneCase[E]{policy: p, err: err})
			continue
		}
		for _, b := range p.bindings {
			c := oneCase[E]{policy: p, binding: b, form: form}
			if _, ok, c.err = b.criteria.Match(a, served); c.err == nil && !ok {
				continue
			}
			if c.err == nil {
				c.params, c.err = b.parameters(a, params)
			}
			if c.err != nil || len(c.params) > 0 {
				list = append(list, c)
			}
		}
	}
	return list
}

// paramKind is the kind of the policy's parameters; nil when it has none.
func (d *definition[E]) paramKind(served *kinds.Catalog) (*kinds.Kind, error) {
	if d.params == nil {
		return nil, nil
	}
	gvk := schema.FromAPIVersionAndKind(d.params.APIVersion, d.params.Kind)
	for _, k := range served.All() {
		if k.GVK == gvk && !k.Answered {
			return k, nil
		}
	}
	return nil, fmt.Errorf("failed to find resource referenced by paramKind: '%v'", gvk)
}

// parameters are the objects of kind k that the binding names for the wish. None at all is an error when the binding wants it so.
func (b *binding) parameters(a *admission.Attributes, k *kinds.Kind) (list []runtime.Object, err error) {
	if k == nil || b.ref == nil {
		return []runtime.Object{nil}, nil
	}
	namespace := ""
	switch {
	case !k.Namespaced && b.ref.Namespace != "":
		return nil, errors.New("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
	case !k.Namespaced:
	case b.ref.Namespace != "":
		namespace = b.ref.Namespace
	case a.Namespace == "":
		return nil, errors.New("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
	default:
		namespace = a.Namespace
	}
	found, err := b.find(a, k, namespace)
	if err != nil {
		return nil, err
	}
	if action := b.ref.ParameterNotFoundAction; len(found) == 0 && action != nil && *action == admissionv1.DenyAction {
		return nil, errors.New("no params found for policy binding with `Deny` parameterNotFoundAction")
	}
	for _, obj := range found {
		shown, err := match.Stored(k, obj)
		if err != nil {
			return nil, err
		}
		list = append(list, shown)
	}
	return list, nil
}

// find reads the objects of a namespace that the binding names or selects.
func (b *binding) find(a *admission.Attributes, k *kinds.Kind, namespace string) (list []kinds.Object, err error) {
	switch {
	case b.ref.Name != "" && b.ref.Selector != nil:
		return nil, errors.New("paramRef.name and paramRef.selector are mutually exclusive")
	case b.ref.Name != "":
		if obj := a.See.Get(k.GVR(), namespace, b.ref.Name); obj != nil {
			list = append(list, obj)
		}
		return list, nil
	case b.ref.Selector == nil:
		return nil, errors.New("one of name or selector must be provided")
	}
	selector, err := metav1.LabelSelectorAsSelector(b.ref.Selector)
	if err != nil {
		return nil, err
	}
	a.See.Each(k.GVR(), namespace, func(obj kinds.Object) bool {
		if selector.Matches(labels.Set(obj.GetLabels())) {
			list = append(list, obj)
		}
		return true
	})
	return list, nil
}

// namespaceOf is the namespace that the wish is in; nil for one about a namespace itself, and outside of all. The error is an API status error.
func namespaceOf(a *admission.Attributes) (*corev1.Namespace, error) {
	if a.Namespace == "" || a.Type == corev1.SchemeGroupVersion.WithKind("Namespace") {
		return nil, nil
	}
	ns, ok := a.See.Get(corev1.SchemeGroupVersion.WithResource("namespaces"), "", a.Namespace).(*corev1.Namespace)
	if !ok {
		return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), a.Namespace)
	}
	return ns, nil
}
