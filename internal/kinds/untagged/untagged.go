// Package untagged shows parts of API objects the way upstream's error messages do.
//
// Upstream validates its own unversioned copies of the published types. They have no JSON tags, so a message that quotes a whole
// struct names fields as Go does and leaves nothing out: {"APIGroup":"","Kind":"Role","Name":"a"}. Clients read those texts, and
// floe has the published types only; this package bridges the two.
//
// # Laws
//
//   - Only structs of k8s.io/api are shown so. What upstream shares between both worlds (times, quantities, label selectors) has
//     its tags there too, and keeps them here.
//   - Fields come in the order of the published type, which is upstream's order as well, but for a few in the sources of volumes.
package untagged

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Value is v for the BadValue of a field error. It is read when the error's text is made; the caller does not change v before that.
func Value(v any) json.Marshaler { return value{reflect.ValueOf(v)} }

type value struct{ v reflect.Value }

// MarshalJSON is how an error's text reads the value.
func (u value) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	err := write(&out, u.v)
	return out.Bytes(), err
}

func write(out *bytes.Buffer, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return write(out, v.Elem())
		}
	case reflect.Slice:
		if !v.IsNil() && v.Type().Elem().Kind() != reflect.Uint8 {
			return writeList(out, v)
		}
	case reflect.Struct:
		if own(v.Type()) {
			out.WriteByte('{')
			if _, err := writeFields(out, v, true); err != nil {
				return err
			}
			out.WriteByte('}')
			return nil
		}
	}
	return writePlain(out, v)
}

// own says that upstream has an untagged copy of a struct.
func own(t reflect.Type) bool { return strings.HasPrefix(t.PkgPath(), "k8s.io/api/") }

// writePlain shows what looks the same in both worlds.
func writePlain(out *bytes.Buffer, v reflect.Value) error {
	if !v.IsValid() {
		out.WriteString("null")
		return nil
	}
	text, err := json.Marshal(v.Interface())
	out.Write(text)
	return err
}

func writeList(out *bytes.Buffer, v reflect.Value) error {
	out.WriteByte('[')
	for i := range v.Len() {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := write(out, v.Index(i)); err != nil {
			return err
		}
	}
	out.WriteByte(']')
	return nil
}

// writeFields writes a struct's fields without the braces, those of embedded structs among them, and says whether the next is the first.
func writeFields(out *bytes.Buffer, v reflect.Value, first bool) (_ bool, err error) {
	for _, f := range fieldsOf(v.Type()) {
		part := v.FieldByIndex(f.Index)
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			if !own(f.Type) {
				if first, err = writeMembers(out, part, first); err != nil {
					return first, err
				}
				continue
			}
			if first, err = writeFields(out, part, first); err != nil {
				return first, err
			}
			continue
		}
		if !first {
			out.WriteByte(',')
		}
		first = false
		out.WriteString(`"` + f.Name + `":`)
		if err := write(out, part); err != nil {
			return first, err
		}
	}
	return first, nil
}

// fieldsOf are a struct's fields in upstream's order.
func fieldsOf(t reflect.Type) []reflect.StructField {
	list := slices.Collect(t.Fields())
	index := func(name string) int {
		return slices.IndexFunc(list, func(f reflect.StructField) bool { return f.Name == name })
	}
	move := func(name, behind string) {
		at := index(name)
		f := list[at]
		list = slices.Delete(list, at, at+1)
		list = slices.Insert(list, 1+index(behind), f)
	}
	switch t {
	case reflect.TypeFor[corev1.VolumeSource]():
		move("Quobyte", "RBD")
	case reflect.TypeFor[corev1.PersistentVolumeSource]():
		move("Quobyte", "RBD")
		move("FlexVolume", "ISCSI")
	}
	return list
}

// writeMembers is writeFields for an embedded struct that keeps its tags, such as a template's metadata.
func writeMembers(out *bytes.Buffer, v reflect.Value, first bool) (bool, error) {
	text, err := json.Marshal(v.Interface())
	text = bytes.TrimSuffix(bytes.TrimPrefix(text, []byte("{")), []byte("}"))
	if err != nil || len(text) == 0 {
		return first, err
	}
	if !first {
		out.WriteByte(',')
	}
	out.Write(text)
	return false, nil
}
