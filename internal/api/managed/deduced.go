package managed

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	kjson "sigs.k8s.io/json"
)

// nothing stands for a value that is absent, where nil is null.
type nothing struct{}

// opened is the JSON of a value that writes it itself: nothing for one that is absent. What cannot be written fails the walk.
func (w *walker) opened(v value) interface{} {
	if !v.IsValid() {
		return nothing{}
	}
	if v.CanAddr() { // the method may be the pointer's
		v = v.Addr()
	}
	data, err := json.Marshal(v.Interface())
	var out interface{}
	if err == nil {
		err = kjson.UnmarshalCaseSensitivePreserveInts(data, &out)
	}
	w.failed = w.failed || err != nil
	return out
}

// deduced compares values of which no schema says anything: objects are as many as they have fields, all else is one value.
func (w *walker) deduced(l, r interface{}) mark {
	left, _ := l.(map[string]interface{})
	right, _ := r.(map[string]interface{})
	if len(left)+len(right) == 0 {
		return deducedLeaf(l, r)
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(left)), maps.Keys(right))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		at := w.out.open(fieldKey(name))
		w.out.close(at, w.deduced(lookup(left, name), lookup(right, name)))
	}
	if l == nil || r == nil || left != nil && right != nil { // null is an object, too
		return 0
	}
	return deducedLeaf(l, r)
}

func lookup(m map[string]interface{}, name string) interface{} {
	if v, ok := m[name]; ok {
		return v
	}
	return nothing{}
}

func isNothing(v interface{}) bool {
	_, is := v.(nothing)
	return is
}

func deducedLeaf(l, r interface{}) mark {
	switch {
	case isNothing(l):
		return added
	case isNothing(r):
		return removed
	case reflect.DeepEqual(l, r):
		return 0
	}
	return modified
}
