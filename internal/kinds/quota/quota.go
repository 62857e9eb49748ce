// Package quota says how much of a resource quota an object takes: what admission charges, and what the quota's controller counts.
//
// # Vocabulary
//
// A meter measures the objects of one resource: what each of them uses, by the names that a quota limits, and which scopes it is in. A quota covers an object
// when it limits something that the object's meter measures and the object is in all of its scopes. Usage of a namespace is the sum over the objects that
// a quota covers.
//
// # Laws
//
//   - Pure: usage follows from the object, the time, and other objects that a kinds.Reader shows.
//   - Every resource that keeps objects in namespaces has a meter, added ones too: they are counted as count/RESOURCE.GROUP. Only what upstream never counts
//     (events) has none.
//   - Amounts are never below zero, and lists are the caller's.
//
// # What it leaves to others
//
// Refusing belongs to admission, writing what was counted to the controller.
package quota

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/floe-k8s/floe/internal/kinds"
)

// At is when and among what an object is measured.
type At struct {
	Now time.Time
	See kinds.Reader
}

// Meter measures the objects of one resource. It is a value without state.
type Meter struct {
	// Names returns those of the names that the meter measures, in order.
	Names func(names []corev1.ResourceName, at At) []corev1.ResourceName
	// Usage is what obj takes.
	Usage func(obj kinds.Object, at At) corev1.ResourceList
	// scope says whether obj is in a scope; nil: objects are in none.
	scope func(want corev1.ScopedResourceSelectorRequirement, obj kinds.Object) bool
	// Demand says what obj must say, since a quota limits names; nil: nothing.
	Demand func(names []corev1.ResourceName, obj kinds.Object) error
	// Charged says whether a write through a subresource may change usage. old is nil for a new object. nil: only a new one does.
	Charged func(subresource string, obj, old kinds.Object) bool
}

// uncounted is what upstream has never counted.
func uncounted(gr schema.GroupResource) bool {
	return gr.Resource == "events" && (gr.Group == "" || gr.Group == "events.k8s.io") || gr == corev1.Resource("bindings")
}

// For returns the meter of a resource; false for one that is never counted.
func For(gr schema.GroupResource) (Meter, bool) {
	switch gr {
	case corev1.Resource("pods"):
		return pods(), true
	case corev1.Resource("services"):
		return services(), true
	case corev1.Resource("persistentvolumeclaims"):
		return volumeClaims(), true
	case schema.GroupResource{Group: "resource.k8s.io", Resource: "resourceclaims"}:
		return deviceClaims(), true
	}
	if uncounted(gr) {
		return Meter{}, false
	}
	return counted(gr), true
}

// CountName is the name under which a quota limits how many objects of a resource there are.
func CountName(gr schema.GroupResource) corev1.ResourceName {
	return corev1.ResourceName("count/" + gr.String())
}

// counted measures a resource by the number of its objects.
func counted(gr schema.GroupResource) Meter {
	names := []corev1.ResourceName{CountName(gr)}
	switch gr { // these were counted by shorter names before
	case corev1.Resource("configmaps"), corev1.Resource("resourcequotas"), corev1.Resource("replicationcontrollers"), corev1.Resource("secrets"):
		names = append(names, corev1.ResourceName(gr.Resource))
	}
	return Meter{
		Names: among(names...),
		Usage: func(kinds.Object, At) corev1.ResourceList {
			out := corev1.ResourceList{}
			for _, name := range names {
				out[name] = *number(1)
			}
			return out
		},
	}
}

// among returns what picks known names.
func among(known ...corev1.ResourceName) func([]corev1.ResourceName, At) []corev1.ResourceName {
	return func(names []corev1.ResourceName, _ At) []corev1.ResourceName {
		return pick(names, func(name corev1.ResourceName) bool { return slices.Contains(known, name) })
	}
}

// pick returns the names that are wanted, sorted.
func pick(names []corev1.ResourceName, wanted func(corev1.ResourceName) bool) []corev1.ResourceName {
	var out []corev1.ResourceName
	for _, name := range names {
		if wanted(name) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func number(n int64) *resource.Quantity { return resource.NewQuantity(n, resource.DecimalSI) }

// ChargedFor says whether a write may change what a quota counts. old is nil for a new object.
func (m Meter) ChargedFor(subresource string, obj, old kinds.Object) bool {
	if m.Charged == nil {
		return subresource == "" && old == nil
	}
	return m.Charged(subresource, obj, old)
}

// Scopes lists the scopes of a quota, in both of the ways in which it says them.
func Scopes(q *corev1.ResourceQuota) (out []corev1.ScopedResourceSelectorRequirement) {
	for _, name := range q.Spec.Scopes {
		out = append(out, corev1.ScopedResourceSelectorRequirement{ScopeName: name, Operator: corev1.ScopeSelectorOpExists})
	}
	if q.Spec.ScopeSelector != nil {
		out = append(out, q.Spec.ScopeSelector.MatchExpressions...)
	}
	return out
}

// InScope says whether obj is in a scope.
func (m Meter) InScope(want corev1.ScopedResourceSelectorRequirement, obj kinds.Object) bool {
	return m.scope != nil && m.scope(want, obj)
}

// Within says whether obj is in all scopes of a quota.
func (m Meter) Within(q *corev1.ResourceQuota, obj kinds.Object) bool {
	return !slices.ContainsFunc(Scopes(q), func(s corev1.ScopedResourceSelectorRequirement) bool { return !m.InScope(s, obj) })
}

// matches holds values against a requirement of a scope: one of them must match, or none being there.
func matches(want corev1.ScopedResourceSelectorRequirement, values []string) bool {
	op, known := map[corev1.ScopeSelectorOperator]selection.Operator{
		corev1.ScopeSelectorOpIn: selection.In, corev1.ScopeSelectorOpNotIn: selection.NotIn, corev1.ScopeSelectorOpExists: selection.Exists,
		corev1.ScopeSelectorOpDoesNotExist: selection.DoesNotExist,
	}[want.Operator]
	if !known {
		return false
	}
	requirement, err := labels.NewRequirement(string(want.ScopeName), op, want.Values)
	if err != nil {
		return false // validation knows such quotas
	}
	if len(values) == 0 {
		return requirement.Matches(labels.Set{})
	}
	return slices.ContainsFunc(values, func(v string) bool { return requirement.Matches(labels.Set{string(want.ScopeName): v}) })
}

// Count sums up what a quota's hard limits are of, over the objects that each resource has: objects calls its function with those of the quota's
// namespace. Names that no resource measures are left out.
func Count(q *corev1.ResourceQuota, resources []schema.GroupVersionResource, at At) corev1.ResourceList {
	used, names := corev1.ResourceList{}, Names(q.Spec.Hard)
	for _, res := range resources {
		m, ok := For(res.GroupResource())
		if !ok {
			continue
		}
		mine := m.Names(names, at)
		if len(mine) == 0 {
			continue
		}
		for _, name := range mine {
			if _, begun := used[name]; !begun {
				used[name] = resource.Quantity{Format: resource.DecimalSI}
			}
		}
		at.See.Each(res, q.Namespace, func(obj kinds.Object) bool {
			if m.Within(q, obj) {
				used = Add(used, Only(m.Usage(obj, at), mine))
			}
			return true
		})
	}
	return used
}
