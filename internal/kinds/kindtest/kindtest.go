// Package kindtest helps the tests of kinds: it asks a kind what api asks it, in api's order, and holds the laws that all kinds obey.
//
// It is for tests only.
package kindtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/randfill"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Env is a request at noon of some day, by some user.
func Env() kinds.Env {
	return kinds.Env{Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), User: "someone"}
}

// Create returns what a kind finds wrong with a new object, and with its metadata when its name follows from the rest, as text.
func Create(k *kinds.Kind, obj kinds.Object) []string {
	obj.SetResourceVersion("")
	var errs field.ErrorList
	if k.NameOf != nil {
		errs = validation.ValidateObjectMetaAccessor(obj, k.Namespaced, k.NameOf(obj), field.NewPath("metadata"))
	}
	if k.Validate != nil {
		errs = append(errs, k.Validate(obj)...)
	}
	if k.ValidateCreate != nil {
		errs = append(errs, k.ValidateCreate(obj)...)
	}
	return texts(errs)
}

// Update returns what a kind finds wrong with obj as old's next state, as text. Both are given a resourceVersion, which stored objects have.
func Update(k *kinds.Kind, obj, old kinds.Object) []string {
	obj.SetResourceVersion("7")
	old.SetResourceVersion("7")
	var errs field.ErrorList
	switch {
	case k.ValidateAgain != nil:
		errs = k.ValidateAgain(obj, old)
	case k.Validate != nil:
		errs = k.Validate(obj)
	}
	if k.ValidateUpdate != nil {
		errs = append(errs, k.ValidateUpdate(obj, old)...)
	}
	return texts(errs)
}

// Part updates a subresource and returns what is wrong, as text.
func Part(t *testing.T, k *kinds.Kind, name string, obj, old kinds.Object) []string {
	t.Helper()
	for _, sub := range k.Subresources {
		if sub.Name == name {
			return texts(sub.Update(Env(), obj, old))
		}
	}
	t.Fatalf("%s has no %s", k.Resource, name)
	return nil
}

func texts(errs field.ErrorList) (list []string) {
	for _, e := range errs {
		list = append(list, e.Error())
	}
	return list
}

// Same compares what is wrong with what should be.
func Same(t *testing.T, name string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %q\nwant %q", name, got, want)
	}
}

// Header is a kind's table as one text: each column's name, its type when that is not string, its format, and a star when it is wide.
func Header(k *kinds.Kind) (list []string) {
	for _, c := range k.Table() {
		if c.Name == "" {
			continue
		}
		text := c.Name
		if c.Type != "string" {
			text += ":" + c.Type
		}
		if c.Format != "" {
			text += "/" + c.Format
		}
		if c.Priority > 0 {
			text += "*"
		}
		list = append(list, text)
	}
	return list
}

// Row is an object's row in its kind's table.
func Row(k *kinds.Kind, obj kinds.Object) (list []any) {
	for _, c := range k.Table() {
		list = append(list, c.Cell(Env(), obj))
	}
	return list
}

// Table compares a kind's table, as Header and Row show it, with what it should be for obj.
func Table(t *testing.T, k *kinds.Kind, header []string, obj kinds.Object, row ...any) {
	t.Helper()
	if got := Header(k); !slices.Equal(got, header) {
		t.Errorf("%s: got %q, want %q", k.Resource, got, header)
	}
	if got := Row(k, obj); !reflect.DeepEqual(got, row) {
		t.Errorf("%s:\n got %v\nwant %v", k.Resource, got, row)
	}
}

// Laws holds, with objects that follow from seed, what is true of every kind: defaulting twice is defaulting once, and so is writing it as it is stored; nothing changes what it may only read, nothing
// panics, and an object survives protobuf and JSON.
func Laws(t *testing.T, seed int64, list ...*kinds.Kind) {
	t.Helper()
	LawsWith(t, seed, nil, list...)
}

// LawsWith is Laws for kinds with parts that cannot be just anything: special has randfill's functions for their types.
func LawsWith(t *testing.T, seed int64, special []any, list ...*kinds.Kind) {
	t.Helper()
	fill := Filler(seed).Funcs(special...)
	for _, k := range list {
		if k.View != nil {
			views(t, fmt.Sprintf("%s, seed %d", k.GVK, seed), k, fill)
			continue
		}
		for range 50 {
			obj, old := k.New(), k.New()
			fill.Fill(obj)
			fill.Fill(old)
			at := fmt.Sprintf("%s, seed %d", k.GVK.Kind, seed)
			survives(t, at, k, obj)
			defaults(t, at, k, obj)
			defaults(t, at, k, old)
			reads(t, at, k, obj, old)
			prepares(t, at, k, obj, old)
			canonical(t, at, k, obj)
		}
	}
}

// Filler fills objects with what follows from seed.
func Filler(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(0.3).NumElements(0, 2).MaxDepth(14).Funcs(
		func(v *metav1.Time, c randfill.Continue) { *v = metav1.Unix(int64(c.Uint32()), 0) },
		func(v *metav1.MicroTime, c randfill.Continue) {
			*v = metav1.NewMicroTime(time.Unix(int64(c.Uint32()), 0))
		},
		func(v *resource.Quantity, c randfill.Continue) {
			*v = *resource.NewQuantity(c.Int63n(1000), resource.DecimalSI)
		},
		func(v *intstr.IntOrString, c randfill.Continue) {
			if *v = intstr.FromInt32(c.Int31n(90000)); c.Bool() {
				*v = intstr.FromString(c.String(4))
			}
		},
		func(v *runtime.RawExtension, _ randfill.Continue) { v.Raw = []byte(`{"a":1}`) },
		func(v *metav1.FieldsV1, _ randfill.Continue) { v.SetRawBytes([]byte("{}")) },
		func(v *metav1.TypeMeta, _ randfill.Continue) { *v = metav1.TypeMeta{} },
	)
}

func defaults(t *testing.T, at string, k *kinds.Kind, obj kinds.Object) {
	t.Helper()
	if k.Default == nil {
		return
	}
	k.Default(obj)
	once := obj.DeepCopyObject()
	if k.Default(obj); !reflect.DeepEqual(once, obj) {
		t.Fatalf("%s: defaulting twice differs from once", at)
	}
}

// canonical holds that writing an object as it is stored, twice, is doing so once.
func canonical(t *testing.T, at string, k *kinds.Kind, obj kinds.Object) {
	t.Helper()
	if k.Canonical == nil {
		return
	}
	k.Canonical(obj)
	once := obj.DeepCopyObject()
	if k.Canonical(obj); !reflect.DeepEqual(once, obj) {
		t.Fatalf("%s: canonical twice differs from once", at)
	}
}

// reads calls all that may only read.
func reads(t *testing.T, at string, k *kinds.Kind, obj, old kinds.Object) {
	t.Helper()
	same, was := obj.DeepCopyObject(), old.DeepCopyObject()
	if k.Validate != nil {
		k.Validate(obj)
	}
	if k.ValidateAgain != nil {
		k.ValidateAgain(obj, old)
	}
	if k.ValidateUpdate != nil {
		k.ValidateUpdate(obj, old)
	}
	if k.Fields != nil {
		k.Fields(obj)
	}
	Row(k, obj)
	Create(k, obj.DeepCopyObject().(kinds.Object))
	if !reflect.DeepEqual(same, obj) || !reflect.DeepEqual(was, old) {
		t.Fatalf("%s: reading an object changed it", at)
	}
}

// prepares calls all that may change the new object, but not the old, and not through what both share.
func prepares(t *testing.T, at string, k *kinds.Kind, obj, old kinds.Object) {
	t.Helper()
	was := old.DeepCopyObject()
	steps := map[string]func(kinds.Object){}
	if k.PrepareCreate != nil {
		steps["create"] = func(o kinds.Object) { k.PrepareCreate(Env(), o) }
	}
	if k.PrepareUpdate != nil {
		steps["update"] = func(o kinds.Object) { k.PrepareUpdate(Env(), o, old) }
	}
	for _, sub := range k.Subresources {
		if sub.Update != nil {
			steps[sub.Name] = func(o kinds.Object) { sub.Update(Env(), o, old) }
		}
	}
	for name, step := range steps {
		step(obj.DeepCopyObject().(kinds.Object))
		if !reflect.DeepEqual(was, old) {
			t.Fatalf("%s: preparing %s changed the old object", at, name)
		}
	}
}

// message is what the published types are in protobuf.
type message interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

func survives(t *testing.T, at string, k *kinds.Kind, obj kinds.Object) {
	t.Helper()
	coded, err := obj.(message).Marshal()
	back := k.New()
	if err == nil {
		err = back.(message).Unmarshal(coded)
	}
	if err != nil || !equality.Semantic.DeepEqual(obj, back) {
		t.Fatalf("%s: did not survive protobuf: %v\n%+v\n%+v", at, err, obj, back)
	}
	text, err := json.Marshal(obj)
	back = k.New()
	if err == nil {
		err = json.Unmarshal(text, back)
	}
	if err != nil || !equality.Semantic.DeepEqual(obj, back) {
		t.Fatalf("%s: did not survive JSON: %v\n%s", at, err, text)
	}
}

// Objects are what a kind finds besides its own object, by resource and by namespace and name with a slash between.
type Objects map[schema.GroupVersionResource]map[string]kinds.Object

var _ kinds.Reader = Objects(nil)

// Get returns an object that is there.
func (o Objects) Get(res schema.GroupVersionResource, namespace, name string) kinds.Object {
	if obj, ok := o[res][namespace+"/"+name]; ok {
		return obj
	}
	return nil
}

// Label returns a label of an object that is there.
func (o Objects) Label(res schema.GroupVersionResource, namespace, name, key string) (string, bool) {
	return kinds.LabelOf(o.Get(res, namespace, name), key)
}

// Each calls f with every object of a resource, in the order of namespaces and names.
func (o Objects) Each(res schema.GroupVersionResource, namespace string, f func(kinds.Object) bool) {
	for _, key := range slices.Sorted(maps.Keys(o[res])) {
		if obj := o[res][key]; (namespace == "" || obj.GetNamespace() == namespace) && !f(obj) {
			return
		}
	}
}

// Admit lets k's admission plug-ins see obj, among the objects that there are. old is nil for a new object.
func Admit(k *kinds.Kind, obj, old kinds.Object, there Objects) error {
	for _, a := range k.Admission {
		if a.Part != "" {
			continue
		}
		for _, rule := range []func(kinds.Env, kinds.Object, kinds.Object, kinds.Reader) error{a.Admit, a.Validate} {
			if rule == nil {
				continue
			}
			if err := rule(Env(), obj, old, there); err != nil {
				return err
			}
		}
	}
	return nil
}
