// Package networking holds the kinds of networking.k8s.io: who may talk to whom, what leads into the cluster, and which addresses services have.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its files; ingressrules.go judges
// where an ingress leads.
//
// # Laws
//
//   - Addresses and ranges that are new must be written as strictly as upstream demands (no leading zeros, no bits beyond the mask); those
//     that are stored already may stay.
//
// # What it leaves to others
//
// The default class of an ingress rests on the ingress classes, and is admission's. Addresses are given to services by api, and
// the ranges they come from are kept true, and held by a finalizer while in use, by a controller.
package networking

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

func changed(a, b any) bool { return !equality.Semantic.DeepEqual(a, b) }

// isNew says that obj is being made: there is no resourceVersion yet. Where it matters what was there, ValidateUpdate judges all of an update.
func isNew(obj kinds.Object) bool { return obj.GetResourceVersion() == "" }

// invalid makes an error of each message.
func invalid(path *field.Path, value string, msgs []string) (errs field.ErrorList) {
	for _, msg := range msgs {
		errs = append(errs, field.Invalid(path, value, msg))
	}
	return errs
}

// column is a column of text, made from an object of type T.
func column[T kinds.Object](name, doc string, text func(T) string) kinds.Column {
	return kinds.Column{Name: name, Type: "string", Description: doc, Cell: func(_ kinds.Env, obj kinds.Object) any { return text(obj.(T)) }}
}
