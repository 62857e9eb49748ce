package history

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// unsaid are fields that change with every write, or repeat what the others say.
var unsaid = []string{"metadata.resourceVersion", "metadata.managedFields"}

// Difference lists what is not the same in two objects, as JSON, in the order of the fields' paths:
//
//   - PATH: VALUE           it was not there
//   - PATH: VALUE           it is no longer there
//     ~ PATH: VALUE → VALUE   it changed
//
// Elements of a list that have names are held against each other by name, others by place.
func Difference(from, to []byte) ([]string, error) {
	var a, b any
	for _, x := range []struct {
		data []byte
		into *any
	}{{from, &a}, {to, &b}} {
		if len(x.data) == 0 {
			continue
		}
		if err := json.Unmarshal(x.data, x.into); err != nil {
			return nil, fmt.Errorf("compare versions: %w", err)
		}
	}
	var d differ
	d.compare("", a, b)
	return d.lines, nil
}

type differ struct{ lines []string }

func (d *differ) compare(path string, a, b any) {
	if slices.Contains(unsaid, path) {
		return
	}
	if x, y, ok := both[map[string]any](a, b); ok {
		d.fields(path, x, y)
		return
	}
	if x, y, ok := both[[]any](a, b); ok {
		d.elements(path, x, y)
		return
	}
	if x, y := text(a), text(b); x != y {
		d.lines = append(d.lines, fmt.Sprintf("~ %s: %s → %s", path, x, y))
	}
}

func both[T any](a, b any) (x, y T, ok bool) {
	x, isX := a.(T)
	y, isY := b.(T)
	return x, y, isX && isY
}

func (d *differ) fields(path string, a, b map[string]any) {
	names := maps.Clone(a)
	maps.Copy(names, b)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		d.member(join(path, name), a, b, name)
	}
}

// member compares what two maps have under one name.
func (d *differ) member(path string, a, b map[string]any, name string) {
	x, had := a[name]
	y, has := b[name]
	switch {
	case slices.Contains(unsaid, path):
	case !had:
		d.lines = append(d.lines, fmt.Sprintf("+ %s: %s", path, text(y)))
	case !has:
		d.lines = append(d.lines, fmt.Sprintf("- %s: %s", path, text(x)))
	default:
		d.compare(path, x, y)
	}
}

func (d *differ) elements(path string, a, b []any) {
	x, names := named(a)
	y, more := named(b)
	if x == nil || y == nil {
		x, names = placed(a)
		y, more = placed(b)
	}
	for _, name := range more {
		if _, there := x[name]; !there {
			names = append(names, name)
		}
	}
	for _, name := range names {
		d.member(path+"["+name+"]", x, y, name)
	}
}

// named returns a list's elements by what tells them apart; nil when nothing does.
func named(list []any) (map[string]any, []string) {
	for _, field := range []string{"name", "type", "uid", "key", "ip"} {
		byName := make(map[string]any, len(list))
		var names []string
		for _, e := range list {
			m, _ := e.(map[string]any)
			name, ok := m[field].(string)
			if _, twice := byName[name]; !ok || twice {
				break
			}
			byName[name] = e
			names = append(names, name)
		}
		if len(names) == len(list) {
			return byName, names
		}
	}
	return nil, nil
}

func placed(list []any) (map[string]any, []string) {
	byPlace := make(map[string]any, len(list))
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = fmt.Sprint(i)
		byPlace[names[i]] = e
	}
	return byPlace, names
}

// join adds a field's name to a path. Names with dots or slashes, such as labels', are quoted.
func join(path, name string) string {
	if strings.ContainsAny(name, "./ ") {
		return fmt.Sprintf("%s[%q]", path, name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
