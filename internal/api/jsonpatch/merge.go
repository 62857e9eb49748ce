package jsonpatch

import "errors"

// Errors of Merge, by the texts that clients know.
var (
	//lint:ignore ST1005 upstream's text
	ErrBadDocument = errors.New("Invalid JSON Document")
	//lint:ignore ST1005 upstream's text
	ErrBadPatch = errors.New("Invalid JSON Patch")
)

// Merge changes a document, which is an object, by a merge patch (RFC 7386): null takes away, an object goes into an object, everything else replaces.
// The error is ErrBadDocument or ErrBadPatch, or says that the result would be too deep. Nothing is kept of what is handed in.
func Merge(document, patch []byte) ([]byte, error) {
	doc, change := parse(document), parse(patch)
	switch {
	case doc.opened('{') == nil:
		return nil, ErrBadDocument
	case change.opened('{') == nil:
		return nil, ErrBadPatch
	}
	doc.merge(change)
	return doc.encode()
}

// merge puts the fields of one object into another.
func (n *node) merge(change *node) {
	into := n.opened('{').fields
	for name, value := range change.opened('{').fields {
		old := into[name]
		switch {
		case value == nil:
			delete(into, name)
		case old != nil && old.kind == '{' && value.kind == '{':
			old.merge(value)
		default:
			if old == nil || old.kind != '{' {
				value.prune()
			}
			into[name] = value
		}
	}
}

// prune takes the fields away that are null. It opens all that it sees, so that their names are written in order.
func (n *node) prune() {
	if object := n.opened('{'); object != nil {
		for name, value := range object.fields {
			if value == nil {
				delete(object.fields, name)
				continue
			}
			value.prune()
		}
	}
	if list := n.opened('['); list != nil {
		for _, value := range list.items {
			if value != nil {
				value.prune()
			}
		}
	}
}
