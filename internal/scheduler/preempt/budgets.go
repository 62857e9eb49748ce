package preempt

import (
	"maps"
	"slices"
	"strings"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// budget is what preemption reads of a PodDisruptionBudget.
type budget struct {
	name     string
	selector labels.Selector // matches nothing where upstream's does not, or cannot be parsed
	allowed  int32
	gone     map[string]metav1.Time // pods whose disruption is counted already
}

// coverage is the pods that a budget spoke of when it changed.
type coverage struct {
	namespace string
	selector  labels.Selector
}

// rememberedChanges is how many changes of budgets memories may lag behind.
const rememberedChanges = 1024

// Budgets are the PodDisruptionBudgets. The zero value is none. They belong to the goroutine of their Preemptor.
type Budgets struct {
	of      map[string][]budget // by namespace, sorted by name
	changed []coverage
	first   uint64 // of all changes ever, the number of changed[0]
}

// Set adds or replaces a budget. Nothing of pdb is kept but its strings and its map of disrupted pods, which must not be
// changed.
func (b *Budgets) Set(pdb *policyv1.PodDisruptionBudget) {
	next := budget{name: pdb.Name, selector: labels.Nothing(), allowed: pdb.Status.DisruptionsAllowed, gone: pdb.Status.DisruptedPods}
	if s, err := metav1.LabelSelectorAsSelector(pdb.Spec.Selector); err == nil && !s.Empty() {
		next.selector = s
	}
	if b.of == nil {
		b.of = map[string][]budget{}
	}
	list := b.of[pdb.Namespace]
	i, found := b.find(pdb.Namespace, pdb.Name)
	if !found {
		b.of[pdb.Namespace] = slices.Insert(list, i, next)
		b.note(pdb.Namespace, next.selector)
		return
	}
	old := list[i]
	list[i] = next
	reselected := old.selector.String() != next.selector.String()
	if reselected {
		b.note(pdb.Namespace, old.selector)
	}
	if reselected || old.allowed != next.allowed || !maps.EqualFunc(old.gone, next.gone, func(a, b metav1.Time) bool { return true }) {
		b.note(pdb.Namespace, next.selector)
	}
}

// Remove forgets a budget.
func (b *Budgets) Remove(namespace, name string) {
	i, found := b.find(namespace, name)
	if !found {
		return
	}
	b.note(namespace, b.of[namespace][i].selector)
	if b.of[namespace] = slices.Delete(b.of[namespace], i, i+1); len(b.of[namespace]) == 0 {
		delete(b.of, namespace)
	}
}

func (b *Budgets) find(namespace, name string) (int, bool) {
	return slices.BinarySearchFunc(b.of[namespace], name, func(b budget, name string) int { return strings.Compare(b.name, name) })
}

func (b *Budgets) note(namespace string, s labels.Selector) {
	if len(b.changed) >= 2*rememberedChanges {
		b.first += rememberedChanges
		b.changed = append(b.changed[:0], b.changed[rememberedChanges:]...)
	}
	b.changed = append(b.changed, coverage{namespace, s})
}

// since is what changed from a moment on; false when that is not remembered.
func (b *Budgets) since(at uint64) (changed []coverage, next uint64, ok bool) {
	next = b.first + uint64(len(b.changed))
	if at < b.first {
		return nil, next, false
	}
	return b.changed[at-b.first:], next, true
}

// part divides pods into those that would violate a budget and the others, both in the order given: each takes from what
// its budgets allow, those before it first.
func (b *Budgets) part(t *place.Table, pods []place.Resident, violating, free []place.Resident) (v, f []place.Resident) {
	if len(b.of) == 0 {
		return violating, append(free, pods...)
	}
	var left map[*budget]int32
	for _, r := range pods {
		p := t.Resident(r.Number)
		violates := false
		list := b.of[p.Namespace]
		for i := range list {
			pdb := &list[i]
			if len(p.Labels) == 0 || !pdb.selector.Matches(labels.Set(p.Labels)) {
				continue
			}
			if _, counted := pdb.gone[p.Name]; counted {
				continue
			}
			if left == nil {
				left = map[*budget]int32{}
			}
			if _, ok := left[pdb]; !ok {
				left[pdb] = pdb.allowed
			}
			left[pdb]--
			violates = violates || left[pdb] < 0
		}
		if violates {
			violating = append(violating, r)
		} else {
			free = append(free, r)
		}
	}
	return violating, free
}
