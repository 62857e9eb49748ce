package openapi

import (
	"bytes"
	"crypto/sha512"
	"encoding/json"
	"fmt"
	"io"
	"regexp"

	"google.golang.org/protobuf/encoding/protowire"
)

// Part is the document of version 2 of a server that does not serve everything.
type Part struct {
	Hash string // upper-case hexadecimal SHA-512 of its JSON
	data []byte
}

// Content is the document for one reader.
func (p Part) Content() io.ReadSeeker { return bytes.NewReader(p.data) }

// Version2Of returns the document of version 2 with those paths only that serves is true of, such as "/apis/apps/v1/deployments", and without the definitions
// and parameters that only others need. The whole document is unpacked for it.
func Version2Of(form Form, serves func(path string) bool) Part {
	whole := Version2(JSON).Read()
	top := membersOf(whole)
	dropped := unneeded(top, serves)
	out := writeMembers(top, func(m member) json.RawMessage {
		if lost := dropped[m.name]; lost != nil {
			return writeMembers(membersOf(m.value), nil, lost)
		}
		return m.value
	}, nil)
	part := Part{Hash: fmt.Sprintf("%X", sha512.Sum512(out)), data: out}
	if form == Protobuf {
		part.data = withoutNamed(Version2(Protobuf).Read(), dropped)
	}
	return part
}

// The members of the document that are named collections.
const (
	paths       = "paths"
	definitions = "definitions"
	parameters  = "parameters"
)

// member is one of a JSON object, in the object's order.
type member struct {
	name  string
	value json.RawMessage
}

// membersOf reads an object of a document, which is part of the program.
func membersOf(object []byte) (list []member) {
	d := json.NewDecoder(bytes.NewReader(object))
	must := func(err error) {
		if err != nil {
			panic(fmt.Sprintf("the embedded OpenAPI document of version 2: %v", err))
		}
	}
	_, err := d.Token()
	for must(err); d.More(); {
		name, err := d.Token()
		must(err)
		m := member{name: name.(string)}
		must(d.Decode(&m.value))
		list = append(list, m)
	}
	return list
}

// writeMembers writes an object without those that are lost; change, unless nil, is what becomes of a value.
func writeMembers(list []member, change func(member) json.RawMessage, lost map[string]bool) []byte {
	out := []byte{'{'}
	for _, m := range list {
		if lost[m.name] {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			panic(err) // it is a string
		}
		if change != nil {
			m.value = change(m)
		}
		out = append(append(append(out, name...), ':'), m.value...)
	}
	return append(out, '}')
}

var reference = regexp.MustCompile(`"\$ref":"#/(definitions|parameters)/([^"]+)"`)

// unneeded are the names in each collection that go with the paths that are not served. What no path leads to stays.
func unneeded(top []member, serves func(path string) bool) map[string]map[string]bool {
	lost := map[string]map[string]bool{paths: {}, definitions: {}, parameters: {}}
	all := map[string]map[string]json.RawMessage{}
	for _, m := range top {
		if lost[m.name] == nil {
			continue
		}
		all[m.name] = map[string]json.RawMessage{}
		for _, one := range membersOf(m.value) {
			all[m.name][one.name] = one.value
		}
	}
	type place struct{ in, name string }
	needed := map[place]bool{}
	var need func(text []byte, mark bool)
	need = func(text []byte, mark bool) {
		for _, m := range reference.FindAllSubmatch(text, -1) {
			at := place{string(m[1]), string(m[2])}
			if was, seen := needed[at]; seen && (was || !mark) {
				continue
			}
			needed[at] = mark
			need(all[at.in][at.name], mark)
		}
	}
	for path, item := range all[paths] {
		lost[paths][path] = !serves(path)
		need(item, serves(path))
	}
	for at, is := range needed {
		lost[at.in][at.name] = !is
	}
	return lost
}

// collections are the fields of the document's message that hold the collections, and the field of their entries in each (OpenAPIv2.proto of gnostic).
var collections = map[protowire.Number]struct {
	name    string
	entries protowire.Number
}{8: {paths, 2}, 9: {definitions, 1}, 10: {parameters, 1}}

// withoutNamed is the document's message without the entries that are lost. The name is the first field of an entry.
func withoutNamed(msg []byte, lost map[string]map[string]bool) []byte {
	return eachField(msg, func(number protowire.Number, value []byte) []byte {
		c, ok := collections[number]
		if !ok {
			return value
		}
		return eachField(value, func(number protowire.Number, entry []byte) []byte {
			_, _, tag := protowire.ConsumeTag(entry)
			if name, n := protowire.ConsumeString(entry[max(tag, 0):]); number == c.entries && n > 0 && lost[c.name][name] {
				return nil
			}
			return entry
		})
	})
}

// eachField writes a message anew whose fields are messages and strings, with what change makes of each; nil: it is left out.
func eachField(msg []byte, change func(protowire.Number, []byte) []byte) []byte {
	out := []byte{}
	for len(msg) > 0 {
		number, kind, n := protowire.ConsumeTag(msg)
		if n < 0 || kind != protowire.BytesType {
			panic("the embedded OpenAPI document of version 2 in protobuf has an odd field")
		}
		value, size := protowire.ConsumeBytes(msg[n:])
		if size < 0 {
			panic("the embedded OpenAPI document of version 2 in protobuf is cut")
		}
		msg = msg[n+size:]
		if value = change(number, value); value != nil {
			out = protowire.AppendBytes(protowire.AppendTag(out, number, protowire.BytesType), value)
		}
	}
	return out
}
