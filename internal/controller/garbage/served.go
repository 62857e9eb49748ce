package garbage

import (
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// remembered is how many owners that exist nowhere are known, as upstream's.
const remembered = 500

func namespaces() client.Resource { return corev1.SchemeGroupVersion.WithResource("namespaces") }

// collector is what the controller knows besides views. All of it follows from what was seen, and none of it changes a decision: it saves
// looking again. It is safe for concurrent use.
type collector struct {
	catalog engine.Catalog
	known   atomic.Pointer[servedKinds]
	owned   memory[client.Resource]       // kinds of which an object has had an owner; as many as there are kinds
	nowhere memory[metav1.OwnerReference] // owners that were found in no namespace
	outside *outside
}

func newCollector(catalog engine.Catalog, others Others) *collector {
	return &collector{
		outside: &outside{others: others, shown: map[place]time.Time{}},
		catalog: catalog, owned: newMemory[client.Resource](0), nowhere: newMemory[metav1.OwnerReference](remembered)}
}

// collects says whether objects of k may be collected: kinds that can be listed, watched and deleted, but for events, which go by themselves.
func collects(k *kinds.Kind) bool {
	if !k.Keeps() || k.Resource == "events" && (k.GVK.Group == "" || k.GVK.Group == "events.k8s.io") {
		return false
	}
	for _, verb := range []string{"delete", "list", "watch"} {
		if k.Verbs != nil && !slices.Contains(k.Verbs, verb) {
			return false
		}
	}
	return true
}

// servedKinds are the kinds of one time. They are not changed.
type servedKinds struct {
	list      []*kinds.Kind // the catalog's
	collected []*kinds.Kind
	byName    map[client.Resource]*kinds.Kind
	byKind    map[schema.GroupVersionKind]*kinds.Kind // whose objects are stored, under each version that is served
}

// served returns the kinds of now.
func (c *collector) served() *servedKinds {
	list, _ := c.catalog()
	if s := c.known.Load(); s != nil && len(s.list) == len(list) && (len(list) == 0 || &s.list[0] == &list[0]) {
		return s
	}
	s := &servedKinds{list: list, byName: map[client.Resource]*kinds.Kind{}, byKind: map[schema.GroupVersionKind]*kinds.Kind{}}
	for _, k := range list {
		if k.Answered {
			continue
		}
		s.byKind[k.GVK] = k.Stored()
		if collects(k) {
			s.collected = append(s.collected, k)
			s.byName[k.GVR()] = k
		}
	}
	c.known.Store(s)
	return s
}

// kind returns the collected kind that res names; nil when there is none.
func (s *servedKinds) kind(res client.Resource) *kinds.Kind { return s.byName[res] }

// owner returns the kind of a reference's owner as it is stored; nil when its apiVersion and kind are not served.
func (s *servedKinds) owner(ref metav1.OwnerReference) *kinds.Kind {
	return s.byKind[schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)]
}

type dependent struct {
	kind *kinds.Kind
	obj  kinds.Object
}

// dependents goes through the objects that name uid as an owner.
func (s *servedKinds) dependents(view client.View, uid types.UID) iter.Seq[dependent] {
	return func(yield func(dependent) bool) {
		for _, k := range s.collected {
			for obj := range view.Lookup(k.GVR(), client.OwnerIndex, string(uid)) {
				if !yield(dependent{k, obj}) {
					return
				}
			}
		}
	}
}

// memory is a set that forgets everything when it is full. It is safe for concurrent use; its lock is a leaf.
type memory[T comparable] struct {
	mu   *sync.RWMutex
	most int // 0: without bound
	set  map[T]bool
}

func newMemory[T comparable](most int) memory[T] {
	return memory[T]{mu: &sync.RWMutex{}, most: most, set: map[T]bool{}}
}

func (m memory[T]) has(v T) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.set[v]
}

func (m memory[T]) add(v T) {
	if m.has(v) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.most > 0 && len(m.set) >= m.most {
		clear(m.set)
	}
	m.set[v] = true
}
