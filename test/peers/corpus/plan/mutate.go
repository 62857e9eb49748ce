package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// path leads to a part of an object: names of fields, and places in lists.
type path []any

// String is the path as error messages write it: spec.ports[0].name.
func (p path) String() string {
	var out strings.Builder
	for i, step := range p {
		switch step := step.(type) {
		case int:
			out.WriteString("[" + strconv.Itoa(step) + "]")
		case string:
			if i > 0 {
				out.WriteString(".")
			}
			out.WriteString(step)
		}
	}
	return out.String()
}

// node is one part of an object.
type node struct {
	path  path
	value any
}

// nodes lists the parts of an object, parents first, in the order of their names. Metadata and the kind are left out: requests of their own try them.
func nodes(object map[string]any) []node {
	var out []node
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if key != "apiVersion" && key != "kind" && key != "metadata" {
			out = walk(out, path{key}, object[key])
		}
	}
	return out
}

func walk(out []node, at path, value any) []node {
	out = append(out, node{at, value})
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			out = walk(out, append(slices.Clip(at), key), value[key])
		}
	case []any:
		for i := range value {
			out = walk(out, append(slices.Clip(at), i), value[i])
		}
	}
	return out
}

// removed is the value of a part that is not there.
type removed struct{}

// with returns a copy of an object where the part at a path is another.
func with(object any, at path, value any) any {
	if len(at) == 0 {
		return value
	}
	switch object := object.(type) {
	case map[string]any:
		key := at[0].(string)
		out := maps.Clone(object)
		out[key] = with(object[key], at[1:], value)
		if out[key] == (removed{}) {
			delete(out, key)
		}
		return out
	case []any:
		i := at[0].(int)
		out := slices.Clone(object)
		out[i] = with(object[i], at[1:], value)
		if out[i] == (removed{}) {
			out = slices.Delete(out, i, i+1)
		}
		return out
	}
	panic(fmt.Sprintf("no part %v in %v", at, object)) // paths come from walk
}

// change is another value for a part, and what that is called.
type change struct {
	what  string
	value any
}

const badKey = "with a bad key"

// mutations are what is tried with a part, what tells most first.
func mutations(value any) []change {
	switch value := value.(type) {
	case string:
		return []change{{"bad", "Not_Valid!"}, {"removed", removed{}}, {"empty", ""}, {"a number", 7}, {"long", strings.Repeat("x", 254)}, {"null", nil}, {"upper case", upper(value)}}
	case json.Number:
		return []change{{"negative", -1}, {"removed", removed{}}, {"zero", 0}, {"huge", json.Number("2147483647")}, {"a string", "seven"},
			{"beyond 32 bits", json.Number("2147483648")}, {"a fraction", json.Number("1.5")}, {"null", nil}}
	case bool:
		return []change{{"flipped", !value}, {"removed", removed{}}, {"a string", "yes"}, {"null", nil}}
	case []any:
		out := []change{{"empty", []any{}}, {"removed", removed{}}, {"an object", map[string]any{}}, {"with null", append(slices.Clone(value), nil)}}
		if len(value) > 0 {
			out = slices.Insert(out, 0, change{"first twice", append(slices.Clone(value), value[0])})
		}
		return out
	case map[string]any:
		more := maps.Clone(value)
		more["Not Valid!"] = "red"
		return []change{{"empty", map[string]any{}}, {"removed", removed{}}, {badKey, more}, {"a string", "text"}, {"null", nil}, {"a list", []any{}}}
	}
	return []change{{"removed", removed{}}}
}

// upper is a value in the other case, which enumerations refuse.
func upper(value string) string {
	if u := strings.ToUpper(value); u != value {
		return u
	}
	return strings.ToLower(value)
}

// edits are what an update tries with a part: values that may be good where the part may change at all.
func edits(value any) []change {
	switch value := value.(type) {
	case string:
		return []change{{"changed", value + "x"}}
	case json.Number:
		n, err := value.Int64()
		if err != nil {
			return nil
		}
		return []change{{"raised", n + 1}}
	case bool:
		return []change{{"flipped", !value}}
	case []any:
		if len(value) > 0 {
			return []change{{"shortened", value[:len(value)-1]}}
		}
	case map[string]any:
		if len(value) > 0 {
			return []change{{"removed", removed{}}}
		}
	}
	return nil
}

// mutant is an object with one part changed.
type mutant struct {
	name   string
	object map[string]any
	at     node
	change change
}

// mutants are at most limit objects that each differ from one in one part. Below the shallow paths stand few of them.
func mutants(object map[string]any, tried func(any) []change, limit int, shallow []string) []mutant {
	type try struct {
		node
		change
	}
	var rounds [8][]try
	few := 0
	for _, n := range nodes(object) {
		if slices.ContainsFunc(shallow, func(s string) bool { return strings.HasPrefix(n.path.String(), s) && n.path.String() != s }) {
			if few++; few%20 != 1 {
				continue
			}
		}
		for i, c := range tried(n.value) {
			rounds[i] = append(rounds[i], try{n, c})
		}
	}
	all := slices.Concat(rounds[:]...)
	var out []mutant
	for _, i := range chosen(len(all), limit) {
		t := all[i]
		changed, _ := with(object, t.path, t.change.value).(map[string]any)
		out = append(out, mutant{t.path.String() + " " + t.what, changed, t.node, t.change})
	}
	return out
}

// chosen are limit of n places: the first half of what is allowed from the front, where what tells most stands, the others at even distances.
func chosen(n, limit int) []int {
	var out []int
	front := min(n, limit)
	if n > limit {
		front = limit / 2
	}
	for i := range front {
		out = append(out, i)
	}
	rest := limit - front
	for i := range min(rest, n-front) {
		out = append(out, front+i*(n-front)/rest)
	}
	return out
}

// merged is an object with a JSON merge patch applied.
func merged(object, patch map[string]any) map[string]any {
	out := maps.Clone(object)
	if out == nil {
		out = map[string]any{}
	}
	for key, value := range patch {
		inner, isObject := value.(map[string]any)
		old, wasObject := out[key].(map[string]any)
		switch {
		case value == nil:
			delete(out, key)
		case isObject && wasObject:
			out[key] = merged(old, inner)
		default:
			out[key] = value
		}
	}
	return out
}
