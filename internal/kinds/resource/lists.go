package resource

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// each checks every item of a list of at most most; -1 is no bound. A list that is too long is not looked into.
func each[T any](list []T, most int, at *field.Path, check func(*T, *field.Path) field.ErrorList) (errs field.ErrorList) {
	if most >= 0 && len(list) > most {
		return field.ErrorList{field.TooMany(at, len(list), most)}
	}
	for i := range list {
		errs = append(errs, check(&list[i], at.Index(i))...)
	}
	return errs
}

// unique is each for lists in which no two items have the same key.
func unique[T any, K comparable](list []T, most int, at *field.Path, key func(*T) K, check func(*T, *field.Path) field.ErrorList) field.ErrorList {
	errs := each(list, most, at, check)
	if most >= 0 && len(list) > most {
		return errs
	}
	seen := sets.New[K]()
	for i := range list {
		k := key(&list[i])
		if seen.Has(k) {
			errs = append(errs, field.Duplicate(at.Index(i), k))
		}
		seen.Insert(k)
	}
	return errs
}

func itself(s *string) string { return *s }

// entries checks a map in the order of its keys: upstream's order is a map's, and so any.
func entries[K ~string, V any](m map[K]V, most, longest int, at *field.Path, key func(string, *field.Path) field.ErrorList, check func(V, *field.Path) field.ErrorList) (errs field.ErrorList) {
	if most >= 0 && len(m) > most {
		return field.ErrorList{field.TooMany(at, len(m), most)}
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		errs = append(errs, key(string(k), at)...)
		errs = append(errs, check(m[k], at.Key(shortened(string(k), longest)))...)
	}
	return errs
}

// shortened leaves out the middle of what is too long for a path.
func shortened(s string, longest int) string {
	longest = max(longest, 16)
	if len(s) <= longest {
		return s
	}
	const gap = "..."
	rest := longest - len(gap)
	return s[:(rest+1)/2] + gap + s[len(s)-rest/2:]
}

func invalid(at *field.Path, value string, msgs []string) (errs field.ErrorList) {
	for _, msg := range msgs {
		errs = append(errs, field.Invalid(at, value, msg))
	}
	return errs
}

func label(value string, at *field.Path) field.ErrorList {
	return invalid(at, value, utilvalidation.IsDNS1123Label(value))
}
