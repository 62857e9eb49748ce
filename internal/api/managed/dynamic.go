package managed

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
)

// Dynamic is a kind whose objects have no Go type. Both halves of the package are structured-merge-diff's for it: there is nothing to compile a walk from.
type Dynamic struct {
	GVK      schema.GroupVersionKind
	Versions []schema.GroupVersion // all that the kind has
	Types    func() (managedfields.TypeConverter, error)
	New      func() Object
	Default  func(Object)
	// Convert returns obj, which stays as it is, in another of the versions.
	Convert func(obj Object, version string) (Object, error)
}

// UpdateDynamic is Update for an object without a Go type; live nil: obj is new. Where the kind has no types that can be made, nobody comes to own anything.
func (t *Tracker) UpdateDynamic(w Write, kind Dynamic, live, obj Object) {
	manager, err := w.managerOf(kind)
	if err != nil {
		return
	}
	var before []metav1.ManagedFieldsEntry
	var was runtime.Object = kind.New()
	if live != nil {
		before = live.GetManagedFields()
		was = live.DeepCopyObject()
	}
	by := w.Manager
	if by == "" {
		by = "unknown"
	}
	next, err := manager.Update(was, obj.DeepCopyObject(), by)
	made, ok := next.(Object)
	if err != nil || !ok { // what its schema cannot hold is refused by validation, and owned by nobody until then
		obj.SetManagedFields(nil)
		return
	}
	obj.SetManagedFields(retimed(made.GetManagedFields(), before, w.Now))
}

// ApplyDynamic is Apply for an object without a Go type.
func (t *Tracker) ApplyDynamic(w Write, kind Dynamic, live Object, patch map[string]interface{}, force bool) (Object, error) {
	manager, err := w.managerOf(kind)
	if err != nil {
		return nil, err
	}
	next, err := manager.Apply(live.DeepCopyObject(), &unstructured.Unstructured{Object: runtime.DeepCopyJSON(patch)}, w.Manager, force)
	if err != nil {
		return nil, err
	}
	obj, ok := next.(Object)
	if !ok {
		return nil, fmt.Errorf("applying makes %T, which is no object", next)
	}
	obj.SetManagedFields(retimed(obj.GetManagedFields(), live.GetManagedFields(), w.Now))
	return obj, nil
}

func (w Write) managerOf(kind Dynamic) (*managedfields.FieldManager, error) {
	types, err := kind.Types()
	if err != nil {
		return nil, err
	}
	var others []Version
	for _, gv := range kind.Versions {
		others = append(others, Version{GVK: gv.WithKind(kind.GVK.Kind)})
	}
	one := oneDynamic{kind: kind}
	return managedfields.NewDefaultCRDFieldManager(types, one, one, one, kind.GVK, kind.GVK.GroupVersion(), w.Subresource, w.filters(others))
}

// oneDynamic is what the field manager wants of a scheme, for one dynamic kind.
type oneDynamic struct {
	kind Dynamic
	unasked
}

var (
	_ runtime.ObjectConvertor = oneDynamic{}
	_ runtime.ObjectDefaulter = oneDynamic{}
	_ runtime.ObjectCreater   = oneDynamic{}
)

// ConvertToVersion implements runtime.ObjectConvertor. A version that the kind has no more is no missing one, of which a manager would be forgotten: whoever applies is told,
// since it owns fields that nobody can read.
func (k oneDynamic) ConvertToVersion(in runtime.Object, target runtime.GroupVersioner) (runtime.Object, error) {
	have := in.GetObjectKind().GroupVersionKind()
	want, ok := target.KindForGroupVersionKinds([]schema.GroupVersionKind{have})
	obj, isObject := in.(Object)
	switch {
	case !ok || !isObject:
		return nil, fmt.Errorf("%v is unstructured and is not suitable for converting to %q", have, target)
	case !slices.Contains(k.kind.Versions, want.GroupVersion()):
		return nil, fmt.Errorf("request to convert CR to an invalid group/version: %s", want.GroupVersion())
	case have.GroupVersion() == want.GroupVersion():
		return in.DeepCopyObject(), nil
	}
	return k.kind.Convert(obj, want.Version)
}

// Default implements runtime.ObjectDefaulter.
func (k oneDynamic) Default(in runtime.Object) {
	if obj, ok := in.(Object); ok && k.kind.Default != nil {
		k.kind.Default(obj)
	}
}

// New implements runtime.ObjectCreater.
func (k oneDynamic) New(schema.GroupVersionKind) (runtime.Object, error) { return k.kind.New(), nil }
