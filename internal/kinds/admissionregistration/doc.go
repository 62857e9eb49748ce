// Package admissionregistration holds the kinds of admissionregistration.k8s.io: who else has a say when objects are written. Webhooks are asked over
// HTTPS; policies are expressions in CEL that the server evaluates itself, and a binding puts a policy to work.
//
// # Vocabulary
//
// A rule says which requests are meant: operations on resources of groups and versions. A match condition is an expression that narrows them further. A
// parameter is an object that a binding hands to its policy's expressions. A variable is a named expression of a policy that those after it may use.
//
// # Laws
//
//   - Expressions are compiled for what the previous release of the API understands, so that going back works. Those that the stored object has
//     already are compiled with all that is known: what was accepted once stays acceptable.
//   - An environment of CEL takes milliseconds and half a megabyte to make. Each kind makes its own when the first expression comes, never before.
//   - Webhooks were there before some of their rules. An update may keep what it found broken: names that repeat, side effects, versions that
//     nobody speaks, selectors with bad values.
//
// # What it leaves to others
//
// Whether the user may read the parameters that a policy or binding names is asked by admission, as is everything at the time of a request:
// calling, evaluating, matching. The types of a policy's expressions are checked against schemas by a controller, which writes what it found
// to the status.
package admissionregistration

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// categories are those of every kind here.
func categories() []string { return []string{"api-extensions"} }

// reservedName warns of names that upstream gives to what stands in files beside a server.
func reservedName(obj, _ kinds.Object) []string {
	const suffix = ".static.k8s.io"
	if !strings.HasSuffix(obj.GetName(), suffix) {
		return nil
	}
	return []string{fmt.Sprintf("metadata.name: names ending with %q are reserved for static manifest-based configurations and cannot be managed via the API", suffix)}
}

// def sets *p to v when nothing is there.
func def[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

// invalid makes an error of each message.
func invalid(path *field.Path, value string, msgs []string) (errs field.ErrorList) {
	for _, msg := range msgs {
		errs = append(errs, field.Invalid(path, value, msg))
	}
	return errs
}

// oneOf checks that v is there and known. Known values are sorted, as messages show them.
func oneOf[T ~string](v *T, path *field.Path, known ...T) field.ErrorList {
	if v == nil {
		return field.ErrorList{field.Required(path, "")}
	}
	return knownOrNone(v, path, known...)
}

// knownOrNone checks that v is known when it is there.
func knownOrNone[T ~string](v *T, path *field.Path, known ...T) field.ErrorList {
	if v == nil {
		return nil
	}
	for _, k := range known {
		if *v == k {
			return nil
		}
	}
	return field.ErrorList{field.NotSupported(path, *v, known)}
}

// column is a column made from an object of type T.
func column[T kinds.Object](name, kind, doc string, cell func(T) any) kinds.Column {
	return kinds.Column{Name: name, Type: kind, Description: doc, Cell: func(_ kinds.Env, obj kinds.Object) any { return cell(obj.(T)) }}
}
