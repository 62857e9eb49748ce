// Package storage holds the kinds of storage.k8s.io: what storage there is to be had, what drivers give it, and which volumes are attached where.
//
// It follows the laws of package core beside it: one function a kind, all that is particular to it in its files; inlinevolume.go judges the
// volume that a VolumeAttachment may bring with it.
//
// # What it leaves to others
//
// Volumes and claims are of the group without a name. The class of a claim that names none is admission's.
package storage

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// What the parameters of a class may be: how many, and how many bytes keys and values together.
const (
	maxParameters     = 512
	maxParameterBytes = 256 << 10
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

// column is a column made from an object of type T.
func column[T kinds.Object](name, kind, doc string, cell func(T) any) kinds.Column {
	return kinds.Column{Name: name, Type: kind, Description: doc, Cell: func(_ kinds.Env, obj kinds.Object) any { return cell(obj.(T)) }}
}

// or is what p points to, and otherwise when it points to nothing.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// def sets *p to v when nothing is there.
func def[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

// validateDriver checks the name by which a driver is known to its class's users.
func validateDriver(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	lower := strings.ToLower(name)
	return invalid(path, lower, utilvalidation.IsQualifiedName(lower))
}

// validateCSIName checks the name by which a driver is known on nodes.
func validateCSIName(name string, path *field.Path) (errs field.ErrorList) {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	if len(name) > utilvalidation.DNS1123LabelMaxLength {
		errs = append(errs, field.TooLong(path, "", utilvalidation.DNS1123LabelMaxLength))
	}
	return append(errs, invalid(path, name, utilvalidation.IsDNS1123Subdomain(strings.ToLower(name)))...)
}

// validateParameters checks what a class hands to its driver.
func validateParameters(list map[string]string, path *field.Path) (errs field.ErrorList) {
	if len(list) > maxParameters {
		return field.ErrorList{field.TooLong(path, "", maxParameters)}
	}
	size := 0
	for k, v := range list {
		if k == "" {
			errs = append(errs, field.Invalid(path, k, "field can not be empty."))
		}
		size += len(k) + len(v)
	}
	if size > maxParameterBytes {
		errs = append(errs, field.TooLong(path, "", maxParameterBytes))
	}
	return errs
}
