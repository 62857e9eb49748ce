package policy

import (
	"fmt"
	"strings"

	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// refuseAtomics refuses what an apply configuration says of lists and maps that are replaced as a whole: who writes one field there would lose the others.
func refuseAtomics(wanted *typed.TypedValue) error {
	if found := atomics(nil, wanted.Schema(), wanted.TypeRef(), wanted.AsValue()); len(found) > 0 {
		return fmt.Errorf("may not mutate atomic arrays, maps or structs: %v", strings.Join(found, ", "))
	}
	return nil
}

// atomics are the paths of atomic lists and maps in a value.
func atomics(path fieldpath.Path, all *schema.Schema, of schema.TypeRef, v value.Value) (found []string) {
	atom, ok := all.Resolve(of)
	switch {
	case !ok:
	case v.IsMap() && atom.Map != nil:
		if atom.Map.ElementRelationship == schema.Atomic {
			found = append(found, path.String())
		}
		v.AsMap().Iterate(func(name string, inner value.Value) bool {
			if f, ok := atom.Map.FindField(name); ok {
				of = f.Type
				found = append(found, atomics(append(path, fieldpath.PathElement{FieldName: &name}), all, of, inner)...)
			}
			return true
		})
	case v.IsList() && atom.List != nil:
		if atom.List.ElementRelationship == schema.Atomic {
			found = append(found, path.String())
		}
		list := v.AsList()
		for i := range list.Length() {
			found = append(found, atomics(append(path, fieldpath.PathElement{Index: &i}), all, atom.List.ElementType, list.At(i))...)
		}
	}
	return found
}
