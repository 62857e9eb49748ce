package volumes

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// reach is the label that nodes must have to get at a thing; the zero value leaves it to the thing's own selector.
type reach struct{ key, value string }

// shelf holds things by their reach. The zero value is empty.
type shelf[T comparable] struct {
	labelled map[string]map[string][]T // by key and value
	rest     []T
}

func (s *shelf[T]) empty() bool { return len(s.labelled) == 0 && len(s.rest) == 0 }

func (s *shelf[T]) add(r reach, thing T) {
	if r.key == "" {
		s.rest = append(s.rest, thing)
		return
	}
	if s.labelled == nil {
		s.labelled = map[string]map[string][]T{}
	}
	if s.labelled[r.key] == nil {
		s.labelled[r.key] = map[string][]T{}
	}
	s.labelled[r.key][r.value] = append(s.labelled[r.key][r.value], thing)
}

func (s *shelf[T]) remove(r reach, thing T) {
	list := s.rest
	if r.key != "" {
		list = s.labelled[r.key][r.value]
	}
	i := slices.Index(list, thing)
	list = slices.Delete(list, i, i+1)
	switch {
	case r.key == "":
		s.rest = list
	case len(list) > 0:
		s.labelled[r.key][r.value] = list
	default:
		if delete(s.labelled[r.key], r.value); len(s.labelled[r.key]) == 0 {
			delete(s.labelled, r.key)
		}
	}
}

// each ranges over what a node with some labels may reach, in no order, and whether its labels say that it does; otherwise it
// is to be found out.
func (s *shelf[T]) each(set map[string]string) func(func(thing T, sure bool) bool) {
	return func(yield func(T, bool) bool) {
		for key, values := range s.labelled {
			for _, thing := range values[set[key]] {
				if _, ok := set[key]; ok && !yield(thing, true) {
					return
				}
			}
		}
		for _, thing := range s.rest {
			if !yield(thing, false) {
				return
			}
		}
	}
}

// fewNodes is how many nodes are touched one by one. Touching a node costs every kind of pod a little, a generation costs the
// pods that ask for the class a look at all nodes.
const fewNodes = 8

// moved says that something with a reach came or went, whose generation is given.
func (x *Index) moved(r reach, generation *uint64) {
	if r.key == "" {
		*generation = x.next()
		return
	}
	values := x.places[r.key]
	if values == nil {
		values = map[string]map[string]bool{}
		x.places[r.key] = values
		for _, n := range x.nodes {
			if value, ok := n.labels[r.key]; ok {
				put(values, value, n.name)
			}
		}
	}
	if len(values[r.value]) > fewNodes {
		*generation = x.next()
		return
	}
	for name := range values[r.value] {
		x.touch(name)
	}
}

// affinity is a volume's required node affinity, parsed. Nil is none.
type affinity struct {
	reach
	text     string // equal for equal affinities
	selector *nodeaffinity.LazyErrorNodeSelector
}

func parseAffinity(a *corev1.VolumeNodeAffinity) *affinity {
	if a == nil || a.Required == nil {
		return nil
	}
	out := &affinity{text: a.Required.String(), selector: nodeaffinity.NewLazyErrorNodeSelector(a.Required)}
	if terms := a.Required.NodeSelectorTerms; len(terms) == 1 && len(terms[0].MatchFields) == 0 && len(terms[0].MatchExpressions) == 1 {
		e := terms[0].MatchExpressions[0]
		if _, err := labels.NewRequirement(e.Key, selection.In, e.Values); e.Operator == corev1.NodeSelectorOpIn && len(e.Values) == 1 && err == nil {
			out.reach = reach{e.Key, e.Values[0]}
		}
	}
	return out
}

func (a *affinity) string() string {
	if a == nil {
		return ""
	}
	return a.text
}

// reachable says whether a node with some labels can get at what has the affinity. A selector that cannot be parsed matches
// nothing.
func (x *Index) reachable(a *affinity, set map[string]string) bool {
	if a == nil {
		return true
	}
	if a.key != "" {
		value, ok := set[a.key]
		return ok && value == a.value
	}
	x.scratch.Labels = set
	ok, err := a.selector.Match(&x.scratch)
	return ok && err == nil
}

// newCapacity parses an object; nil when nothing can be made with it: no node has access, or it does not say how much.
func newCapacity(object *storagev1.CSIStorageCapacity) *capacity {
	limit := object.MaximumVolumeSize
	if limit == nil {
		limit = object.Capacity
	}
	if limit == nil || object.NodeTopology == nil {
		return nil
	}
	selector, err := metav1.LabelSelectorAsSelector(object.NodeTopology)
	if err != nil {
		return nil
	}
	c := &capacity{object: object, selector: selector, limit: limit.Value()}
	if all, ok := selector.Requirements(); ok && len(all) == 1 {
		if op := all[0].Operator(); op == selection.Equals || op == selection.In {
			if values := all[0].ValuesUnsorted(); len(values) == 1 {
				c.reach = reach{all[0].Key(), values[0]}
			}
		}
	}
	return c
}

// topology parses a term of a class' allowed topologies; false for one that no node meets.
func topology(term corev1.TopologySelectorTerm) (labels.Selector, bool) {
	if len(term.MatchLabelExpressions) == 0 {
		return nil, false
	}
	selector := labels.NewSelector()
	for _, e := range term.MatchLabelExpressions {
		r, err := labels.NewRequirement(e.Key, selection.In, e.Values)
		if err != nil {
			return nil, false
		}
		selector = selector.Add(*r)
	}
	return selector, true
}
