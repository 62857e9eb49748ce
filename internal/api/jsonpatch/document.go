package jsonpatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

const (
	maxDepth = 10_000 // objects and lists in each other, as the JSON decoder has it
	// Upstream has an option for what the operations of one patch may copy, which it does not use. No bound is needed for what is put in place of other copies,
	// but for the time that it takes; nothing that is much larger than an object can be is kept.
	maxGrown  = 3 << 20  // bytes by which copies may make a document larger
	maxCopied = 64 << 20 // bytes that the operations of one patch may copy
)

// errDepth: operations have built what is too deep to be read again.
var errDepth = fmt.Errorf("exceeded max depth of %d", maxDepth)

// source is a document that was scanned. Its objects and lists are numbered as they begin.
type source struct {
	data  []byte
	ends  []int32 // where each ends, in data
	after []int32 // the number of the first that begins after its end
}

// node is a value of a document; nil is null. It is closed, a part of a source, or open, with its members read.
type node struct {
	from       *source
	start, end int32
	number     int32    // of an object or a list
	kind       byte     // '{', '[', or the first byte of another value
	open       *members // nil: closed
}

// members are those of an open node, by its kind.
type members struct {
	fields map[string]*node
	items  []*node
}

// read scans a document, which is valid JSON of less than 2 GiB.
func read(data []byte) *node {
	s := &source{data: data}
	var inside []int32
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = s.text(i) - 1
		case '{', '[':
			inside = append(inside, int32(len(s.ends)))
			s.ends, s.after = append(s.ends, 0), append(s.after, 0)
		case '}', ']':
			last := inside[len(inside)-1]
			inside = inside[:len(inside)-1]
			s.ends[last], s.after[last] = int32(i+1), int32(len(s.ends))
		}
	}
	n, _, _ := s.value(s.space(0), 0)
	return n
}

// text returns the end of the string that begins at i.
func (s *source) text(i int) int {
	for i++; s.data[i] != '"'; i++ {
		if s.data[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func (s *source) space(i int) int {
	for i < len(s.data) && (s.data[i] == ' ' || s.data[i] == '\n' || s.data[i] == '\t' || s.data[i] == '\r') {
		i++
	}
	return i
}

// value reads the value at i; number is that of the next object or list. It returns what comes behind.
func (s *source) value(i int, number int32) (n *node, next int, nextNumber int32) {
	n = &node{from: s, start: int32(i), number: number, kind: s.data[i]}
	switch n.kind {
	case '{', '[':
		n.end = s.ends[number]
		return n, int(n.end), s.after[number]
	case '"':
		n.end = int32(s.text(i))
	default:
		end := i
		for end < len(s.data) && bytes.IndexByte([]byte(",]} \n\t\r"), s.data[end]) < 0 {
			end++
		}
		n.end = int32(end)
	}
	next = int(n.end)
	if n.kind == 'n' {
		n = nil
	}
	return n, next, number
}

func (n *node) raw() []byte { return n.from.data[n.start:n.end] }

// opened returns the members of an object or a list, by kind; nil for everything else.
func (n *node) opened(kind byte) *members {
	if n == nil || n.kind != kind {
		return nil
	}
	if n.open == nil {
		n.open = n.members()
	}
	return n.open
}

func (n *node) members() *members {
	s, m := n.from, &members{}
	if n.kind == '{' {
		m.fields = map[string]*node{}
	}
	number := n.number + 1
	i := s.space(int(n.start) + 1)
	for s.data[i] != '}' && s.data[i] != ']' {
		var name string
		if n.kind == '{' {
			end := s.text(i)
			name = unquoted(s.data[i:end])
			i = s.space(s.space(end) + 1) // past the colon
		}
		var value *node
		value, i, number = s.value(i, number)
		if n.kind == '{' {
			m.fields[name] = value
		} else {
			m.items = append(m.items, value)
		}
		if i = s.space(i); s.data[i] == ',' {
			i = s.space(i + 1)
		}
	}
	return m
}

// unquoted is the text that a JSON string means.
func unquoted(quoted []byte) string {
	plain := quoted[1 : len(quoted)-1]
	if !slices.ContainsFunc(plain, func(c byte) bool { return c == '\\' || c >= 0x80 }) {
		return string(plain)
	}
	var text string
	if err := json.Unmarshal(quoted, &text); err != nil {
		panic(fmt.Sprintf("the JSON string %q was found valid: %v", quoted, err))
	}
	return text
}

// write appends the document that n is to out, without regard to HTML.
func (n *node) write(out *bytes.Buffer, depth int) error {
	switch {
	case n == nil:
		out.WriteString("null")
	case n.open == nil:
		if depth > 0 && n.kind != '{' && n.kind != '[' {
			out.Write(n.raw())
			return nil
		}
		return json.Compact(out, n.raw())
	case depth >= maxDepth:
		return errDepth
	case n.kind == '[':
		return writeAll(out, '[', ']', n.open.items, func(item *node) error { return item.write(out, depth+1) })
	default:
		fields := n.open.fields
		return writeAll(out, '{', '}', slices.Sorted(maps.Keys(fields)), func(name string) error {
			quoted, err := json.Marshal(name)
			out.Write(quoted)
			out.WriteByte(':')
			return errors.Join(err, fields[name].write(out, depth+1))
		})
	}
	return nil
}

func writeAll[T any](out *bytes.Buffer, begin, end byte, list []T, write func(T) error) error {
	out.WriteByte(begin)
	for i, one := range list {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := write(one); err != nil {
			return err
		}
	}
	out.WriteByte(end)
	return nil
}

// encode is the document as encoding/json writes it.
func (n *node) encode() ([]byte, error) {
	var plain, safe bytes.Buffer
	if err := n.write(&plain, 0); err != nil {
		return nil, err
	}
	json.HTMLEscape(&safe, plain.Bytes())
	return safe.Bytes(), nil
}

// equal compares values as the library does: numbers and strings by how they are written.
func (n *node) equal(o *node) bool {
	switch {
	case n == nil || o == nil:
		return n == o
	case n.kind == '{' && o.kind == '{':
		return maps.EqualFunc(n.opened('{').fields, o.opened('{').fields, (*node).equal)
	case n.kind == '[' && o.kind == '[':
		return slices.EqualFunc(n.opened('[').items, o.opened('[').items, (*node).equal)
	}
	return n.kind == o.kind && bytes.Equal(n.raw(), o.raw())
}
