package jsonpatch

import (
	"bytes"
	"cmp"
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

// What the operations find wrong is told in the library's words.
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
// returned but an error that says why. Nothing is kept of what is handed in.
func (p Patch) Apply(document []byte) ([]byte, error) {
	doc := patching{root: parse(document), size: len(document)}
	if doc.root.opened('{') == nil && doc.root.opened('[') == nil {
		return nil, ErrBadDocument
	}
	for _, op := range p {
		if err := doc.apply(op); err != nil {
			return nil, err
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

// kind says what the operation does; "unknown" when it does not say.
func (op Operation) kind() string {
	if text, err := op.text("op", nil); err == nil {
		return text
	}
	return "unknown"
}

func (op Operation) path() (string, error) {
	return op.text("path", fmt.Errorf("operation missing path field: %w", errMissing))
}

func (op Operation) from() (string, error) {
	return op.text("from", fmt.Errorf("operation, missing from field: %w", errMissing))
}

// text is the text of a field; the error is none's when there is no such field.
func (op Operation) text(field string, none error) (text string, err error) {
	raw := op[field]
	if raw == nil {
		return "", cmp.Or(none, errMissing)
	}
	err = json.Unmarshal(*raw, &text)
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
	switch kind := op.kind(); kind {
	case "add":
		return p.add(op)
	case "remove":
		return p.remove(op)
	case "replace":
		return p.replace(op)
	case "move":
		return p.move(op)
	case "test":
		return p.test(op)
	case "copy":
		return p.copy(op)
	default:
		//lint:ignore ST1005 upstream's text
		return fmt.Errorf("Unexpected kind: %s", kind)
	}
}

// place is where a path leads: a name in an object, or an index in a list.
type place struct {
	in   *node
	name string
}

// find follows a path (RFC 6901). What stands before its first slash is passed over, as the library does. false: it leads nowhere.
func (p *patching) find(path string) (to place, ok bool) {
	_, rest, found := strings.Cut(path, "/")
	if !found {
		return to, false
	}
	at := p.root
	for {
		part, more, found := strings.Cut(rest, "/")
		name := strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		if at.opened('{') == nil && at.opened('[') == nil {
			return to, false
		}
		to = place{at, name}
		if !found {
			return to, true
		}
		next, err := to.get()
		if err != nil {
			return to, false
		}
		at, rest = next, more
	}
}

// index is the place's index in a list that may have up to size; negative ones count from the end.
func (to place) index(size int) (int, error) {
	given, err := strconv.Atoi(to.name)
	if err != nil {
		return 0, err
	}
	i := given
	if i < 0 {
		i += size
	}
	if i < 0 || i >= size {
		//lint:ignore ST1005 upstream's text
		return 0, fmt.Errorf("Unable to access invalid index: %d: %w", given, errIndex)
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

// set puts a value where get has found one.
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
	switch {
	case err == nil:
		m.items = slices.Insert(m.items, i, value)
	case !errors.Is(err, errIndex):
		err = fmt.Errorf("value was not a proper array index: '%s': %w", to.name, err)
	}
	return err
}

func (to place) remove() error {
	m := to.in.open
	if m.fields != nil {
		if _, ok := m.fields[to.name]; !ok {
			//lint:ignore ST1005 upstream's text
			return fmt.Errorf("Unable to remove nonexistent key: %s: %w", to.name, errMissing)
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

func (p *patching) add(op Operation) error {
	path, err := op.path()
	if err != nil {
		return fmt.Errorf("add operation failed to decode path: %w", errMissing)
	}
	to, ok := p.find(path)
	if !ok {
		return fmt.Errorf("add operation does not apply: doc is missing path: \"%s\": %w", path, errMissing)
	}
	value, _ := op.value()
	if err := to.add(value); err != nil {
		return fmt.Errorf("error in add for path: '%s': %w", path, err)
	}
	return nil
}

func (p *patching) remove(op Operation) error {
	path, err := op.path()
	if err != nil {
		return fmt.Errorf("remove operation failed to decode path: %w", errMissing)
	}
	to, ok := p.find(path)
	if !ok {
		return fmt.Errorf("remove operation does not apply: doc is missing path: \"%s\": %w", path, errMissing)
	}
	if err := to.remove(); err != nil {
		return fmt.Errorf("error in remove for path: '%s': %w", path, err)
	}
	return nil
}

// errWhole: the library wraps an error there that it does not have, and says so.
var errWhole = errors.New("replace operation value must be object or array: %!w(<nil>)")

// replace puts a value in place of another. In an object there need not be one, as the library has it.
func (p *patching) replace(op Operation) error {
	path, err := op.path()
	if err != nil {
		return fmt.Errorf("replace operation failed to decode path: %w", err)
	}
	value, _ := op.value()
	if path == "" {
		if value.opened('{') == nil && value.opened('[') == nil {
			return errWhole
		}
		p.root = value
		return nil
	}
	to, ok := p.find(path)
	if !ok {
		return fmt.Errorf("replace operation does not apply: doc is missing path: %s: %w", path, errMissing)
	}
	if _, err := to.get(); err != nil {
		return fmt.Errorf("replace operation does not apply: doc is missing key: %s: %w", path, errMissing)
	}
	return to.set(value)
}

func (p *patching) test(op Operation) error {
	path, err := op.path()
	if err != nil {
		return fmt.Errorf("test operation failed to decode path: %w", err)
	}
	found := p.root
	if path != "" {
		to, ok := p.find(path)
		if !ok {
			return fmt.Errorf("test operation does not apply: is missing path: %s: %w", path, errMissing)
		}
		if found, err = to.get(); err != nil {
			return fmt.Errorf("error in test for path: '%s': %w", path, err)
		}
	}
	if value, given := op.value(); !found.equal(value) || found != nil && !given {
		return fmt.Errorf("testing value %s failed: %w", path, ErrTest)
	}
	return nil
}

func (p *patching) move(op Operation) error {
	from, err := op.from()
	if err != nil {
		return fmt.Errorf("move operation failed to decode from: %w", err)
	}
	source, ok := p.find(from)
	if !ok {
		return fmt.Errorf("move operation does not apply: doc is missing from path: %s: %w", from, errMissing)
	}
	value, err := source.get()
	if err == nil {
		err = source.remove()
	}
	if err != nil {
		return fmt.Errorf("error in move for path: '%s': %w", source.name, err)
	}
	path, err := op.path()
	if err != nil {
		return fmt.Errorf("move operation failed to decode path: %w", err)
	}
	to, ok := p.find(path)
	if !ok {
		return fmt.Errorf("move operation does not apply: doc is missing destination path: %s: %w", path, errMissing)
	}
	if err := to.add(value); err != nil {
		return fmt.Errorf("error in move for path: '%s': %w", path, err)
	}
	return nil
}

func (p *patching) copy(op Operation) error {
	from, err := op.from()
	if err != nil {
		return fmt.Errorf("copy operation failed to decode from: %w", err)
	}
	source, ok := p.find(from)
	if !ok {
		return fmt.Errorf("copy operation does not apply: doc is missing from path: %s: %w", from, errMissing)
	}
	value, err := source.get()
	if err != nil {
		return fmt.Errorf("error in copy for from: '%s': %w", from, err)
	}
	path, err := op.path()
	if err != nil {
		return fmt.Errorf("copy operation failed to decode path: %w", errMissing)
	}
	to, ok := p.find(path)
	if !ok {
		return fmt.Errorf("copy operation does not apply: doc is missing destination path: %s: %w", path, errMissing)
	}
	var text bytes.Buffer
	if err := value.write(&text, 0); err != nil {
		return err
	}
	if p.copied += text.Len(); p.copied > maxCopied {
		return errCopied
	}
	if err := to.add(read(text.Bytes())); err != nil {
		return fmt.Errorf("error while adding value during copy: %w", err)
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
