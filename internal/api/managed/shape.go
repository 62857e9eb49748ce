package managed

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// value is a Go value that stands for one of JSON. The zero value is one that is absent.
type value = reflect.Value

// base is what a Go type looks like in JSON.
type base uint8

const (
	text base = iota
	integer
	float
	boolean
	bytes // in base64
	list
	mapping
	structure
	quantity
	intOrString
	date
	microDate
	opaque // writes its own JSON, of any kind
)

// shape is a Go type compiled: how a value of it is taken apart. It is read only, and may contain itself.
type shape struct {
	base   base
	whole  bool         // one value, however much is in it
	risky  bool         // has lists whose elements may have none of their keys
	bare   bool         // of a struct: fields are left out that no one owns, so that it is never itself a field
	fields []fieldShape // of a structure, by name
	elem   *shape       // of a list or mapping
	keys   []keyShape   // of a list that is a map, by name
}

type fieldShape struct {
	name, key string // key: as path element
	index     []int
	shape     *shape
	omitEmpty bool
	omitZero  func(value) bool // nil without
}

// keyShape is a field by which elements of a list are known.
type keyShape struct {
	field *fieldShape
	start string // of its text in the path element: \"name\":
	other string // its text when it is absent; "" without
}

// compiler compiles types. It is not safe for concurrent use.
type compiler struct {
	schema relations
	types  map[reflect.Type]*shape
}

// stripped are the fields of an object's metadata that no one ever owns.
const stripped = " name namespace creationTimestamp selfLink uid clusterName generation managedFields resourceVersion "

// object compiles an object's type, without what no one owns.
func (c *compiler) object(t reflect.Type) *shape {
	plain := *c.compile(t)
	plain.bare = true
	plain.fields = slices.DeleteFunc(slices.Clone(plain.fields), func(f fieldShape) bool { return f.name == "apiVersion" || f.name == "kind" })
	for i := range plain.fields {
		if f := &plain.fields[i]; f.name == "metadata" {
			meta := *f.shape
			meta.bare = true
			meta.fields = slices.DeleteFunc(slices.Clone(meta.fields), func(f fieldShape) bool { return strings.Contains(stripped, " "+f.name+" ") })
			f.shape = &meta
		}
	}
	return &plain
}

// compile compiles a type, of a pointer that which it points to.
func (c *compiler) compile(t reflect.Type) *shape {
	if t.Kind() == reflect.Pointer {
		return c.compile(t.Elem())
	}
	if s := c.types[t]; s != nil {
		return s
	}
	s := &shape{base: baseOf(t)}
	c.types[t] = s
	switch s.base {
	case structure:
		s.whole = c.schema[modelName(t)] == "atomic"
		c.addFields(s, t, modelName(t), nil)
		slices.SortFunc(s.fields, func(a, b fieldShape) int { return strings.Compare(a.name, b.name) })
		s.risky = slices.ContainsFunc(s.fields, func(f fieldShape) bool { return f.shape.risky })
	case opaque:
		s.whole = t == reflect.TypeFor[runtime.RawExtension]() // upstream's schema has it so by name
	case mapping:
		s.elem = c.compile(t.Elem())
		s.risky = s.elem.risky
	case list:
		s.whole, s.elem = true, c.compile(t.Elem())
		s.risky = s.elem.risky
	}
	return s
}

var (
	marshaler = reflect.TypeFor[json.Marshaler]()
	zeroer    = reflect.TypeFor[interface{ IsZero() bool }]()
	known     = map[reflect.Type]base{
		reflect.TypeFor[resource.Quantity](): quantity, reflect.TypeFor[intstr.IntOrString](): intOrString,
		reflect.TypeFor[metav1.Time](): date, reflect.TypeFor[metav1.MicroTime](): microDate,
	}
)

func baseOf(t reflect.Type) base {
	if b, ok := known[t]; ok {
		return b
	}
	if t.Implements(marshaler) || reflect.PointerTo(t).Implements(marshaler) {
		return opaque
	}
	switch t.Kind() {
	case reflect.String:
		return text
	case reflect.Bool:
		return boolean
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return integer
	case reflect.Float32, reflect.Float64:
		return float
	case reflect.Map:
		return mapping
	case reflect.Struct:
		return structure
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return bytes
		}
		return list
	}
	panic("managed: the API has no values like " + t.String())
}

// modelName is a type's name in OpenAPI; "" when it has none.
func modelName(t reflect.Type) string {
	if named, ok := reflect.Zero(t).Interface().(interface{ OpenAPIModelName() string }); ok {
		return named.OpenAPIModelName()
	}
	return ""
}

// addFields adds the fields of t, found through the indexes of the fields that it is embedded by. model is the name of the outermost type.
func (c *compiler) addFields(s *shape, t reflect.Type, model string, through []int) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		index := append(slices.Clip(through), i)
		switch {
		case name == "-":
		case strings.Contains(options, "inline"):
			c.addFields(s, f.Type, model, index)
		default:
			out := fieldShape{name: name, key: fieldKey(name), index: index, omitEmpty: strings.Contains(options, "omitempty")}
			if strings.Contains(options, "omitzero") {
				out.omitZero = zeroOf(f.Type)
			}
			out.shape = c.said(c.compile(f.Type), c.schema[model+" "+name])
			s.fields = append(s.fields, out)
		}
	}
}

// zeroOf is what the option omitzero asks of a type.
func zeroOf(t reflect.Type) func(value) bool {
	if t.Kind() != reflect.Pointer && t.Implements(zeroer) {
		return func(v value) bool { return v.Interface().(interface{ IsZero() bool }).IsZero() }
	}
	if t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(zeroer) {
		return func(v value) bool {
			p := reflect.New(t)
			p.Elem().Set(v)
			return p.Interface().(interface{ IsZero() bool }).IsZero()
		}
	}
	return value.IsZero
}

// said is a field's shape when the schema says something of the field.
func (c *compiler) said(s *shape, what string) *shape {
	kind, rest, _ := strings.Cut(what, " ")
	if kind == "" {
		return s
	}
	own := *s
	own.whole = kind == "atomic"
	if kind == "map" {
		for key := range strings.FieldsSeq(rest) {
			name, other, _ := strings.Cut(key, "=")
			i := slices.IndexFunc(s.elem.fields, func(f fieldShape) bool { return f.name == name })
			own.keys = append(own.keys, keyShape{
				field: &s.elem.fields[i], start: string(appendEscaped(nil, appendQuoted(nil, name))) + ":", other: string(appendEscaped(nil, other)),
			})
		}
		own.risky = own.risky || !slices.ContainsFunc(own.keys, func(k keyShape) bool { return k.other != "" || !k.field.omitEmpty })
	}
	return &own
}

// of returns the field's value in a structure; absent when it is left out.
func (f *fieldShape) of(v value) value {
	for _, i := range f.index {
		v = v.Field(i)
	}
	if f.omitEmpty && isEmpty(v) || f.omitZero != nil && f.omitZero(v) {
		return value{}
	}
	return v
}

// isEmpty is what the option omitempty asks.
func isEmpty(v value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return v.IsNil()
	case reflect.Struct:
		return false
	case reflect.Slice, reflect.Map, reflect.String:
		return v.Len() == 0
	}
	return v.IsZero()
}
