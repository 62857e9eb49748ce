// Package selecting finds who selects a pod: services, disruption budgets and what else names pods of its namespace by labels.
//
// # Laws
//
// What selects is found by kinds.SelectorIndex, so a pod's change costs what shares a label with the pod, not what else there is in its namespace. All here is
// pure.
package selecting

import (
	"iter"
	"maps"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Selector is what an object selects pods by; nil: it selects none.
type Selector func(obj kinds.Object) labels.Selector

// Of goes through the objects of a resource that select a pod: in key order under each of its labels.
func Of(view client.View, res client.Resource, pod kinds.Object, selector Selector) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		for _, value := range kinds.SelectorValues(pod.GetNamespace(), pod.GetLabels()) {
			for obj := range view.Lookup(res, kinds.SelectorIndex, value) {
				if s := selector(obj); s != nil && s.Matches(labels.Set(pod.GetLabels())) && !yield(obj) {
					return
				}
			}
		}
	}
}

// Keys are the objects of a resource that select a pod, as a change left it or as it was before, each once.
func Keys(view client.View, res client.Resource, change client.Change, selector Selector) (keys []engine.Key) {
	var seen map[engine.Key]bool // most pods are selected by nobody, and a map for each was felt
	see := func(pod kinds.Object) {
		for obj := range Of(view, res, pod, selector) {
			key := engine.Key{Resource: res, Namespace: obj.GetNamespace(), Name: obj.GetName()}
			if !seen[key] {
				if seen == nil {
					seen = map[engine.Key]bool{}
				}
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	if change.New != nil {
		see(change.New)
	}
	if change.Old != nil && (change.New == nil || !maps.Equal(change.Old.GetLabels(), change.New.GetLabels())) {
		see(change.Old)
	}
	return keys
}

// Pods goes through the pods of a namespace that a selector selects, in key order.
func Pods[T kinds.Object](view client.View, pods client.Resource, namespace string, selector labels.Selector) iter.Seq[T] {
	return func(yield func(T) bool) {
		for obj := range view.List(pods, namespace) {
			if selector.Matches(labels.Set(obj.GetLabels())) && !yield(obj.(T)) {
				return
			}
		}
	}
}
