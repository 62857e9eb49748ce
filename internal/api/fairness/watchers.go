package fairness

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/floe-k8s/floe/internal/auth"
)

// watched is what a watch is about.
type watched struct{ group, resource, namespace, name string }

// watchers counts watches, since each makes the changes that it is told of dearer. It is safe for concurrent use.
type watchers struct {
	mu    sync.Mutex
	count map[watched]int // guarded by mu; no entry is 0
}

// add counts a watch; forget must be called when it ends. A watch of one node's pods is not counted, since few changes are about it: it is found by an
// index.
func (w *watchers) add(a *auth.Attributes, opts *metav1.ListOptions) (forget func()) {
	if a.Resource == "pods" && opts != nil && ofOneNode(opts.FieldSelector) {
		return func() {}
	}
	about := watched{a.Group, a.Resource, a.Namespace, a.Name}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == nil {
		w.count = map[watched]int{}
	}
	w.count[about]++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.count[about]--; w.count[about] == 0 {
			delete(w.count, about)
		}
	}
}

func ofOneNode(text string) bool {
	if text == "" {
		return false
	}
	selector, err := fields.ParseSelector(text)
	if err != nil {
		return false
	}
	node, exact := selector.RequiresExactMatch("spec.nodeName")
	return exact && node != ""
}

// of is how many watches are told of what a request changes.
func (w *watchers) of(a *auth.Attributes) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	about := watched{group: a.Group, resource: a.Resource}
	n := w.count[about]
	if a.Namespace != "" {
		about.namespace = a.Namespace
		n += w.count[about]
	}
	if a.Name != "" {
		about.name = a.Name
		n += w.count[about]
	}
	return n
}
