package managed

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// walker compares two values of one type and collects what differs.
type walker struct {
	out set
	// Space that is used again: names and elements are stacks, of what the places above the present one still need.
	scratch  []byte
	names    []string
	elements []item
	// failed: an element of a list has none of its keys. Upstream tracks nothing of such an object.
	failed bool
}

// compare walks l and r, which stand at one place, appends the fields below it that differ, and returns what became of the place itself. skip are paths below it
// that are passed over, with all below them.
func (w *walker) compare(s *shape, l, r value, skip []string) mark {
	l, r = deref(l), deref(r)
	switch {
	case s.whole:
	case s.base == structure:
		return w.structure(s, l, r, skip)
	case s.base == mapping && size(l)+size(r) > 0:
		w.mapping(s, l, r)
		return presence(l, r)
	case s.base == list && size(l)+size(r) > 0:
		w.list(s, l, r)
		return presence(l, r)
	case s.base == opaque:
		return w.deduced(w.opened(l), w.opened(r))
	}
	return leaf(s, l, r)
}

// deref follows pointers that point to something.
func deref(v value) value {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return v
}

// size is the length of a list or map; 0 of one that is absent or null.
func size(v value) int {
	if !v.IsValid() || v.Kind() == reflect.Pointer {
		return 0
	}
	return v.Len()
}

// presence is what became of something that is more than one value.
func presence(l, r value) mark {
	switch {
	case !l.IsValid():
		return added
	case !r.IsValid():
		return removed
	}
	return 0
}

// leaf is what became of something that is one value.
func leaf(s *shape, l, r value) mark {
	if m := presence(l, r); m != 0 {
		return m
	}
	if same(s, l, r) {
		return 0
	}
	return modified
}

func (w *walker) structure(s *shape, l, r value, skip []string) mark {
	empty := true
	for i := range s.fields {
		f := &s.fields[i]
		var lf, rf value
		if l.Kind() == reflect.Struct {
			lf = f.of(l)
		}
		if r.Kind() == reflect.Struct {
			rf = f.of(r)
		}
		if !lf.IsValid() && !rf.IsValid() {
			continue
		}
		empty = false
		below, all := inside(skip, f.name)
		if all && !f.shape.risky {
			continue
		}
		at := w.out.open(f.key)
		w.out.close(at, w.compare(f.shape, lf, rf, below))
		if all {
			w.out = w.out[:at]
		}
	}
	if empty && !s.bare {
		return leaf(s, l, r)
	}
	return presence(l, r)
}

// inside returns what of the paths is below a field; all says that the field itself is one of them.
func inside(paths []string, name string) (below []string, all bool) {
	for _, path := range paths {
		rest, ok := strings.CutPrefix(path, name)
		switch {
		case ok && rest == "":
			return nil, true
		case ok && rest[0] == '.':
			below = append(below, rest[1:])
		}
	}
	return below, false
}

func (w *walker) mapping(s *shape, l, r value) {
	start := len(w.names)
	w.addNames(l)
	w.addNames(r)
	names := w.names[start:]
	slices.Sort(names)
	plainL, isPlain := plainMap(l)
	plainR, alsoPlain := plainMap(r)
	for _, name := range slices.Compact(names) {
		at := w.out.open(fieldKey(name))
		if isPlain && alsoPlain {
			w.out.close(at, compareEntries(plainL, plainR, name))
		} else {
			w.out.close(at, w.compare(s.elem, entry(l, name), entry(r, name), nil))
		}
	}
	clear(names)
	w.names = w.names[:start]
}

// plainMap is most maps, which are compared without reflection; nil of one that is absent or null.
func plainMap(v value) (m map[string]string, ok bool) {
	if size(v) == 0 {
		return nil, true
	}
	m, ok = v.Interface().(map[string]string)
	return m, ok
}

// compareEntries is what became of an entry that is in one of the maps at least.
func compareEntries(l, r map[string]string, name string) mark {
	left, had := l[name]
	right, has := r[name]
	switch {
	case !had:
		return added
	case !has:
		return removed
	case left != right:
		return modified
	}
	return 0
}

// addNames appends the names of a map's entries to w.names.
func (w *walker) addNames(v value) {
	if plain, ok := plainMap(v); ok {
		for name := range plain {
			w.names = append(w.names, name)
		}
		return
	}
	for _, key := range v.MapKeys() {
		w.names = append(w.names, key.String())
	}
}

// entry is a map's value; absent when it has none.
func entry(v value, name string) value {
	if size(v) == 0 {
		return value{}
	}
	return v.MapIndex(reflect.ValueOf(name).Convert(v.Type().Key()))
}

// item is an element of a list whose elements are known by a key or their value.
type item struct {
	key string
	value
}

func (w *walker) list(s *shape, l, r value) {
	start := len(w.elements)
	defer func() {
		clear(w.elements[start:])
		w.elements = w.elements[:start]
	}()
	before, after := w.items(s, l), w.items(s, r)
	for len(before) > 0 || len(after) > 0 {
		var lefts, rights []item
		order := 0
		switch {
		case len(before) == 0:
			order = 1
		case len(after) == 0:
			order = -1
		default:
			order = compareKeys(before[0].key, after[0].key)
		}
		if order <= 0 {
			lefts, before = equals(before)
		}
		if order >= 0 {
			rights, after = equals(after)
		}
		w.item(s, lefts, rights)
	}
}

// equals splits off the items that have the first one's key.
func equals(list []item) (same, rest []item) {
	n := 1
	for n < len(list) && list[n].key == list[0].key {
		n++
	}
	return list[:n], list[n:]
}

// item compares the items that have one key in both lists. Of several in one list only is known that they are there.
func (w *walker) item(s *shape, l, r []item) {
	one := func(list []item) value {
		if len(list) != 1 {
			return value{}
		}
		return list[0].value
	}
	var key string
	if len(l) > 0 {
		key = l[0].key
	} else {
		key = r[0].key
	}
	at, m := w.out.open(key), mark(0)
	switch {
	case len(l) < 2 && len(r) < 2:
		m = w.compare(s.elem, one(l), one(r), nil)
	case len(l) > 1 && len(r) > 1:
		if !slices.EqualFunc(l, r, func(a, b item) bool { return same(s.elem, deref(a.value), deref(b.value)) }) {
			m = modified
		}
	case len(l) > 1:
		if len(r) == 1 {
			m = w.compare(s.elem, value{}, one(r), nil)
		}
		m |= removed
	default:
		if len(l) == 1 {
			m = w.compare(s.elem, one(l), value{}, nil)
		}
		m |= added
	}
	w.out.close(at, m)
}

// items returns a list's elements in the order of their keys.
func (w *walker) items(s *shape, v value) []item {
	start, sorted := len(w.elements), true
	for i := range size(v) {
		w.elements = append(w.elements, item{w.key(s, deref(v.Index(i))), v.Index(i)})
		n := len(w.elements)
		sorted = sorted && (i == 0 || compareKeys(w.elements[n-2].key, w.elements[n-1].key) <= 0)
	}
	out := w.elements[start:]
	if !sorted {
		slices.SortStableFunc(out, func(a, b item) int { return compareKeys(a.key, b.key) })
	}
	return out
}

// key is the path element of a list's element.
func (w *walker) key(s *shape, v value) string {
	b := w.scratch[:0]
	switch {
	case v.Kind() == reflect.Pointer: // null
		w.failed = true
	case s.keys == nil:
		b = appendScalar(append(b, "v:"...), s.elem, v)
		n := len(b)
		b = appendEscaped(b, b[2:])
		b = append(b[:2], b[n:]...)
	default:
		b = append(b, "k:{"...)
		for i := range s.keys {
			k := &s.keys[i]
			f := deref(k.field.of(v))
			if !f.IsValid() && k.other == "" {
				continue
			}
			if len(b) > len("k:{") {
				b = append(b, ',')
			}
			b = append(b, k.start...)
			if !f.IsValid() {
				b = append(b, k.other...)
				continue
			}
			n := len(b)
			b = appendScalar(b, k.field.shape, f)
			end := len(b)
			b = appendEscaped(b, b[n:end])
			b = append(b[:n], b[end:]...)
		}
		w.failed = w.failed || len(b) == len("k:{")
		b = append(b, '}')
	}
	w.scratch = b
	return string(b)
}

// same says whether two values that are there are one in JSON. Lists are the same when Go finds them so, as upstream has it.
func same(s *shape, l, r value) bool {
	if null := isNull(l); null || isNull(r) {
		return null && isNull(r)
	}
	switch s.base {
	case text:
		return l.String() == r.String()
	case integer:
		return l.Int() == r.Int()
	case float:
		return l.Float() == r.Float()
	case boolean:
		return l.Bool() == r.Bool()
	case bytes:
		return string(l.Bytes()) == string(r.Bytes())
	case list:
		return reflect.DeepEqual(l.Interface(), r.Interface())
	case mapping:
		return sameMap(s, l, r)
	case structure:
		for i := range s.fields {
			f := &s.fields[i]
			lf, rf := f.of(l), f.of(r)
			if lf.IsValid() != rf.IsValid() || lf.IsValid() && !same(f.shape, deref(lf), deref(rf)) {
				return false
			}
		}
		return true
	}
	return sameWritten(s.base, l.Interface(), r.Interface())
}

// isNull says whether a value that is there is written as null, as far as its Go type tells.
func isNull(v value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return v.IsNil()
	}
	return false
}

func sameMap(s *shape, l, r value) bool {
	if l.Len() != r.Len() {
		return false
	}
	for i := l.MapRange(); i.Next(); {
		other := r.MapIndex(i.Key())
		if !other.IsValid() || !same(s.elem, deref(i.Value()), deref(other)) {
			return false
		}
	}
	return true
}

// sameWritten compares values of types that write their JSON themselves.
func sameWritten(b base, l, r interface{}) bool {
	switch b {
	case quantity:
		l, r := l.(resource.Quantity), r.(resource.Quantity)
		return l.String() == r.String()
	case intOrString:
		l, r := l.(intstr.IntOrString), r.(intstr.IntOrString)
		return l.Type == r.Type && l.String() == r.String()
	case date:
		l, r := l.(metav1.Time), r.(metav1.Time)
		return l.IsZero() == r.IsZero() && l.Unix() == r.Unix()
	case microDate:
		l, r := l.(metav1.MicroTime), r.(metav1.MicroTime)
		return l.IsZero() == r.IsZero() && l.Truncate(time.Microsecond).Equal(r.Truncate(time.Microsecond))
	}
	x, errX := json.Marshal(l)
	y, errY := json.Marshal(r)
	return errX == nil && errY == nil && string(x) == string(y)
}
