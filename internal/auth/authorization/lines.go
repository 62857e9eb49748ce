package authorization

import (
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v3"
)

// lines finds the lines of a document's fields. The zero value finds none.
type lines struct{ root *yaml.Node }

func readLines(data []byte) lines {
	var doc yaml.Node
	if yaml.Unmarshal(data, &doc) != nil || len(doc.Content) == 0 {
		return lines{} // the decoder's own error says where
	}
	return lines{doc.Content[0]}
}

// of is the line, from 1, of a field such as authorizers[1].webhook.timeout, or of what it would stand in; 0: there is no document, or no path. Upstream's
// checks leave out the "webhook" of a path.
func (l lines) of(path string) int {
	if l.root == nil || path == "" {
		return 0
	}
	at, line := l.root, l.root.Line
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		next, n := child(at, step)
		if next == nil {
			if inner, _ := child(at, "webhook"); inner != nil {
				next, n = child(inner, step)
			}
		}
		if next == nil {
			break
		}
		at, line = next, n
	}
	return line
}

// child is a field or an element of a node, and its line; nil: there is none.
func child(n *yaml.Node, step string) (*yaml.Node, int) {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1], n.Content[i].Line
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i], n.Content[i].Line
		}
	}
	return nil, 0
}
