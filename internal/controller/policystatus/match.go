package policystatus

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/floe-k8s/floe/internal/kinds"
)

// mostKinds is how many kinds of one rule are looked at.
const mostKinds = 10

// matched are the kinds that a policy is checked against, in the order of group, version and kind.
func matched(served []*kinds.Kind, p *admissionv1.ValidatingAdmissionPolicy) []*kinds.Kind {
	if p.Spec.MatchConstraints == nil {
		return nil
	}
	all := map[schema.GroupVersionKind]*kinds.Kind{}
	for _, rule := range p.Spec.MatchConstraints.ResourceRules {
		list := ruled(served, rule.Rule)
		for _, k := range list[:min(len(list), mostKinds)] {
			if all[k.GVK] == nil {
				all[k.GVK] = k
			}
		}
		if len(list) >= mostKinds {
			break
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *kinds.Kind) int {
		return cmp.Or(cmp.Compare(a.GVK.Group, b.GVK.Group), cmp.Compare(a.GVK.Version, b.GVK.Version), cmp.Compare(a.GVK.Kind, b.GVK.Kind))
	})
}

// ruled are the kinds that a rule names, in the order of the names. Subresources and wildcards among resources name none; a wildcard elsewhere makes the whole
// rule name none. As upstream looks names up, the core group stands for every group, and the singular for the plural.
func ruled(served []*kinds.Kind, rule admissionv1.Rule) []*kinds.Kind {
	if slices.ContainsFunc(append(slices.Clip(rule.APIGroups), rule.APIVersions...), func(s string) bool { return strings.Contains(s, "*") }) {
		return nil
	}
	groups, versions, resources := sets.New(rule.APIGroups...), sets.New(rule.APIVersions...), sets.New[string]()
	for _, r := range rule.Resources {
		if !strings.ContainsAny(r, "*/") {
			resources.Insert(strings.ToLower(r))
		}
	}
	type match struct {
		group, version, resource string // as the rule names them
		kind                     *kinds.Kind
	}
	var list []match
	for _, k := range served {
		for group := range sets.New("", k.GVK.Group) {
			for resource := range sets.New(k.Resource, k.Singular) {
				if groups.Has(group) && versions.Has(k.GVK.Version) && resources.Has(resource) {
					list = append(list, match{group, k.GVK.Version, resource, k})
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b match) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.version, b.version), cmp.Compare(a.resource, b.resource))
	})
	out := make([]*kinds.Kind, len(list))
	for i, m := range list {
		out[i] = m.kind
	}
	return out
}
