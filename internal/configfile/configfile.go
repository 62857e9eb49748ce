// Package configfile reads upstream's configuration files: YAML or JSON of one Kubernetes type, strictly.
//
// # Laws
//
//   - A file that is not exactly of its type is an error that names the file, the line and the field: an unknown or doubled field, a value of another
//     type, another apiVersion or kind, and what the type's own rules refuse.
//   - A file is one document of at most maxSize bytes.
//
// # What it leaves to others
//
// What the fields mean, and which values they may have: the caller's validation.
package configfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"
	sigsyaml "sigs.k8s.io/yaml"
)

// maxSize is how many bytes a file may have.
const maxSize = 1 << 20

// Read reads the file at path, which must be of one of the types wanted, into what into returns for it, and asks validate about that. into returns a pointer to
// an empty value. Errors name path, and line and field where there are any.
func Read[T any](path string, wanted []schema.GroupVersionKind, into *T, validate func(*T) field.ErrorList) error {
	data, err := Load(path)
	if err != nil {
		return err
	}
	return Decode(path, data, wanted, into, validate)
}

// Load is what the file at path holds, which is no more than a configuration file may have.
func Load(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	err = errors.Join(err, file.Close())
	if err == nil && len(data) > maxSize {
		err = fmt.Errorf("larger than %d bytes", maxSize)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// Documents are those of the YAML file at path, each behind as many empty lines as stand before it, so that Decode of one names the file's lines. Documents
// without a field are left out.
func Documents(path string) (list [][]byte, err error) {
	data, err := Load(path)
	if err != nil {
		return nil, err
	}
	begin, line := 0, 0 // of the document, and which line it is
	lines := bytes.SplitAfter(data, []byte("\n"))
	for i := 0; i <= len(lines); i++ {
		if i < len(lines) && !bytes.Equal(bytes.TrimRight(lines[i], " \t\r\n"), []byte("---")) {
			continue
		}
		doc := bytes.Join(lines[begin:i], nil)
		var root yaml.Node
		if err := yaml.Unmarshal(doc, &root); err != nil || root.Kind != 0 { // Decode says what is wrong, and where
			list = append(list, append(bytes.Repeat([]byte("\n"), line), doc...))
		}
		begin, line = i+1, i+1
	}
	return list, nil
}

// TypeOf is the type that a document says that it is of; the empty one when it says nothing, or cannot be read.
func TypeOf(document []byte) schema.GroupVersionKind {
	var found struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
	}
	if err := yaml.Unmarshal(document, &found); err != nil {
		return schema.GroupVersionKind{}
	}
	return schema.FromAPIVersionAndKind(found.APIVersion, found.Kind)
}

// Decode is Read of what the file at path holds.
func Decode[T any](path string, data []byte, wanted []schema.GroupVersionKind, into *T, validate func(*T) field.ErrorList) error {
	return Source{Path: path, File: data}.decode(wanted, into, func() field.ErrorList { return validate(into) })
}

// Source is a document that is a file, or a part of one.
type Source struct {
	Path string // of the file, as errors name it
	File []byte // what the file holds
	At   string // the field whose value the document is, such as plugins[0].configuration; "": the whole file is
}

// DecodePart is Decode of a document that may be a part of a file. wanted may be empty: then the document has neither apiVersion nor kind.
func DecodePart[T any](s Source, wanted []schema.GroupVersionKind, into *T, validate func(*T) field.ErrorList) error {
	return s.decode(wanted, into, func() field.ErrorList { return validate(into) })
}

func (s Source) decode(wanted []schema.GroupVersionKind, into any, validate func() field.ErrorList) error {
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(s.File))
	if err := decoder.Decode(&root); err != nil {
		return fmt.Errorf("%s: %w", s.Path, err) // it names the line
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than one document", s.Path)
	}
	doc, err := sigsyaml.YAMLToJSONStrict(s.File)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Path, err)
	}
	at := places{path: s.Path, root: &root, within: s.At}
	if doc, err = part(doc, s.At); err != nil {
		return at.tell("", err)
	}
	if len(wanted) > 0 {
		if err := at.typed(doc, wanted); err != nil {
			return err
		}
	}
	strict, err := kjson.UnmarshalStrict(doc, into)
	if err != nil {
		return at.tell(fieldOf(err), err)
	}
	var errs []error
	for _, err := range strict {
		errs = append(errs, at.tell(fieldOf(err), err))
	}
	if len(errs) == 0 {
		for _, err := range validate() {
			errs = append(errs, at.tell(err.Field, err))
		}
	}
	return errors.Join(errs...)
}

// part is the value of a field of doc.
func part(doc []byte, name string) ([]byte, error) {
	for _, s := range step.FindAllString(name, -1) {
		var list []json.RawMessage
		var fields map[string]json.RawMessage
		var err error
		i, isIndex := index(s)
		if isIndex {
			err = json.Unmarshal(doc, &list)
		} else {
			err = json.Unmarshal(doc, &fields)
		}
		found := fields[s]
		if isIndex && i < len(list) {
			found = list[i]
		}
		if err != nil || found == nil {
			return nil, fmt.Errorf("there is no %s", name)
		}
		doc = found
	}
	return doc, nil
}

// index reads a step such as [3].
func index(s string) (int, bool) {
	if !strings.HasPrefix(s, "[") {
		return 0, false
	}
	i, err := strconv.Atoi(strings.Trim(s, "[]"))
	return i, err == nil && i >= 0
}

// typed says what is wrong with a document's apiVersion and kind.
func (p places) typed(doc []byte, wanted []schema.GroupVersionKind) error {
	var found struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(doc, &found); err != nil {
		return p.tell(fieldOf(err), err)
	}
	if !slices.Contains(wanted, schema.FromAPIVersionAndKind(found.APIVersion, found.Kind)) {
		return p.tell("apiVersion", fmt.Errorf("apiVersion %q, kind %q: must be %s", found.APIVersion, found.Kind, names(wanted)))
	}
	return nil
}

func names(wanted []schema.GroupVersionKind) string {
	var out []string
	for _, gvk := range wanted {
		out = append(out, gvk.GroupVersion().String()+" "+gvk.Kind)
	}
	return strings.Join(out, " or ")
}

// fieldOf is the path of the field that a decoding error speaks of; "" when it names none.
func fieldOf(err error) string {
	text := err.Error()
	if _, quoted, ok := strings.Cut(text, `field "`); ok { // unknown field "rules[0].levle"
		name, _, _ := strings.Cut(quoted, `"`)
		return name
	}
	if _, rest, ok := strings.Cut(text, "into Go struct field "); ok { // Policy.rules.level of type ...
		name, _, _ := strings.Cut(rest, " ")
		_, name, _ = strings.Cut(name, ".")
		return name
	}
	return ""
}

// places knows on which line of a file a field stands.
type places struct {
	path   string
	root   *yaml.Node
	within string // the field of the file in which all others stand; "": they stand in the file itself
}

var step = regexp.MustCompile(`[^.\[\]]+|\[[^\]]*\]`)

// tell adds file and line to what is wrong with a field.
func (p places) tell(name string, err error) error {
	return fmt.Errorf("%s:%d: %w", p.path, p.line(name), err)
}

// line is where a field stands, or the last of its parents that does.
func (p places) line(name string) int {
	node := p.root
	if node.Kind == yaml.DocumentNode && len(node.Content) > 0 {
		node = node.Content[0]
	}
	line := node.Line
	for _, s := range step.FindAllString(p.within+"."+name, -1) {
		if node = child(node, strings.Trim(s, "[]"), &line); node == nil {
			break
		}
	}
	return line
}

// child finds the part of node that a step of a path names and notes its line; nil: there is none.
func child(node *yaml.Node, name string, line *int) *yaml.Node {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				*line = node.Content[i].Line
				return node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		i, err := strconv.Atoi(name)
		switch {
		case err == nil && i >= 0 && i < len(node.Content):
			*line = node.Content[i].Line
			return node.Content[i]
		case err != nil && len(node.Content) > 0: // a decoder's path leaves indices out: the first that has the field
			for _, one := range node.Content {
				if found := child(one, name, line); found != nil {
					return found
				}
			}
		}
	}
	return nil
}
