// Package flowcontrol holds the kinds of flowcontrol.apiserver.k8s.io: which requests belong together (flow schemas), and what share of the
// server they may have (priority levels).
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its files; mandatory.go knows the
// objects that no cluster is without, and flowrules.go judges whom and what a schema is about.
//
// # What it leaves to others
//
// How requests are queued is fairness's, in api, which also makes the mandatory objects and says in statuses what dangles.
package flowcontrol

import (
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

func changed(a, b any) bool { return !equality.Semantic.DeepEqual(a, b) }

// keepMeta makes meta what it was, all but who manages which field, which an update of the status changes as well.
func keepMeta(meta, was *metav1.ObjectMeta) {
	managers := meta.ManagedFields
	*meta = *was.DeepCopy()
	meta.ManagedFields = managers
}

// conditionTypes checks the types of a status's conditions: there, and each once.
func conditionTypes(types []string) (errs field.ErrorList) {
	path, seen := field.NewPath("status", "conditions"), sets.New[string]()
	for i, t := range types {
		at := path.Index(i).Child("type")
		if seen.Has(t) {
			errs = append(errs, field.Duplicate(at, t))
		}
		seen.Insert(t)
		if t == "" {
			errs = append(errs, field.Required(at, ""))
		}
	}
	return errs
}

// column is a column made from an object of type T.
func column[T kinds.Object](name, doc string, cell func(T) any) kinds.Column {
	return kinds.Column{Name: name, Type: "string", Description: doc, Cell: func(_ kinds.Env, obj kinds.Object) any { return cell(obj.(T)) }}
}
