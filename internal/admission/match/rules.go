package match

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/admission"
)

const wildcard = "*"

// configurations are the kinds whose objects nobody is shown.
var configurations = [...]string{
	"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy",
	"MutatingAdmissionPolicyBinding",
}

// Exempt says whether the wish is about a configuration of admission itself, of which neither webhooks nor policies are told.
func Exempt(a *admission.Attributes) bool {
	return a.Type.Group == admissionv1.GroupName && slices.Contains(configurations[:], a.Type.Kind)
}

// fits says whether a rule is about the wish, as if its resource were res.
func fits(r *admissionv1.NamedRuleWithOperations, a *admission.Attributes, res schema.GroupVersionResource) bool {
	return inScope(r.Scope, a, res) &&
		slices.ContainsFunc(r.Operations, func(o admissionv1.OperationType) bool {
			return o == admissionv1.OperationAll || string(o) == string(a.Operation)
		}) &&
		anyOf(r.APIGroups, res.Group) && anyOf(r.APIVersions, res.Version) &&
		slices.ContainsFunc(r.Resources, func(name string) bool { return resourceFits(name, res.Resource, a.Subresource) })
}

func anyOf(list []string, value string) bool {
	return slices.Contains(list, wildcard) || slices.Contains(list, value)
}

// resourceFits says whether a rule's RESOURCE or RESOURCE/SUBRESOURCE names what is wished.
func resourceFits(name, resource, subresource string) bool {
	whole, part, _ := strings.Cut(name, "/")
	return (whole == wildcard || whole == resource) && (part == wildcard || part == subresource)
}

// inScope says whether the wish is where a rule looks. A namespace itself is in none.
func inScope(scope *admissionv1.ScopeType, a *admission.Attributes, res schema.GroupVersionResource) bool {
	if scope == nil || *scope == admissionv1.AllScopes {
		return true
	}
	outside := a.Namespace == "" || res == schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	switch *scope {
	case admissionv1.NamespacedScope:
		return !outside
	case admissionv1.ClusterScope:
		return outside
	}
	return false
}

func named(names []string, name string) bool {
	return len(names) == 0 || slices.Contains(names, name)
}
