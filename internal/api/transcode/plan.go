package transcode

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// maxNumber bounds the numbers of fields, and so the size of a plan. The API's largest types have fewer than 100 fields.
const maxNumber = 255

// wireType is how a value stands in a message.
type wireType uint64

const (
	varint  wireType = 0
	fixed64 wireType = 1
	counted wireType = 2 // a length, then so many bytes
)

// codec appends the JSON of one value. b is the value's bytes without tag and length; none is the type's zero value.
type codec func(e *encoder, dst, b []byte) ([]byte, error)

// shape is how often a field's value stands in a message, and how it is written.
type shape uint8

const (
	single shape = iota
	list         // one after the other
	dict         // as messages of a key and a value
)

// value is how values of one Go type are read and written.
type value struct {
	wire  wireType
	write codec
	// empty says whether omitempty leaves b out; nil: never, as for structs.
	empty func(b []byte) bool
	// null: the zero value is a nil slice, not what write makes of no bytes.
	null bool
}

// field is one field of a struct. Of an embedded struct, whose fields stand among its parent's, inline is the plan.
type field struct {
	value
	number    uint64 // in the message; 0: it has none, and is always zero
	shape     shape
	optional  bool // a pointer: what is there is written, also when it is empty
	omitEmpty bool
	isVersion bool   // the object's own resourceVersion
	key       string // `"name":`
	inline    *plan
}

// plan is one struct type.
type plan struct {
	fields []field
	// byNumber has the index of a field in fields, plus one, by its number; 0: there is none.
	byNumber []uint8
	blank    []span // as many as there are fields; never written
}

// Form writes the objects of one type. It is immutable and safe for concurrent use.
type Form struct {
	root     *plan
	encoders sync.Pool // of *encoder
}

// ErrUnsupported says that a type has something that no plan can be made for.
var ErrUnsupported = errors.New("no plan can be made for the type")

// Compile makes the form of an object type, which must be a struct with an ObjectMeta.
func Compile(t reflect.Type) (*Form, error) {
	c := compiler{plans: map[reflect.Type]*plan{}}
	if reflect.PointerTo(t).Implements(marshalerType) {
		return nil, fmt.Errorf("%v writes its own JSON: %w", t, ErrUnsupported)
	}
	root, err := c.object(t)
	if err != nil {
		return nil, err
	}
	return &Form{root: root, encoders: sync.Pool{New: func() any { return new(encoder) }}}, nil
}

type compiler struct{ plans map[reflect.Type]*plan }

// object compiles an object's type. Its metadata has a plan of its own, since only its resourceVersion comes from elsewhere.
func (c *compiler) object(t reflect.Type) (*plan, error) {
	p := new(plan)
	if err := c.fill(p, t); err != nil {
		return nil, err
	}
	at := slices.IndexFunc(p.fields, func(f field) bool { return f.key == `"metadata":` })
	if at < 0 {
		return nil, fmt.Errorf("%v has no metadata: %w", t, ErrUnsupported)
	}
	meta := new(plan)
	if err := c.fill(meta, reflect.TypeFor[metav1.ObjectMeta]()); err != nil {
		return nil, err
	}
	own := slices.IndexFunc(meta.fields, func(f field) bool { return f.key == `"resourceVersion":` })
	meta.fields[own].isVersion = true
	p.fields[at].write = meta.write
	return p, nil
}

// structOf returns the plan of a struct, which may still be without its fields while the type contains itself.
func (c *compiler) structOf(t reflect.Type) (*plan, error) {
	if p, ok := c.plans[t]; ok {
		return p, nil
	}
	p := new(plan)
	c.plans[t] = p
	return p, c.fill(p, t)
}

func (c *compiler) fill(p *plan, t reflect.Type) error {
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag.Get("json")
		if tag == "-" || !sf.Anonymous && !sf.IsExported() {
			continue
		}
		f, err := c.field(sf, tag)
		if err != nil {
			return fmt.Errorf("%v.%s: %w", t, sf.Name, err)
		}
		p.fields = append(p.fields, f)
	}
	p.blank = make([]span, len(p.fields))
	for i, f := range p.fields {
		if int(f.number) >= len(p.byNumber) {
			p.byNumber = append(p.byNumber, make([]uint8, int(f.number)+1-len(p.byNumber))...)
		}
		if f.number != 0 {
			p.byNumber[f.number] = uint8(i + 1)
		}
	}
	return p.distinct(t)
}

// distinct refuses types whose embedded structs have fields of the same name: which of them is written would need encoding/json's rules.
func (p *plan) distinct(t reflect.Type) error {
	keys := p.keys()
	slices.Sort(keys)
	if len(keys) > maxNumber || len(slices.Compact(keys)) < len(p.keys()) {
		return fmt.Errorf("%v has two fields of one name, or too many: %w", t, ErrUnsupported)
	}
	return nil
}

func (p *plan) keys() (keys []string) {
	for _, f := range p.fields {
		if f.inline != nil {
			keys = append(keys, f.inline.keys()...)
		} else {
			keys = append(keys, f.key)
		}
	}
	return keys
}

func (c *compiler) field(sf reflect.StructField, tag string) (f field, err error) {
	name, options, _ := strings.Cut(tag, ",")
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty", "omitzero":
			// The API has omitzero on times only, whose codec knows.
			f.omitEmpty = true
		case "", "inline":
		default:
			return f, fmt.Errorf("option %s of its JSON: %w", option, ErrUnsupported)
		}
	}
	if f.number, err = numberOf(sf); err != nil {
		return f, err
	}
	if sf.Anonymous && name == "" {
		return c.embedded(f, sf.Type)
	}
	if name == "" {
		name = sf.Name
	}
	f.key = strconv.Quote(name) + ":"
	err = c.typed(&f, sf.Type)
	if strings.Contains(options, "omitzero") && sf.Type != timeType {
		err = errors.Join(err, fmt.Errorf("omitzero of %v: %w", sf.Type, ErrUnsupported))
	} else if sf.Type == timeType && !strings.Contains(options, "omitzero") {
		f.empty = nil // a struct: omitempty does nothing
	}
	return f, err
}

// numberOf reads a field's number from its protobuf tag, "bytes,3,opt,name=spec".
func numberOf(sf reflect.StructField) (uint64, error) {
	tag := sf.Tag.Get("protobuf")
	if tag == "" || tag == "-" {
		return 0, nil
	}
	_, rest, _ := strings.Cut(tag, ",")
	text, _, _ := strings.Cut(rest, ",")
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || n == 0 || n > maxNumber {
		return 0, fmt.Errorf("number of tag %q: %w", tag, ErrUnsupported)
	}
	return n, nil
}

func (c *compiler) embedded(f field, t reflect.Type) (field, error) {
	if t.Kind() != reflect.Struct || reflect.PointerTo(t).Implements(marshalerType) {
		return f, fmt.Errorf("embedded %v: %w", t, ErrUnsupported)
	}
	p, err := c.structOf(t)
	f.inline = p
	f.value = value{wire: counted, write: p.members}
	f.omitEmpty = false
	return f, err
}

// typed finds out how a field's values are written.
func (c *compiler) typed(f *field, t reflect.Type) (err error) {
	switch {
	case t.Kind() == reflect.Pointer:
		f.optional = true
		t = t.Elem()
	case t.Kind() == reflect.Map:
		f.shape = dict
		if t.Key().Kind() != reflect.String || t.Key().Implements(textType) {
			return fmt.Errorf("keys of %v: %w", t, ErrUnsupported)
		}
		element, err := c.valueOf(t.Elem())
		f.value = entries(element)
		return err
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8 && !isMessage(t):
		f.shape = list
		t = t.Elem()
	}
	if t.Kind() == reflect.Slice && isMessage(t) {
		return fmt.Errorf("%v outside of a map: %w", t, ErrUnsupported) // nothing that is stored has one
	}
	f.value, err = c.valueOf(t)
	return err
}

var (
	marshalerType = reflect.TypeFor[json.Marshaler]()
	textType      = reflect.TypeFor[encoding.TextMarshaler]()
	messageType   = reflect.TypeFor[message]()
	timeType      = reflect.TypeFor[metav1.Time]()
)

// message is what the generated types have.
type message interface{ Unmarshal([]byte) error }

func isMessage(t reflect.Type) bool { return reflect.PointerTo(t).Implements(messageType) }

// valueOf finds out how one value of a type is written.
func (c *compiler) valueOf(t reflect.Type) (value, error) {
	if known, ok := special(t); ok {
		return known, nil
	}
	switch kind := t.Kind(); {
	case kind == reflect.Struct && t.Implements(marshalerType) && isMessage(t):
		return value{wire: counted, write: decoded(t)}, nil
	case reflect.PointerTo(t).Implements(marshalerType), reflect.PointerTo(t).Implements(textType):
		return value{}, fmt.Errorf("%v writes its own JSON: %w", t, ErrUnsupported)
	case kind == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return value{wire: counted, write: writeBytes, empty: isEmpty, null: true}, nil
	case kind == reflect.Slice && isMessage(t):
		return c.wrapped(t)
	case kind == reflect.Struct && isMessage(t):
		p, err := c.structOf(t)
		if _, whole := t.FieldByName("TypeMeta"); whole && err == nil {
			return within(p, t)
		}
		return value{wire: counted, write: p.write}, err
	}
	if plain, ok := scalar(t.Kind()); ok {
		return plain, nil
	}
	return value{}, fmt.Errorf("%v: %w", t, ErrUnsupported)
}

// within writes an object that stands within another, such as a claim in a StatefulSet. It says of what type it is, though its message does not.
func within(p *plan, t reflect.Type) (value, error) {
	if t.PkgPath() != reflect.TypeFor[corev1.PersistentVolumeClaim]().PkgPath() {
		return value{}, fmt.Errorf("%v within an object: %w", t, ErrUnsupported) // nothing that is stored has one
	}
	opening := fmt.Sprintf("{\"kind\":%q,\"apiVersion\":%q", t.Name(), corev1.SchemeGroupVersion)
	return value{wire: counted, write: func(e *encoder, dst, b []byte) ([]byte, error) {
		dst, err := p.members(e, append(dst, opening...), b)
		return append(dst, '}'), err
	}}, nil
}

// wrapped is a slice type that is a message of its own, with its elements as field 1. As a map's value it is never nil once it is decoded.
func (c *compiler) wrapped(t reflect.Type) (value, error) {
	element, err := c.valueOf(t.Elem())
	f := field{value: element, number: 1, shape: list}
	return value{wire: counted, write: f.list}, err
}
