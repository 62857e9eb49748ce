package stage

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"sigs.k8s.io/yaml"
)

// Host answers what templates ask beside the object. Nil functions answer with nothing.
type Host struct {
	Now, Start time.Time
	Version    string // of floe
	Node       string // the object's node, or the node itself
	// NodeIP is a node's address; PodIP that of the pod, whose node and network these are.
	NodeIP func(node string) string
	PodIP  func(node string, hostNetwork bool) string
}

func (h Host) nodeIP(node string) string {
	if h.NodeIP == nil {
		return ""
	}
	return h.NodeIP(node)
}

func (h Host) podIP(node string, hostNetwork bool, _ ...any) string {
	if h.PodIP == nil {
		return ""
	}
	return h.PodIP(node, hostNetwork)
}

// functions are what templates may call: kwok's, and sprig's of text, numbers, lists and dictionaries.
func functions(h Host) template.FuncMap {
	funcs := template.FuncMap{
		"Now": func() string { return stamp(h.Now) }, "now": func() time.Time { return h.Now }, "StartTime": func() string { return stamp(h.Start) },
		"Version": func() string { return h.Version }, "Quote": quote, "YAML": toYAML, "NodeConditions": conditions,
		"NodeName": func() string { return h.Node }, "NodePort": func() int { return 0 }, // nothing listens there
		"NodeIP": func() string { return h.nodeIP(h.Node) }, "NodeIPWith": h.nodeIP, "NodeIPsWith": func(node string) []string { return []string{h.nodeIP(node)} },
		"PodIP": func() string { return h.podIP(h.Node, false) }, "PodIPWith": h.podIP,
		"PodIPsWith": func(node string, host bool, _ ...any) []string { return []string{h.podIP(node, host)} },
	}
	maps.Copy(funcs, texts())
	maps.Copy(funcs, numbers())
	maps.Copy(funcs, collections())
	return funcs
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// quote is a value as a JSON string.
func quote(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		data = fmt.Append(nil, v)
	}
	if len(data) > 0 && data[0] == '"' {
		return string(data)
	}
	return strconv.Quote(string(data))
}

// toYAML is a value as YAML; with an indent, on lines of their own that begin with twice as many spaces.
func toYAML(v any, indent ...int) (string, error) {
	data, err := yaml.Marshal(v)
	text := string(data)
	if len(indent) == 1 && indent[0] > 0 {
		text = strings.ReplaceAll("\n"+text, "\n", "\n"+strings.Repeat("  ", indent[0]))
	}
	return text, err
}

// conditions are those of a node that is well.
func conditions() []any {
	var out []any
	for _, c := range [][4]string{
		{"Ready", "True", "KubeletReady", "kubelet is posting ready status"},
		{"MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"},
		{"DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"},
		{"PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"},
		{"NetworkUnavailable", "False", "RouteCreated", "RouteController created a route"},
	} {
		out = append(out, map[string]any{"type": c[0], "status": c[1], "reason": c[2], "message": c[3]})
	}
	return out
}

func texts() template.FuncMap {
	return template.FuncMap{
		"toString": text, "quote": func(v any) string { return strconv.Quote(text(v)) }, "squote": func(v any) string { return "'" + text(v) + "'" },
		"upper": strings.ToUpper, "lower": strings.ToLower, "trim": strings.TrimSpace,
		"trimPrefix": func(a, s string) string { return strings.TrimPrefix(s, a) }, "trimSuffix": func(a, s string) string { return strings.TrimSuffix(s, a) },
		"hasPrefix": func(a, s string) bool { return strings.HasPrefix(s, a) }, "hasSuffix": func(a, s string) bool { return strings.HasSuffix(s, a) },
		"contains": func(a, s string) bool { return strings.Contains(s, a) }, "replace": func(a, b, s string) string { return strings.ReplaceAll(s, a, b) },
		"splitList": func(sep, s string) []string { return strings.Split(s, sep) }, "join": join,
		"indent": indent, "nindent": func(n int, s string) string { return "\n" + indent(n, s) },
		"b64enc": func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"toJson": func(v any) (string, error) { data, err := json.Marshal(v); return string(data), err },
		"toYaml": func(v any) (string, error) { s, err := toYAML(v); return strings.TrimSuffix(s, "\n"), err },
	}
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	return fmt.Sprint(v)
}

func indent(n int, s string) string {
	pad := strings.Repeat(" ", max(n, 0))
	return pad + strings.ReplaceAll(s, "\n", "\n"+pad)
}

func join(sep string, list any) string {
	var words []string
	for v := range elements(list) {
		words = append(words, text(v))
	}
	return strings.Join(words, sep)
}

// elements go through a list of any type; through nothing when it is none.
func elements(list any) func(func(any) bool) {
	return func(yield func(any) bool) {
		v := reflect.ValueOf(list)
		if v.Kind() != reflect.Slice && v.Kind() != reflect.Array {
			return
		}
		for i := range v.Len() {
			if !yield(v.Index(i).Interface()) {
				return
			}
		}
	}
}

// whole is a number of any type; 0 when it is none.
func whole(v any) int64 {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return r.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return int64(r.Uint())
	case reflect.Float32, reflect.Float64:
		if f := r.Float(); math.Abs(f) < math.MaxInt64 {
			return int64(f)
		}
	case reflect.String: // json.Number too
		if n, err := strconv.ParseInt(r.String(), 10, 64); err == nil {
			return n
		}
		if f, err := strconv.ParseFloat(r.String(), 64); err == nil && math.Abs(f) < math.MaxInt64 {
			return int64(f)
		}
	}
	return 0
}

func numbers() template.FuncMap {
	fold := func(f func(a, b int64) int64) func(first any, rest ...any) int64 {
		return func(first any, rest ...any) int64 {
			n := whole(first)
			for _, v := range rest {
				n = f(n, whole(v))
			}
			return n
		}
	}
	divided := func(f func(a, b int64) int64) func(a, b any) (int64, error) {
		return func(a, b any) (int64, error) {
			if whole(b) == 0 {
				return 0, fmt.Errorf("division by zero")
			}
			return f(whole(a), whole(b)), nil
		}
	}
	return template.FuncMap{
		"int": func(v any) int { return int(whole(v)) }, "int64": whole, "add1": func(v any) int64 { return whole(v) + 1 },
		"add": fold(func(a, b int64) int64 { return a + b }), "sub": fold(func(a, b int64) int64 { return a - b }), "mul": fold(func(a, b int64) int64 { return a * b }),
		"max": fold(func(a, b int64) int64 { return max(a, b) }), "min": fold(func(a, b int64) int64 { return min(a, b) }),
		"div": divided(func(a, b int64) int64 { return a / b }), "mod": divided(func(a, b int64) int64 { return a % b }),
		"until": func(n int) []int {
			out := make([]int, max(min(n, 1<<16), 0))
			for i := range out {
				out[i] = i
			}
			return out
		},
	}
}

func collections() template.FuncMap {
	return template.FuncMap{
		"list": func(v ...any) []any { return v }, "dict": dict, "empty": empty,
		"default": func(other any, v ...any) any {
			if len(v) == 0 || empty(v[0]) {
				return other
			}
			return v[0]
		},
		"coalesce": func(list ...any) any {
			for _, v := range list {
				if !empty(v) {
					return v
				}
			}
			return nil
		},
		"ternary": func(yes, no any, which bool) any {
			if which {
				return yes
			}
			return no
		},
		"hasKey": func(d map[string]any, key string) bool { _, ok := d[key]; return ok },
		"get":    func(d map[string]any, key string) any { return d[key] },
		"keys":   func(d map[string]any) []string { return slices.Sorted(maps.Keys(d)) },
		"first": func(list any) any {
			for v := range elements(list) {
				return v
			}
			return nil
		},
		"last": func(list any) (out any) {
			for v := range elements(list) {
				out = v
			}
			return out
		},
		"has": func(wanted, list any) bool {
			for v := range elements(list) {
				if reflect.DeepEqual(v, wanted) {
					return true
				}
			}
			return false
		},
		"append": func(list any, v any) []any { return append(slices.Collect(elements(list)), v) },
	}
}

func dict(pairs ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		out[text(pairs[i])] = ""
		if i+1 < len(pairs) {
			out[text(pairs[i])] = pairs[i+1]
		}
	}
	return out
}

// empty says that a value is nothing, false, zero, or has nothing in it.
func empty(v any) bool {
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Slice, reflect.Map, reflect.Array, reflect.String:
		return r.Len() == 0
	}
	return r.IsZero()
}
