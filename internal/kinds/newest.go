package kinds

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// NewestMarked is that of all objects of a kind without namespaces which one of the annotations marks with "true" and which was made last, the first by name
// of several: the default class where there is more than one. nil: there is none.
func NewestMarked(see Reader, res schema.GroupVersionResource, annotations ...string) (newest Object) {
	see.Each(res, "", func(obj Object) bool {
		marked := false
		for _, key := range annotations {
			marked = marked || obj.GetAnnotations()[key] == "true"
		}
		if at := obj.GetCreationTimestamp(); marked && (newest == nil || at.After(newest.GetCreationTimestamp().Time)) {
			newest = obj // those that come later have greater names
		}
		return true
	})
	return newest
}
