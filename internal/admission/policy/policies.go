package policy

import (
	"cmp"
	"slices"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/match"
	"github.com/floe-k8s/floe/internal/kinds"
)

// policy is one policy with its bindings. E is what its expressions are compiled to. It is not changed.
type policy[E any] struct {
	definition[E]
	bindings []*binding
}

// definition is what a policy says.
type definition[E any] struct {
	name, version string
	criteria      *match.Criteria
	failOpen      bool
	params        *admissionv1.ParamKind
	compiled      func() E // once, when it is first called
}

// binding is one binding of a policy.
type binding struct {
	policy, name string
	criteria     *match.Criteria // everything when the binding says nothing
	ref          *admissionv1.ParamRef
	actions      []admissionv1.ValidationAction
}

// source makes the policies of two resources.
type source[E any] struct {
	table              admission.Table
	policies, bindings schema.GroupVersionResource
	read               func(obj kinds.Object) (definition[E], bool)
}

func latest[E any](table admission.Table, policies, bindings string, read func(kinds.Object) (definition[E], bool)) *admission.Latest[[]policy[E]] {
	group := admissionv1.SchemeGroupVersion
	s := &source[E]{table, group.WithResource(policies), group.WithResource(bindings), read}
	return admission.NewLatest(table, s.renew, s.policies, s.bindings)
}

// renew lists the policies that have bindings, by name. What is compiled stays as long as the policy does.
func (s *source[E]) renew(old []policy[E]) (list []policy[E]) {
	of := map[string][]*binding{}
	s.table.Each(s.bindings, "", func(obj kinds.Object) bool {
		if b := readBinding(obj); b != nil {
			of[b.policy] = append(of[b.policy], b)
		}
		return true
	})
	if len(of) == 0 {
		return nil
	}
	s.table.Each(s.policies, "", func(obj kinds.Object) bool {
		bindings := of[obj.GetName()]
		if len(bindings) == 0 {
			return true
		}
		slices.SortFunc(bindings, func(a, b *binding) int { return cmp.Compare(a.name, b.name) })
		if i := slices.IndexFunc(old, func(o policy[E]) bool { return o.name == obj.GetName() && o.version == obj.GetResourceVersion() }); i >= 0 {
			list = append(list, policy[E]{old[i].definition, bindings})
		} else if d, ok := s.read(obj); ok {
			list = append(list, policy[E]{d, bindings})
		}
		return true
	})
	slices.SortFunc(list, func(a, b policy[E]) int { return cmp.Compare(a.name, b.name) })
	return list
}

func readBinding(obj kinds.Object) *binding {
	switch b := obj.(type) {
	case *admissionv1.ValidatingAdmissionPolicyBinding:
		return &binding{b.Spec.PolicyName, b.Name, match.Resources(b.Spec.MatchResources), b.Spec.ParamRef, b.Spec.ValidationActions}
	case *admissionv1.MutatingAdmissionPolicyBinding:
		return &binding{b.Spec.PolicyName, b.Name, match.Resources(b.Spec.MatchResources), b.Spec.ParamRef, nil}
	}
	return nil
}

// define is what both sorts of policies say in the same words.
func define[E any](obj kinds.Object, constraints *admissionv1.MatchResources, failure *admissionv1.FailurePolicyType, params *admissionv1.ParamKind,
	compile func(failOpen bool) E) definition[E] {
	open := failure != nil && *failure == admissionv1.Ignore
	return definition[E]{
		name: obj.GetName(), version: obj.GetResourceVersion(), criteria: match.Resources(constraints), failOpen: open, params: params,
		compiled: sync.OnceValue(func() E { return compile(open) }),
	}
}

// spared are the resources that policies are not told of.
var spared = map[schema.GroupResource]bool{
	admissionv1.Resource("validatingadmissionpolicies"):                    true,
	admissionv1.Resource("validatingadmissionpolicybindings"):              true,
	admissionv1.Resource("mutatingadmissionpolicies"):                      true,
	admissionv1.Resource("mutatingadmissionpolicybindings"):                true,
	{Group: "authentication.k8s.io", Resource: "selfsubjectreviews"}:       true,
	{Group: "authentication.k8s.io", Resource: "tokenreviews"}:             true,
	{Group: "authorization.k8s.io", Resource: "localsubjectaccessreviews"}: true,
	{Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews"}:  true,
	{Group: "authorization.k8s.io", Resource: "selfsubjectrulesreviews"}:   true,
	{Group: "authorization.k8s.io", Resource: "subjectaccessreviews"}:      true,
}
