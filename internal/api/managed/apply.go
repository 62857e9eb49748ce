package managed

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/typed"

	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

// Applied is a kind of which objects are applied.
type Applied struct {
	GVK schema.GroupVersionKind
	// Document is the path of the OpenAPI document that has the kind's schema, such as apis/apps/v1.
	Document string
	New      func() Object
	Default  func(Object) // nil: nothing has a default
	// Others are the kind's other versions, in which fields may be owned.
	Others []Version
}

// Version is a kind in another version than that which is applied.
type Version struct {
	GVK      schema.GroupVersionKind
	Document string // as Applied.Document
	New      func() Object
	// Show returns an object of the applied version in this one, and Own one of this in the applied; obj stays as it is.
	Show, Own func(obj Object) (Object, error)
}

// Apply returns live as it is once it has what patch declares and no longer what patch's manager declared before and nobody else has, with its owners. live may
// be an empty object. force takes what others own; without it that is a conflict. Neither live nor patch is changed. Errors are API status errors, or upstream's
// own without a class.
func (t *Tracker) Apply(w Write, kind Applied, live Object, patch map[string]interface{}, force bool) (Object, error) {
	types, err := t.typesFor(kind)
	if err != nil {
		return nil, err
	}
	before := live.DeepCopyObject().(Object)
	before.GetObjectKind().SetGroupVersionKind(kind.GVK)
	one := oneKind{Applied: kind}
	manager, err := managedfields.NewDefaultFieldManager(types, one, one, one, kind.GVK, kind.GVK.GroupVersion(), w.Subresource, w.filters(kind.Others))
	if err != nil {
		return nil, err
	}
	next, err := manager.Apply(before, &unstructured.Unstructured{Object: runtime.DeepCopyJSON(patch)}, w.Manager, force)
	if err != nil {
		return nil, err
	}
	obj, ok := next.(Object)
	if !ok {
		return nil, fmt.Errorf("applying makes %T, which is no object", next)
	}
	obj.SetManagedFields(retimed(obj.GetManagedFields(), live.GetManagedFields(), w.Now))
	obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return obj, nil
}

// filters are what the write leaves alone as structured-merge-diff wants it.
func (w Write) filters(others []Version) map[fieldpath.APIVersion]fieldpath.Filter {
	var filter fieldpath.Filter
	switch {
	case len(w.Only) > 0:
		var matchers []*fieldpath.SetMatcher
		for _, path := range w.Only {
			matchers = append(matchers, fieldpath.MakePrefixMatcherOrDie(elements(path)...))
		}
		filter = fieldpath.NewIncludeMatcherFilter(matchers...)
	case len(w.Resets) > 0:
		paths := fieldpath.NewSet()
		for _, path := range w.Resets {
			paths.Insert(fieldpath.MakePathOrDie(elements(path)...))
		}
		filter = fieldpath.NewExcludeSetFilter(paths)
	default:
		return nil
	}
	filters := map[fieldpath.APIVersion]fieldpath.Filter{fieldpath.APIVersion(w.APIVersion): filter}
	for _, v := range others {
		filters[fieldpath.APIVersion(v.GVK.GroupVersion().String())] = filter
	}
	return filters
}

// elements are those of a path, as structured-merge-diff makes paths of.
func elements(path string) (list []any) {
	for part := range strings.SplitSeq(path, ".") {
		if part == "*" {
			list = append(list, fieldpath.MatchAnyPathElement())
		} else {
			list = append(list, part)
		}
	}
	return list
}

// retimed gives now to those who wrote, for which upstream's field manager asks the system's clock.
func retimed(entries, before []metav1.ManagedFieldsEntry, now time.Time) []metav1.ManagedFieldsEntry {
	for i := range entries {
		e := &entries[i]
		kept := slices.ContainsFunc(before, func(b metav1.ManagedFieldsEntry) bool {
			return b.Manager == e.Manager && b.Operation == e.Operation && b.Subresource == e.Subresource && b.Time.Equal(e.Time)
		})
		if !kept && e.Time != nil {
			e.Time = seconds(now)
		}
	}
	slices.SortFunc(entries, inOrder)
	return entries
}

// manyTypes are the types of a kind's versions.
type manyTypes map[schema.GroupVersion]managedfields.TypeConverter

// ObjectToTyped implements managedfields.TypeConverter.
func (m manyTypes) ObjectToTyped(obj runtime.Object, opts ...typed.ValidationOptions) (*typed.TypedValue, error) {
	gvk := obj.GetObjectKind().GroupVersionKind()
	types, ok := m[gvk.GroupVersion()]
	if !ok {
		return nil, fmt.Errorf("server-side apply: there are no schemas of %v", gvk)
	}
	return types.ObjectToTyped(obj, opts...)
}

// TypedToObject implements managedfields.TypeConverter. The value says what it is.
func (m manyTypes) TypedToObject(v *typed.TypedValue) (runtime.Object, error) {
	for _, types := range m {
		return types.TypedToObject(v)
	}
	return nil, errors.New("server-side apply: there are no schemas")
}

// typesFor are the types of a kind in all its versions.
func (t *Tracker) typesFor(kind Applied) (managedfields.TypeConverter, error) {
	own, err := t.typesOf(kind.Document)
	if err != nil || len(kind.Others) == 0 {
		return own, err
	}
	many := manyTypes{kind.GVK.GroupVersion(): own}
	for _, v := range kind.Others {
		if many[v.GVK.GroupVersion()], err = t.typesOf(v.Document); err != nil {
			return nil, err
		}
	}
	return many, nil
}

// Types are those of the OpenAPI document of a path, such as apis/apps/v1.
func (t *Tracker) Types(document string) (managedfields.TypeConverter, error) {
	return t.typesOf(document)
}

// typesOf makes the types of a document, and keeps them.
func (t *Tracker) typesOf(document string) (managedfields.TypeConverter, error) {
	made, _ := t.documents.LoadOrStore(document, sync.OnceValues(func() (managedfields.TypeConverter, error) {
		schemas, err := openapi.SchemasIn[*spec.Schema](document)
		if err != nil {
			return nil, fmt.Errorf("server-side apply: %w", err)
		}
		return managedfields.NewTypeConverter(schemas, false)
	}))
	return made.(func() (managedfields.TypeConverter, error))()
}

// unasked is what a runtime.ObjectConvertor has beside ConvertToVersion, and the field manager does not ask for.
type unasked struct{}

// Convert implements runtime.ObjectConvertor.
func (unasked) Convert(in, out, _ interface{}) error {
	return fmt.Errorf("%T is not converted to %T", in, out)
}

// ConvertFieldLabel implements runtime.ObjectConvertor.
func (unasked) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

// oneKind is what the field manager wants of a scheme, for one kind in the version that is applied and those that it is shown in.
type oneKind struct {
	Applied
	unasked
}

var (
	_ runtime.ObjectConvertor = oneKind{}
	_ runtime.ObjectDefaulter = oneKind{}
	_ runtime.ObjectCreater   = oneKind{}
)

// ConvertToVersion implements runtime.ObjectConvertor: it makes objects of the type of the target's version.
func (k oneKind) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	known := []schema.GroupVersionKind{k.GVK}
	for _, v := range k.Others {
		known = append(known, v.GVK)
	}
	gvk, ok := target.KindForGroupVersionKinds(known) // any version of a known group will do for it
	if !ok || !slices.Contains(known, gvk) {
		return nil, runtime.NewNotRegisteredErrForTarget("floe", nil, target)
	}
	from := k.version(in.GetObjectKind().GroupVersionKind())
	obj, err := from.read(in)
	if err != nil || from.GVK == gvk {
		return obj, err
	}
	if from.Own != nil {
		if obj, err = from.Own(obj); err != nil {
			return nil, err
		}
	}
	if to := k.version(gvk); to.Show != nil {
		if obj, err = to.Show(obj); err != nil {
			return nil, err
		}
	}
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	return obj, nil
}

// version is one that the kind has; what does not say in which it is, is in the applied one, which has neither Show nor Own.
func (k oneKind) version(gvk schema.GroupVersionKind) Version {
	if i := slices.IndexFunc(k.Others, func(v Version) bool { return v.GVK == gvk }); i >= 0 {
		return k.Others[i]
	}
	return Version{GVK: k.GVK, Document: k.Document, New: k.Applied.New}
}

// read is an object of the version's type.
func (v Version) read(in runtime.Object) (Object, error) {
	fields, ok := in.(*unstructured.Unstructured)
	if !ok {
		obj, ok := in.(Object)
		if !ok {
			return nil, fmt.Errorf("%T is no object", in)
		}
		return obj, nil
	}
	out := v.New()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields.Object, out); err != nil {
		return nil, fmt.Errorf("unable to convert unstructured object to %v: %w", v.GVK, err)
	}
	return out, nil
}

// Default implements runtime.ObjectDefaulter.
func (k oneKind) Default(in runtime.Object) {
	if k.Applied.Default != nil {
		k.Applied.Default(in.(Object))
	}
}

// New implements runtime.ObjectCreater.
func (k oneKind) New(schema.GroupVersionKind) (runtime.Object, error) {
	obj := k.Applied.New()
	obj.GetObjectKind().SetGroupVersionKind(k.GVK)
	return obj, nil
}
