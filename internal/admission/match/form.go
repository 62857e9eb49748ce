package match

import (
	"encoding/json"
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Show returns an object of the wish in the form. nil stays nil.
func (f Form) Show(a *admission.Attributes, obj runtime.Object) (runtime.Object, error) {
	if obj == nil {
		return nil, nil
	}
	own, whole := obj.(kinds.Object)
	if !whole || a.Type != a.Kind.GVK {
		if f.Kind != a.Type {
			return nil, fmt.Errorf("unable to convert %v to %v", a.Type, f.Kind)
		}
		return typed(obj, f.Kind), nil
	}
	if dynamic := a.Kind.Dynamic; dynamic != nil {
		if f.Kind == a.Type {
			return obj, nil
		}
		return dynamic.Convert(own, f.Kind.Version)
	}
	shown, err := f.kind.Shown(own)
	if err != nil {
		return nil, err
	}
	return typed(shown, f.Kind), nil
}

// Stored returns an object of the table in the form that the kind's clients see, with its type. It is only read.
func Stored(k *kinds.Kind, obj kinds.Object) (runtime.Object, error) {
	if k.Dynamic != nil {
		if k.Dynamic.Show == nil {
			return obj, nil
		}
		return k.Dynamic.Show(obj)
	}
	shown, err := k.Shown(obj)
	if err != nil {
		return nil, err
	}
	return typed(shown, k.GVK), nil
}

// typed returns a copy of obj, which shares what it holds, that says its type.
func typed(obj runtime.Object, gvk schema.GroupVersionKind) runtime.Object {
	if _, ok := obj.(*unstructured.Unstructured); ok {
		return obj // says it already
	}
	from := reflect.ValueOf(obj).Elem()
	to := reflect.New(from.Type())
	to.Elem().Set(from)
	out := to.Interface().(runtime.Object)
	out.GetObjectKind().SetGroupVersionKind(gvk)
	return out
}

// Patched returns the object, of the same type and private to the caller, that patch makes of the JSON of one that is shown in the form.
func (f Form) Patched(a *admission.Attributes, shown runtime.Object, patch func(doc []byte) ([]byte, error)) (runtime.Object, error) {
	doc, err := json.Marshal(shown)
	if err != nil {
		return nil, err
	}
	if doc, err = patch(doc); err != nil {
		return nil, err
	}
	next := f.make(a)
	if u, ok := next.(*unstructured.Unstructured); ok {
		err = u.UnmarshalJSON(doc)
	} else {
		err = kjson.UnmarshalCaseSensitivePreserveInts(doc, next)
	}
	if err != nil {
		return nil, err
	}
	if got, was := next.GetObjectKind().GroupVersionKind(), shown.GetObjectKind().GroupVersionKind(); got != was {
		return nil, fmt.Errorf("unable to convert %v to %v", got, was)
	}
	return next, nil
}

// Read returns an object in the form that says what fields say, which it takes.
func (f Form) Read(a *admission.Attributes, fields map[string]any) (runtime.Object, error) {
	next := f.make(a)
	if u, ok := next.(*unstructured.Unstructured); ok {
		u.Object = fields
		return u, nil
	}
	return next, runtime.DefaultUnstructuredConverter.FromUnstructured(fields, next)
}

// Served is the kind whose objects the form shows.
func (f Form) Served() *kinds.Kind { return f.kind }

// make returns an empty object of the form, to be read into.
func (f Form) make(a *admission.Attributes) runtime.Object {
	if f.kind.Dynamic != nil && f.Kind == f.kind.GVK {
		return &unstructured.Unstructured{}
	}
	if f.Kind == f.kind.GVK {
		return f.kind.New()
	}
	return reflect.New(reflect.TypeOf(a.Object).Elem()).Interface().(runtime.Object)
}

// Put makes the wish's object what shown, in the form and private to the caller, says, with defaults. What the object says of its own type stays.
func (f Form) Put(a *admission.Attributes, shown runtime.Object) error {
	own, whole := shown.(kinds.Object)
	if !whole || a.Type != a.Kind.GVK {
		return set(a.Object, shown)
	}
	if a.Kind.Dynamic != nil {
		return f.putDynamic(a, own)
	}
	if f.kind.View != nil {
		own = f.kind.View.Own(own)
	}
	if a.Kind.Default != nil {
		a.Kind.Default(own)
	}
	return set(a.Object, own)
}

func (f Form) putDynamic(a *admission.Attributes, shown kinds.Object) (err error) {
	if f.kind.Default != nil {
		f.kind.Default(shown)
	}
	if f.Kind != a.Type {
		if shown, err = f.kind.Dynamic.Convert(shown, a.Type.Version); err != nil {
			return err
		}
	}
	return set(a.Object, shown)
}

// set copies one object over another of the same Go type.
func set(into, from runtime.Object) error {
	to, value := reflect.ValueOf(into).Elem(), reflect.ValueOf(from).Elem()
	if to.Type() != value.Type() {
		return fmt.Errorf("a %v cannot become a %v", to.Type(), value.Type())
	}
	if u, ok := into.(*unstructured.Unstructured); ok {
		u.Object = from.(*unstructured.Unstructured).Object
		return nil
	}
	kind := into.GetObjectKind().GroupVersionKind()
	to.Set(value)
	into.GetObjectKind().SetGroupVersionKind(kind)
	return nil
}
