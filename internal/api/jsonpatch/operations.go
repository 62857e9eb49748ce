package jsonpatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Patch is a JSON patch as it was decoded. Clients are told the names of these types when it cannot be.
type Patch []Operation

// Operation is one step of a patch: its fields by their names. A field that is null is nil.
type Operation map[string]*json.RawMessage

// ErrTest: a patch asks whether something is so, and it is not.
var ErrTest = errors.New("test failed")

var (
	errMissing = errors.New("missing value")
	errIndex   = errors.New("invalid index referenced")
	errGrown   = fmt.Errorf("copies make the document more than %d bytes larger", maxGrown)
	errCopied  = fmt.Errorf("the copies are larger than %d bytes together", maxCopied)
)

// parse reads a document; nil when it is no JSON, or null.
func parse(data []byte) *node {
	if !json.Valid(data) {
		return nil
	}
	return read(data)
}

// Apply changes a document, an object or a list, by the operations of a patch, one after the other. When one of them does not apply, nothing is
// returned but an error that says which. Nothing is kept of what is handed in.
func (p Patch) Apply(document []byte) ([]byte, error) {
	doc := patching{root: parse(document), size: len(document)}
	if doc.root.opened('{') == nil && doc.root.opened('[') == nil {
		return nil, ErrBadDocument
	}
	for i, op := range p {
		if err := doc.apply(op); err != nil {
			return nil, fmt.Errorf("operation %d: %w", i, err)
		}
	}
	return doc.root.encode()
}

// patching is a document while operations change it.
type patching struct {
	root     *node
	size     int // of the document at first, in bytes
	copied   int // bytes
	measured int // what was copied when the document was measured last
}

func (op Operation) text(field string) (string, error) {
	raw := op[field]
	if raw == nil {
		return "", fmt.Errorf("no %s: %w", field, errMissing)
	}
	var text string
	err := json.Unmarshal(*raw, &text)
	return text, err
}

// value is what the operation carries; ok false: it carries none.
func (op Operation) value() (n *node, ok bool) {
	raw, ok := op["value"]
	if raw == nil {
		return nil, ok
	}
	return parse(*raw), ok
}

func (p *patching) apply(op Operation) error {
	kind, err := op.text("op")
	if err != nil {
		return err
	}
	path, err := op.text("path")
	if err != nil {
		return err
	}
	value, given := op.value()
	switch kind {
	case "add":
		return p.add(path, value)
	case "remove":
		return p.remove(path)
	case "replace":
		return p.replace(path, value)
	case "test":
		return p.test(path, value, given)
	case "move", "copy":
		from, err := op.text("from")
		if err != nil {
			return err
		}
		if kind == "move" {
			return p.move(from, path)
		}
		return p.copy(from, path)
	}
	return fmt.Errorf("unexpected kind: %s", kind)
}

// place is where a path leads: a name in an object, or an index in a list.
type place struct {
	in   *node
	name string
}

// find follows a path (RFC 6901). What stands before its first slash is passed over, as the library does.
func (p *patching) find(path string) (place, error) {
	_, rest, found := strings.Cut(path, "/")
	if !found {
		return place{}, fmt.Errorf("path %q: %w", path, errMissing)
	}
	at := p.root
	for {
		part, more, found := strings.Cut(rest, "/")
		name := strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		if at.opened('{') == nil && at.opened('[') == nil {
			return place{}, fmt.Errorf("path %q: %w", path, errMissing)
		}
		to := place{at, name}
		if !found {
			return to, nil
		}
		next, err := to.get()
		if err != nil {
			return place{}, err
		}
		at, rest = next, more
	}
}

// index is the place's index in a list that may have up to size; negative ones count from the end.
func (to place) index(size int) (int, error) {
	i, err := strconv.Atoi(to.name)
	if err != nil {
		return 0, err
	}
	if i < 0 {
		i += size
	}
	if i < 0 || i >= size {
		return 0, fmt.Errorf("index %s: %w", to.name, errIndex)
	}
	return i, nil
}

// get returns what is at the place; an object has null where it has nothing.
func (to place) get() (*node, error) {
	m := to.in.open
	if m.fields != nil {
		return m.fields[to.name], nil
	}
	i, err := to.index(len(m.items))
	if err != nil {
		return nil, err
	}
	return m.items[i], nil
}

func (to place) set(value *node) error {
	m := to.in.open
	if m.fields != nil {
		m.fields[to.name] = value
		return nil
	}
	i, err := to.index(len(m.items))
	if err == nil {
		m.items[i] = value
	}
	return err
}

func (to place) add(value *node) error {
	m := to.in.open
	if m.fields != nil {
		m.fields[to.name] = value
		return nil
	}
	if to.name == "-" {
		m.items = append(m.items, value)
		return nil
	}
	i, err := to.index(len(m.items) + 1)
	if err == nil {
		m.items = slices.Insert(m.items, i, value)
	}
	return err
}

func (to place) remove() error {
	m := to.in.open
	if m.fields != nil {
		if _, ok := m.fields[to.name]; !ok {
			return fmt.Errorf("key %q: %w", to.name, errMissing)
		}
		delete(m.fields, to.name)
		return nil
	}
	i, err := to.index(len(m.items))
	if err == nil {
		m.items = slices.Delete(m.items, i, i+1)
	}
	return err
}

func (p *patching) add(path string, value *node) error {
	to, err := p.find(path)
	if err != nil {
		return err
	}
	return to.add(value)
}

func (p *patching) remove(path string) error {
	to, err := p.find(path)
	if err != nil {
		return err
	}
	return to.remove()
}

// replace puts a value in place of another. In an object there need not be one, as the library has it.
func (p *patching) replace(path string, value *node) error {
	if path == "" {
		if value.opened('{') == nil && value.opened('[') == nil {
			return errors.New("the whole can only be replaced by an object or a list")
		}
		p.root = value
		return nil
	}
	to, err := p.find(path)
	if err != nil {
		return err
	}
	return to.set(value)
}

func (p *patching) test(path string, value *node, given bool) error {
	found := p.root
	if path != "" {
		to, err := p.find(path)
		if err == nil {
			found, err = to.get()
		}
		if err != nil {
			return err
		}
	}
	if !found.equal(value) || found != nil && !given {
		return fmt.Errorf("path %q: %w", path, ErrTest)
	}
	return nil
}

func (p *patching) move(from, path string) error {
	source, err := p.find(from)
	if err != nil {
		return err
	}
	value, err := source.get()
	if err == nil {
		err = source.remove()
	}
	if err != nil {
		return err
	}
	return p.add(path, value)
}

func (p *patching) copy(from, path string) error {
	source, err := p.find(from)
	if err != nil {
		return err
	}
	value, err := source.get()
	if err != nil {
		return err
	}
	to, err := p.find(path)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := value.write(&text, 0); err != nil {
		return err
	}
	if p.copied += text.Len(); p.copied > maxCopied {
		return errCopied
	}
	if err := to.add(read(text.Bytes())); err != nil {
		return err
	}
	return p.measure()
}

// measure holds the document against what it may be, if enough was copied since it did to have made it larger.
func (p *patching) measure() error {
	if p.copied-p.measured <= maxGrown {
		return nil
	}
	var text bytes.Buffer
	if err := p.root.write(&text, 0); err != nil {
		return err
	}
	if text.Len() > p.size+maxGrown {
		return errGrown
	}
	p.measured = p.copied
	return nil
}
