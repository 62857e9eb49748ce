package api

import (
	"iter"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// Objects are the newest durable objects, decoded, for those who decide about requests and so cannot ask the API: nobody's rights are looked at. What cannot
// be read is left out. It is safe for concurrent use.
type Objects struct {
	table *store.Store
	kinds map[schema.GroupVersionResource]*kinds.Kind
}

// NewObjects returns the objects of the kinds in a table that has their collections.
func NewObjects(table *store.Store, list []*kinds.Kind) *Objects {
	return &Objects{table, byResource(list)}
}

// Get returns an object; nil when there is none.
func (o *Objects) Get(res schema.GroupVersionResource, namespace, name string) kinds.Object {
	k := o.kinds[res]
	if k == nil {
		return nil
	}
	item := o.table.Snapshot().Get(keyOf(k, namespace, name))
	if item == nil {
		return nil
	}
	obj, err := Object(item)
	if err != nil {
		return nil
	}
	return obj
}

// Label returns a label of an object.
func (o *Objects) Label(res schema.GroupVersionResource, namespace, name, key string) (string, bool) {
	return kinds.LabelOf(o.Get(res, namespace, name), key)
}

// Each calls f with the objects of res in a namespace, "" for all, in the order of their keys, until f returns false.
func (o *Objects) Each(res schema.GroupVersionResource, namespace string, f func(kinds.Object) bool) {
	k := o.kinds[res]
	if k == nil {
		return
	}
	for item := range o.table.Snapshot().Ascend(Request{Kind: k, Namespace: namespace}.prefix(), "") {
		if obj, err := Object(item); err == nil && !f(obj) {
			return
		}
	}
}

// Lookup goes through the objects that have value in an index of their kind, in the order of their keys.
func (o *Objects) Lookup(res schema.GroupVersionResource, index, value string) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) {
		k := o.kinds[res]
		if k == nil {
			return
		}
		for item := range o.table.Snapshot().Lookup(k.Prefix(), index, value) {
			if obj, err := Object(item); err == nil && !yield(obj) {
				return
			}
		}
	}
}

// Changed rises with every change of an object of res; what is read after it was asked is at least as new. 0: res is not served.
func (o *Objects) Changed(res schema.GroupVersionResource) uint64 {
	k := o.kinds[res]
	if k == nil {
		return 0
	}
	return uint64(o.table.Changed(k.Prefix()))
}
