package api

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// selector is what a list or a watch wants of a collection.
type selector struct {
	kind   *kinds.Kind
	prefix string
	labels labels.Selector
	fields fields.Selector
	key    string // the one object that can match; "": any
	// facts are those that fields asks for, when it asks for nothing else; nil: an object has to be decoded.
	facts  []factual
	header string // of the kind's stored objects
	// index and value name an index that has all that can match; index "": none does.
	index, value string
}

func newSelector(req Request, opts metav1.ListOptions) (selector, error) {
	sel := selector{kind: req.Kind, prefix: req.prefix(), header: envelopeHeader(req.Kind.Stored().GVK)}
	var err error
	if sel.labels, err = labels.Parse(opts.LabelSelector); err != nil {
		return sel, apierrors.NewBadRequest(err.Error())
	}
	if sel.fields, err = fields.ParseSelector(opts.FieldSelector); err != nil {
		return sel, apierrors.NewBadRequest(err.Error())
	}
	if err := sel.translate(); err != nil {
		return sel, err
	}
	known := selectable(req.Kind, req.Kind.Stored().New())
	for _, r := range sel.fields.Requirements() {
		if _, ok := known[r.Field]; !ok {
			return sel, apierrors.NewBadRequest(unknownField(req.Kind, r.Field))
		}
	}
	sel.facts = sel.factual()
	name := req.Name
	if exact, ok := sel.fields.RequiresExactMatch("metadata.name"); ok {
		name = exact
	}
	switch namespace, one := sel.namespace(req); {
	case name != "" && one:
		sel.key = keyOf(req.Kind, namespace, name)
	default:
		sel.chooseIndex()
	}
	return sel, nil
}

// translate puts the hub's names of fields in place of a view's.
func (sel *selector) translate() (err error) {
	if sel.kind.View == nil || sel.kind.View.Fields == nil {
		return nil
	}
	sel.fields, err = sel.fields.Transform(func(name, value string) (string, string, error) {
		own, ok := sel.kind.View.Fields[name]
		if !ok {
			return "", "", apierrors.NewBadRequest(unknownField(sel.kind, name))
		}
		return own, value, nil
	})
	return err
}

// unknownField is upstream's answer, which differs for kinds that have fields of their own.
func unknownField(k *kinds.Kind, name string) string {
	switch {
	case k.UnknownField != "":
		return fmt.Sprintf(k.UnknownField, name)
	case k.Fields != nil:
		return "field label not supported: " + name
	}
	return fmt.Sprintf("%q is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", name)
}

// namespace is the one that all matches are in; true for kinds without one, too.
func (sel *selector) namespace(req Request) (string, bool) {
	if !req.Kind.Namespaced || req.Namespace != "" {
		return req.Namespace, true
	}
	return sel.fields.RequiresExactMatch("metadata.namespace")
}

func (sel *selector) chooseIndex() {
	for _, i := range sel.kind.Facts {
		if !i.Index {
			continue
		}
		if value, ok := sel.fields.RequiresExactMatch(i.Name); ok {
			sel.index, sel.value = i.Name, value
			return
		}
	}
}

// selectable are an object's fields that selectors may name.
func selectable(k *kinds.Kind, obj kinds.Object) fields.Set {
	set := fields.Set{"metadata.name": obj.GetName()}
	if k.Namespaced || k.Fields == nil { // what has no fields of its own is read by the conversion of all kinds, which knows both
		set["metadata.namespace"] = obj.GetNamespace()
	}
	if k.Fields != nil {
		for name, value := range k.Fields(obj) {
			set[name] = value
		}
	}
	return set
}

// everything says that all of the collection matches.
func (sel *selector) everything() bool {
	return sel.labels.Empty() && sel.fields.Empty() && sel.key == ""
}

func (sel *selector) all(snapshot *store.Snapshot, from string) iter.Seq[*store.Item] {
	return snapshot.Ascend(sel.prefix, from)
}

// span is the range of keys that can match, from a key on.
func (sel *selector) span(from string) (begin, end string) {
	if sel.key != "" {
		return max(sel.key, from), sel.key + "\x00"
	}
	return max(sel.prefix, from), sel.prefix[:len(sel.prefix)-1] + "0" // right above the slash that ends a prefix
}

// candidates yields, in key order from the key from, all that can match.
func (sel *selector) candidates(snapshot *store.Snapshot, from string) iter.Seq[*store.Item] {
	switch {
	case sel.key != "":
		return func(yield func(*store.Item) bool) {
			if item := snapshot.Get(sel.key); item != nil && item.Key >= from && strings.HasPrefix(item.Key, sel.prefix) {
				yield(item)
			}
		}
	case sel.index != "":
		return func(yield func(*store.Item) bool) {
			for item := range snapshot.Lookup(sel.kind.Prefix(), sel.index, sel.value) {
				if item.Key >= from && strings.HasPrefix(item.Key, sel.prefix) && !yield(item) {
					return
				}
			}
		}
	}
	return sel.all(snapshot, from)
}

// matches asks the whole selector. An item that cannot be read is an error.
func (sel *selector) matches(item *store.Item) (bool, error) {
	if sel.labels.Empty() && sel.fields.Empty() {
		return true, nil
	}
	if sel.labels.Empty() && sel.facts != nil {
		return sel.matchesFacts(item)
	}
	obj, err := ObjectOf(sel.kind, item)
	if err != nil {
		return false, err
	}
	if !sel.labels.Empty() && !sel.labels.Matches(labels.Set(obj.GetLabels())) {
		return false, nil
	}
	return sel.fields.Empty() || sel.fields.Matches(selectable(sel.kind, obj)), nil
}

// factual is one requirement of a field selector on something that can be read without decoding.
type factual struct {
	fact  *kinds.Fact // nil: the name, or the namespace
	field string
	value string
	equal bool // or else not
}

// factual returns the requirements when all are on facts, or on name and namespace.
func (sel *selector) factual() (list []factual) {
	for _, r := range sel.fields.Requirements() {
		f := factual{field: r.Field, value: r.Value, equal: r.Operator != selection.NotEquals}
		if r.Field != "metadata.name" && r.Field != "metadata.namespace" {
			i := slices.IndexFunc(sel.kind.Facts, func(f kinds.Fact) bool { return f.Name == r.Field })
			if i < 0 {
				return nil
			}
			f.fact = &sel.kind.Facts[i]
		}
		list = append(list, f)
	}
	return list
}

func (sel *selector) matchesFacts(item *store.Item) (bool, error) {
	for i := range sel.facts {
		f := &sel.facts[i]
		value, ok := nameIn(item.Key, f.field), true
		if f.fact != nil {
			value, ok = factOf(sel.header, f.fact, item)
		}
		if !ok {
			return false, fmt.Errorf("read %s of %s: %w", f.field, item.Key, errNoObject)
		}
		if (value == f.value) != f.equal {
			return false, nil
		}
	}
	return true, nil
}

// nameIn returns the name or the namespace that a key ends with.
func nameIn(key, field string) string {
	rest, name := key[:strings.LastIndexByte(key, '/')], key[strings.LastIndexByte(key, '/')+1:]
	if field == "metadata.name" {
		return name
	}
	return rest[strings.LastIndexByte(rest, '/')+1:]
}
