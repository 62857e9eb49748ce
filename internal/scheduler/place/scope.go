package place

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// scope is the pods that a selector speaks of: in some namespaces, by their labels. An affinity term's scope is its own
// namespaces and those that its namespace selector meets.
type scope struct {
	namespaces []string        // sorted
	chooses    labels.Selector // of namespaces by their labels; labels.Nothing for none
	selector   labels.Selector
}

// term is an affinity term, parsed.
type term struct {
	scope
	topology string
	weight   int64 // of a preferred term
}

func parseTerm(namespace string, t *corev1.PodAffinityTerm) (term, error) {
	selector, err := metav1.LabelSelectorAsSelector(t.LabelSelector)
	if err != nil {
		return term{}, err
	}
	chooses, err := metav1.LabelSelectorAsSelector(t.NamespaceSelector)
	if err != nil {
		return term{}, err
	}
	names := []string{namespace}
	if len(t.Namespaces) > 0 || t.NamespaceSelector != nil {
		names = slices.Compact(slices.Sorted(slices.Values(t.Namespaces)))
	}
	return term{scope: scope{names, chooses, selector}, topology: t.TopologyKey}, nil
}

// affinity is the inter-pod affinity of a pod.
type affinity struct {
	required, anti       []term
	preferred, preferNot []term // preferNot has positive weights, that count against
}

func parseAffinity(pod *corev1.Pod) (affinity, error) {
	var a affinity
	var err error
	if pod.Spec.Affinity == nil {
		return a, nil
	}
	if p := pod.Spec.Affinity.PodAffinity; p != nil {
		if a.required, err = parseTerms(pod.Namespace, p.RequiredDuringSchedulingIgnoredDuringExecution); err != nil {
			return a, fmt.Errorf("requiredAffinityTerms: %w", err)
		}
		if a.preferred, err = parseWeighted(pod.Namespace, p.PreferredDuringSchedulingIgnoredDuringExecution); err != nil {
			return a, fmt.Errorf("preferredAffinityTerms: %w", err)
		}
	}
	if p := pod.Spec.Affinity.PodAntiAffinity; p != nil {
		if a.anti, err = parseTerms(pod.Namespace, p.RequiredDuringSchedulingIgnoredDuringExecution); err != nil {
			return a, fmt.Errorf("requiredAntiAffinityTerms: %w", err)
		}
		if a.preferNot, err = parseWeighted(pod.Namespace, p.PreferredDuringSchedulingIgnoredDuringExecution); err != nil {
			return a, fmt.Errorf("preferredAntiAffinityTerms: %w", err)
		}
	}
	return a, nil
}

func parseTerms(namespace string, list []corev1.PodAffinityTerm) (out []term, err error) {
	for i := range list {
		t, err := parseTerm(namespace, &list[i])
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func parseWeighted(namespace string, list []corev1.WeightedPodAffinityTerm) (out []term, err error) {
	for i := range list {
		t, err := parseTerm(namespace, &list[i].PodAffinityTerm)
		if err != nil {
			return nil, err
		}
		t.weight = int64(list[i].Weight)
		out = append(out, t)
	}
	return out, nil
}

// own says whether the scope of a pod that is to be placed covers a pod on a node. Upstream unrolls the namespace selector
// over the namespaces that exist; the empty one means all, existing or not.
func (s *scope) own(t *Table, namespace string, set labels.Set) bool {
	if !slices.Contains(s.namespaces, namespace) && !s.chooses.Empty() {
		ns, known := t.namespaces[namespace]
		if !known || !s.chooses.Matches(ns) {
			return false
		}
	}
	return s.selector.Matches(set)
}

// covers says whether the scope of a pod on a node covers a pod that is to be placed; a namespace that does not exist has
// no labels.
func (s *scope) covers(t *Table, namespace string, set labels.Set) bool {
	return (slices.Contains(s.namespaces, namespace) || s.chooses.Matches(t.namespaces[namespace])) && s.selector.Matches(set)
}

// choosy says whether what the scope means depends on the labels of namespaces.
func (s *scope) choosy() bool {
	_, selectable := s.chooses.Requirements()
	return selectable && !s.chooses.Empty()
}

// key is the same for scopes that mean the same.
func (s *scope) key() string {
	chooses := s.chooses.String()
	if _, selectable := s.chooses.Requirements(); !selectable {
		chooses = "-" // labels.Nothing and labels.Everything both print as ""
	}
	return strings.Join(s.namespaces, ",") + "|" + chooses + "|" + selectorKey(s.selector)
}

// selectorKey tells nothing from everything, which print alike.
func selectorKey(s labels.Selector) string {
	if _, selectable := s.Requirements(); !selectable {
		return "-"
	}
	return s.String()
}

// pair is a label that every pod a scope covers has; the zero pair when there is none.
type pair struct{ key, value string }

func (s *scope) pair() pair {
	requirements, _ := s.selector.Requirements()
	for i := range requirements {
		r := &requirements[i]
		if op := r.Operator(); op == selection.In || op == selection.Equals || op == selection.DoubleEquals {
			if values := r.ValuesUnsorted(); len(values) == 1 {
				return pair{r.Key(), values[0]}
			}
		}
	}
	return pair{}
}
