package admission

import (
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Table is what plug-ins read their configurations from. Objects are shared and immutable. It is safe for concurrent use.
type Table interface {
	// Each calls f with every object of res, until f returns false. namespace "" is all.
	Each(res schema.GroupVersionResource, namespace string, f func(kinds.Object) bool)
	// Changed rises with every change of an object of res. What is read after it was asked is at least as new.
	Changed(res schema.GroupVersionResource) uint64
}

// Latest keeps what is made of the objects of some resources, until one of them changes. It is safe for concurrent use; reading takes no lock.
type Latest[T any] struct {
	table   Table
	of      []schema.GroupVersionResource
	renew   func(old T) T
	current atomic.Pointer[made[T]]
	mu      sync.Mutex // held while it is made
}

// made is what was made, and of which generation of the table.
type made[T any] struct {
	generation uint64
	value      T
}

// NewLatest has nothing yet. renew reads the table and is told what it returned before, at first the zero value; it is never called twice at a time.
func NewLatest[T any](table Table, renew func(old T) T, of ...schema.GroupVersionResource) *Latest[T] {
	return &Latest[T]{table: table, of: of, renew: renew}
}

// Get returns what is at least as new as the table was when it was called.
func (l *Latest[T]) Get() T {
	generation := l.generation()
	if now := l.current.Load(); now != nil && now.generation == generation {
		return now.value
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	generation = l.generation()
	next := &made[T]{generation: generation}
	if now := l.current.Load(); now != nil {
		if now.generation == generation {
			return now.value
		}
		next.value = now.value
	}
	next.value = l.renew(next.value)
	l.current.Store(next)
	return next.value
}

// generation is a sum of numbers that only rise.
func (l *Latest[T]) generation() (sum uint64) {
	for _, res := range l.of {
		sum += l.table.Changed(res)
	}
	return sum
}
