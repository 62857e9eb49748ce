package managed_test

import (
	"flag"
	"fmt"
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/floe-k8s/floe/internal/api/managed"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

// oneVersion converts objects to the version that they have.
type oneVersion struct{}

func (oneVersion) Convert(in, out, context interface{}) error { return fmt.Errorf("not asked for") }
func (oneVersion) ConvertFieldLabel(gvk schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}
func (oneVersion) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

// oracle is upstream's field manager for one kind.
func oracle(t *testing.T, converter managedfields.TypeConverter, gvk schema.GroupVersionKind, subresource string, resets, only []string) *managedfields.FieldManager {
	t.Helper()
	var filter map[fieldpath.APIVersion]fieldpath.Filter
	version := fieldpath.APIVersion(gvk.GroupVersion().String())
	switch {
	case len(only) > 0:
		var matchers []*fieldpath.SetMatcher
		for _, path := range only {
			var parts []any
			for part := range strings.SplitSeq(path, ".") {
				if part == "*" {
					parts = append(parts, fieldpath.MatchAnyPathElement())
				} else {
					parts = append(parts, part)
				}
			}
			matchers = append(matchers, fieldpath.MakePrefixMatcherOrDie(parts...))
		}
		filter = map[fieldpath.APIVersion]fieldpath.Filter{version: fieldpath.NewIncludeMatcherFilter(matchers...)}
	case len(resets) > 0:
		paths := fieldpath.NewSet()
		for _, path := range resets {
			var parts []interface{}
			for part := range strings.SplitSeq(path, ".") {
				parts = append(parts, part)
			}
			paths.Insert(fieldpath.MakePathOrDie(parts...))
		}
		filter = map[fieldpath.APIVersion]fieldpath.Filter{version: fieldpath.NewExcludeSetFilter(paths)}
	}
	m, err := managedfields.NewDefaultFieldManager(converter, oneVersion{}, scheme.Scheme, scheme.Scheme, gvk, gvk.GroupVersion(), subresource, filter)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// published are the types that a kind's OpenAPI document describes.
func published(t *testing.T, k *kinds.Kind) managedfields.TypeConverter {
	t.Helper()
	path := "apis/" + k.GVK.GroupVersion().String()
	if k.GVK.Group == "" {
		path = "api/" + k.GVK.Version
	}
	schemas, err := openapi.SchemasIn[*spec.Schema](path)
	if err != nil {
		t.Fatal(err)
	}
	types, err := managedfields.NewTypeConverter(schemas, false)
	if err != nil {
		t.Fatal(err)
	}
	return types
}

// words are few, so that lists have the same keys often, some of them twice.
var words = []string{"", "a", "ab", "b", "kubernetes.io/arch", `q"uo\te`, "<&>", "é\u2028", "tab\there", "10", "9"}

func filler(seed int64) *randfill.Filler {
	word := func(r *rand.Rand) string { return words[r.Intn(len(words))] }
	at := func(c randfill.Continue) time.Time { return time.Unix(int64(c.Intn(3)), 0).Local() }
	return randfill.NewWithSeed(seed).NilChance(0.4).NumElements(0, 3).MaxDepth(20).Funcs(
		func(s *string, c randfill.Continue) { *s = word(c.Rand) },
		func(n *int32, c randfill.Continue) { *n = int32(c.Intn(12)) },
		func(n *int64, c randfill.Continue) { *n = int64(c.Intn(12)) },
		func(q *resource.Quantity, c randfill.Continue) {
			*q = *resource.NewMilliQuantity(int64(c.Intn(3)*500), resource.DecimalSI)
		},
		func(v *intstr.IntOrString, c randfill.Continue) {
			if *v = intstr.FromInt32(int32(c.Intn(2))); c.Bool() {
				*v = intstr.FromString(word(c.Rand))
			}
		},
		func(v *metav1.Time, c randfill.Continue) {
			if *v = (metav1.Time{}); c.Bool() {
				v.Time = at(c)
			}
		},
		func(v *metav1.MicroTime, c randfill.Continue) {
			if *v = (metav1.MicroTime{}); c.Bool() {
				v.Time = at(c)
			}
		},
		func(v *runtime.RawExtension, c randfill.Continue) {
			v.Raw = []byte([]string{"null", `{"a":{"b":1}}`, `{"a":{"b":2}}`, `[1]`, `"x"`}[c.Intn(5)])
		},
		func(v *apiextensionsv1.JSON, c randfill.Continue) {
			v.Raw = []byte([]string{"null", `{"a":{"b":1},"c":{}}`, `{"a":{"b":2},"c":1}`, `{"a":3}`, `{}`, `[1]`, `"x"`, `{"a":null}`, `{"a":[{}]}`}[c.Intn(9)])
		},
		func(v *apiextensionsv1.JSONSchemaPropsOrStringArray, c randfill.Continue) {
			v.Property = []string{word(c.Rand)}
		},
		func(v *metav1.TypeMeta, c randfill.Continue) {},
		func(v *[]metav1.ManagedFieldsEntry, c randfill.Continue) {},
	)
}

func filled(f *randfill.Filler, k *kinds.Kind) managed.Object {
	obj := k.New()
	f.Fill(obj)
	obj.GetObjectKind().SetGroupVersionKind(k.GVK)
	return obj
}

// mixed is between two objects: each field is the one's or the other's.
func mixed(r *rand.Rand, a, b managed.Object) managed.Object {
	out := a.DeepCopyObject().(managed.Object)
	mix(r, reflect.ValueOf(out).Elem(), reflect.ValueOf(b.DeepCopyObject()).Elem())
	return out
}

func mix(r *rand.Rand, a, b reflect.Value) {
	if !a.CanSet() {
		return
	}
	switch {
	case a.Kind() == reflect.Pointer && !a.IsNil() && !b.IsNil():
		mix(r, a.Elem(), b.Elem())
	case a.Kind() == reflect.Struct && a.NumField() > 0 && a.Type().Field(0).IsExported() && r.Intn(4) > 0:
		for i := range a.NumField() {
			mix(r, a.Field(i), b.Field(i))
		}
	case a.Kind() == reflect.Slice && a.Type().Elem().Kind() != reflect.Uint8 && a.Len() > 0 && b.Len() > 0 && r.Intn(3) > 0:
		mix(r, a.Index(0), b.Index(0))
		if r.Intn(3) == 0 {
			a.Set(reflect.Append(a, b.Index(b.Len()-1)))
		}
	case r.Intn(3) == 0:
		a.Set(b)
	}
}

// seeds is how many lives each kind has.
var seeds = flag.Int("seeds", 3, "how many objects of each kind are held against upstream's")

// TestUpdateIsUpstreams holds fuzzed objects of every kind against upstream's field manager, over the types that client-go brings and over those that we publish.
func TestUpdateIsUpstreams(t *testing.T) {
	clientGo, ours, tracker := applyconfigurations.NewTypeConverter(scheme.Scheme), map[schema.GroupVersion]managedfields.TypeConverter{}, managed.NewTracker()
	for _, k := range all.Kinds() {
		if k.Answered { // nobody owns the fields of what is not kept
			continue
		}
		if ours[k.GVK.GroupVersion()] == nil {
			ours[k.GVK.GroupVersion()] = published(t, k)
		}
		for seed := range int64(*seeds) {
			types := ours[k.GVK.GroupVersion()]
			if seed > 0 && scheme.Scheme.Recognizes(k.GVK) {
				types = clientGo
			}
			f := filler(seed)
			live(t, tracker, types, k, filled(f, k), filled(f, k), rand.New(rand.NewSource(seed)))
		}
	}
}

// FuzzSent: what clients say of managed fields is read as upstream reads it.
func FuzzSent(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"f:data":{".":{},"f:a":{}}}`, ` {"f:data":{"f:b":{},"f:a":{"x:":{}}}}`, `{"k:{\"b\":1,\"a\":\"<\"}":{},"v:1":{},"i:0":{}}`, `{"f:a":{".":1}}`, `{"f:a":null}`, `[]`, `null`, `{"f:a":{}`,
		`{"k:{":{}}`, `{"f:\u0041":{}}`, `{"f:data":{"f:a":{}},"f:data":{"f:b":{}}}`, `{"v:[1]":{}}`, `{"k:{}":{}}`,
	} {
		f.Add(text)
	}
	types, tracker := applyconfigurations.NewTypeConverter(scheme.Scheme), managed.NewTracker()
	gvk := schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	f.Fuzz(func(t *testing.T, text string) {
		fields := &metav1.FieldsV1{}
		fields.SetRawString(text)
		was := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{UID: "u"}, Data: map[string]string{"a": "1"}}
		was.SetGroupVersionKind(gvk)
		got := was.DeepCopy()
		got.Data["a"] = "2"
		got.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "sent", Operation: "Update", APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: fields}}
		want := oracle(t, types, gvk, "", nil, nil).UpdateNoErrors(was, got.DeepCopy(), "one").(managed.Object)
		tracker.Update(managed.Write{Manager: "one", APIVersion: "v1", Now: newest(want)}, was, got)
		if got, want := shown(got), shown(want); got != want {
			t.Errorf("%q:\n%s", text, cmp.Diff(want, got))
		}
	})
}

// live holds a life of one object, between two, against upstream's.
func live(t *testing.T, tracker *managed.Tracker, types managedfields.TypeConverter, k *kinds.Kind, a, b managed.Object, r *rand.Rand) {
	t.Helper()
	a.SetUID("")
	steps := []struct {
		manager, subresource string
		resets, only         []string
		obj                  managed.Object
	}{
		{"one", "", []string{"status"}, nil, a},
		{"two", "", []string{"status"}, nil, mixed(r, a, b)},
		{"kubelet", "status", []string{"spec", "metadata.labels"}, nil, mixed(r, a, b)},
		{"one", "resize", nil, []string{"spec.containers.*.resources", "spec.initContainers.*.resizePolicy", "metadata.labels"}, mixed(r, a, b)},
		{"two", "resize", nil, []string{"spec.ephemeralContainers", "metadata.*.*", "data.*"}, mixed(r, b, a)},
		{"one", "", nil, nil, mixed(r, b, a)},
		{"two", "", []string{"status"}, nil, b},
	}
	var old managed.Object
	for i, step := range steps {
		obj, want := step.obj.DeepCopyObject().(managed.Object), step.obj.DeepCopyObject().(managed.Object)
		was := old
		if was == nil {
			was = k.New()
			was.GetObjectKind().SetGroupVersionKind(k.GVK)
		}
		want = oracle(t, types, k.GVK, step.subresource, step.resets, step.only).UpdateNoErrors(was, want, step.manager).(managed.Object)
		w := managed.Write{Manager: step.manager, APIVersion: k.GVK.GroupVersion().String(), Subresource: step.subresource, Resets: step.resets, Only: step.only, Now: newest(want)}
		tracker.Update(w, old, obj)
		if got, want := shown(obj), shown(want); got != want {
			t.Fatalf("%s, step %d:\n%s", k.GVK, i, cmp.Diff(strings.SplitAfter(want, "{}"), strings.SplitAfter(got, "{}")))
		}
		old = want
		old.SetUID("u")
		steps[min(i+1, len(steps)-1)].obj.SetUID("u")
	}
}

// newest is when upstream's field manager wrote, which asks the clock itself.
func newest(obj managed.Object) (at time.Time) {
	for _, e := range obj.GetManagedFields() {
		if e.Time != nil && e.Time.After(at) {
			at = e.Time.Time
		}
	}
	return at
}

func shown(obj managed.Object) string {
	var out strings.Builder
	for _, e := range obj.GetManagedFields() {
		fmt.Fprintln(&out, e.Manager, e.Operation, e.APIVersion, e.Subresource, e.FieldsType, e.Time != nil, e.FieldsV1.GetRawString())
	}
	return out.String()
}
