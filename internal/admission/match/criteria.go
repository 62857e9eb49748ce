package match

import (
	"fmt"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Criteria say which wishes are meant. They are not changed and are safe for concurrent use.
type Criteria struct {
	namespaces, objects selector
	rules, excluded     []admissionv1.NamedRuleWithOperations
	equivalents         bool
	all                 bool // without rules every wish is meant
}

// selector is one that was read when the criteria were made, or what was wrong with it.
type selector struct {
	labels.Selector
	err error
}

func read(s *metav1.LabelSelector) selector {
	parsed, err := metav1.LabelSelectorAsSelector(s)
	return selector{parsed, err}
}

// Webhook are the criteria of a webhook, of either sort.
func Webhook(w *admissionv1.MutatingWebhook) *Criteria {
	c := &Criteria{namespaces: read(w.NamespaceSelector), objects: read(w.ObjectSelector), equivalents: fuzzy(w.MatchPolicy)}
	for _, r := range w.Rules {
		c.rules = append(c.rules, admissionv1.NamedRuleWithOperations{RuleWithOperations: r})
	}
	return c
}

// Resources are the criteria of a policy or a binding. nil says nothing and means every wish.
func Resources(m *admissionv1.MatchResources) *Criteria {
	if m == nil {
		return &Criteria{namespaces: selector{Selector: labels.Everything()}, objects: selector{Selector: labels.Everything()}, all: true}
	}
	return &Criteria{
		namespaces: read(m.NamespaceSelector), objects: read(m.ObjectSelector), equivalents: fuzzy(m.MatchPolicy),
		rules: m.ResourceRules, excluded: m.ExcludeResourceRules, all: len(m.ResourceRules) == 0,
	}
}

func fuzzy(p *admissionv1.MatchPolicyType) bool { return p != nil && *p == admissionv1.Equivalent }

// Match says whether the wish is meant, and in which form its objects are to be shown. The error is an API status error.
func (c *Criteria) Match(a *admission.Attributes, served *kinds.Catalog) (form Form, ok bool, err error) {
	inNamespace, namespaceErr := c.namespace(a)
	if !inNamespace && namespaceErr == nil {
		return Form{}, false, nil
	}
	selected, selectErr := c.object(a)
	if !selected && selectErr == nil {
		return Form{}, false, nil
	}
	if _, excluded, err := find(c.excluded, c.equivalents, a, served); excluded || err != nil {
		return Form{}, false, err
	}
	if form, ok = asIs(a), true; !c.all {
		form, ok, err = find(c.rules, c.equivalents, a, served)
	}
	switch {
	case err != nil || !ok:
		return Form{}, false, err
	case namespaceErr != nil:
		return Form{}, false, namespaceErr
	case selectErr != nil:
		return Form{}, false, selectErr
	}
	return form, true, nil
}

// find returns the form of the first rule that fits the wish, or else an equivalent of it.
func find(rules []admissionv1.NamedRuleWithOperations, equivalents bool, a *admission.Attributes, served *kinds.Catalog) (Form, bool, error) {
	own := a.Resource()
	for i := range rules {
		if fits(&rules[i], a, own) && named(rules[i].ResourceNames, a.Name) {
			return asIs(a), true, nil
		}
	}
	if !equivalents || len(rules) == 0 {
		return Form{}, false, nil
	}
	others := equivalentsOf(a, served)
	for i := range rules {
		for _, k := range others {
			if !fits(&rules[i], a, k.GVR()) {
				continue
			}
			form, ok := formOf(k, a)
			if !ok {
				return Form{}, false, apierrors.NewInternalError(fmt.Errorf("unable to convert to %v: unknown kind", k.GVR()))
			}
			if named(rules[i].ResourceNames, a.Name) {
				return form, true, nil
			}
		}
	}
	return Form{}, false, nil
}

// namespace says whether the selector of namespaces selects that of the wish.
func (c *Criteria) namespace(a *admission.Attributes) (bool, error) {
	switch {
	case a.Namespace == "" && a.Kind.Resource != "namespaces":
		return true, nil
	case c.namespaces.err != nil:
		return false, apierrors.NewInternalError(c.namespaces.err)
	case c.namespaces.Empty():
		return true, nil
	}
	ns := namespaceOf(a)
	if ns == nil {
		return false, apierrors.NewNotFound(corev1.Resource("namespaces"), a.Namespace)
	}
	return c.namespaces.Matches(labels.Set(ns.Labels)), nil
}

// namespaceOf is the namespace that counts: one that is written counts as it would be.
func namespaceOf(a *admission.Attributes) *corev1.Namespace {
	if a.Operation == admission.Create || a.Operation == admission.Update {
		return a.NamespaceObject()
	}
	ns, _ := a.See.Get(corev1.SchemeGroupVersion.WithResource("namespaces"), "", a.Namespace).(*corev1.Namespace)
	return ns
}

// object says whether the selector of objects selects what would be or what was.
func (c *Criteria) object(a *admission.Attributes) (bool, error) {
	if c.objects.err != nil {
		return false, apierrors.NewInternalError(c.objects.err)
	}
	return c.objects.Empty() || c.selects(a.Object) || c.selects(a.Old), nil
}

func (c *Criteria) selects(obj runtime.Object) bool {
	meta, ok := obj.(metav1.Object)
	return ok && c.objects.Matches(labels.Set(meta.GetLabels()))
}

// Form is the resource and the kind in which objects of a wish are shown.
type Form struct {
	Resource schema.GroupVersionResource
	Kind     schema.GroupVersionKind
	kind     *kinds.Kind // of the resource
}

func asIs(a *admission.Attributes) Form { return Form{a.Resource(), a.Type, a.Kind} }

// equivalentsOf are the other resources with the same objects, in the order in which they are served.
func equivalentsOf(a *admission.Attributes, served *kinds.Catalog) (list []*kinds.Kind) {
	if a.Kind.Answered {
		return nil // nothing is stored that could be shared
	}
	prefix, own := a.Kind.Prefix(), a.Resource()
	for _, k := range served.All() {
		if !k.Answered && k.GVR() != own && k.Prefix() == prefix {
			list = append(list, k)
		}
	}
	return list
}

// formOf is the wish's form in an equivalent; ok false: that has no such subresource.
func formOf(k *kinds.Kind, a *admission.Attributes) (Form, bool) {
	if a.Subresource == "" {
		return Form{k.GVR(), k.GVK, k}, true
	}
	for _, part := range k.Subresources {
		if part.Name == a.Subresource {
			return Form{k.GVR(), part.GVK, k}, true
		}
	}
	return Form{}, false
}
