package managed_test

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/floe-k8s/floe/internal/api/managed"
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
func oracle(t *testing.T, converter managedfields.TypeConverter, gvk schema.GroupVersionKind, subresource string, resets []string) *managedfields.FieldManager {
	t.Helper()
	var filter map[fieldpath.APIVersion]fieldpath.Filter
	if len(resets) > 0 {
		paths := fieldpath.NewSet()
		for _, path := range resets {
			var parts []interface{}
			for part := range strings.SplitSeq(path, ".") {
				parts = append(parts, part)
			}
			paths.Insert(fieldpath.MakePathOrDie(parts...))
		}
		filter = map[fieldpath.APIVersion]fieldpath.Filter{fieldpath.APIVersion(gvk.GroupVersion().String()): fieldpath.NewExcludeSetFilter(paths)}
	}
	m, err := managedfields.NewDefaultFieldManager(converter, oneVersion{}, scheme.Scheme, scheme.Scheme, gvk, gvk.GroupVersion(), subresource, filter)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// everyKind are the kinds of the stable versions that have metadata.
func everyKind() (out []schema.GroupVersionKind) {
	for gvk, typ := range scheme.Scheme.AllKnownTypes() {
		_, ok := reflect.New(typ).Interface().(managed.Object)
		if ok && gvk.Version != runtime.APIVersionInternal && !strings.ContainsAny(strings.TrimLeft(gvk.Version, "v"), "ab") && gvk.Group != "imagepolicy.k8s.io" && gvk.Group != "policy" || gvk.Kind == "PodDisruptionBudget" && gvk.Version == "v1" {
			out = append(out, gvk)
		}
	}
	slices.SortFunc(out, func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) })
	return out
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
		func(v *metav1.TypeMeta, c randfill.Continue) {},
		func(v *[]metav1.ManagedFieldsEntry, c randfill.Continue) {},
	)
}

func filled(f *randfill.Filler, gvk schema.GroupVersionKind) managed.Object {
	obj, err := scheme.Scheme.New(gvk)
	if err != nil {
		panic(err)
	}
	f.Fill(obj)
	obj.GetObjectKind().SetGroupVersionKind(gvk)
	return obj.(managed.Object)
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

func TestUpdateIsUpstreams(t *testing.T) {
	converter := applyconfigurations.NewTypeConverter(scheme.Scheme)
	tracker := managed.NewTracker()
	tracked := 0
	for _, gvk := range everyKind() {
		if _, err := converter.ObjectToTyped(filled(filler(0), gvk)); err != nil && strings.Contains(err.Error(), "no type found") {
			t.Logf("%s: %v", gvk, err) // a body that is never stored
			continue
		}
		for seed := range int64(10) {
			r := rand.New(rand.NewSource(seed))
			f := filler(seed)
			a, b := filled(f, gvk), filled(f, gvk)
			a.SetUID("")
			tracked += create(t, tracker, converter, gvk, a, b, r)
		}
	}
	t.Logf("%d objects with owners", tracked)
}

// create holds a life of one object against upstream's.
func create(t *testing.T, tracker *managed.Tracker, converter managedfields.TypeConverter, gvk schema.GroupVersionKind, a, b managed.Object, r *rand.Rand) (tracked int) {
	t.Helper()
	steps := []struct {
		manager, subresource string
		resets               []string
		obj                  managed.Object
	}{
		{"one", "", []string{"status"}, a},
		{"two", "", []string{"status"}, mixed(r, a, b)},
		{"kubelet", "status", []string{"spec", "metadata.labels"}, mixed(r, a, b)},
		{"one", "", nil, mixed(r, b, a)},
		{"two", "", []string{"status"}, b},
	}
	var live managed.Object
	for i, step := range steps {
		obj, want := step.obj.DeepCopyObject().(managed.Object), step.obj.DeepCopyObject().(managed.Object)
		was, err := scheme.Scheme.New(gvk)
		if err != nil {
			t.Fatal(err)
		}
		was.GetObjectKind().SetGroupVersionKind(gvk)
		if live != nil {
			was = live
		}
		want = oracle(t, converter, gvk, step.subresource, step.resets).UpdateNoErrors(was, want, step.manager).(managed.Object)
		w := managed.Write{Manager: step.manager, APIVersion: gvk.GroupVersion().String(), Subresource: step.subresource, Resets: step.resets, Now: newest(want)}
		tracker.Update(w, live, obj)
		if got, want := shown(obj), shown(want); got != want {
			t.Fatalf("%s, step %d:\n%s", gvk, i, cmp.Diff(strings.SplitAfter(want, "{}"), strings.SplitAfter(got, "{}")))
		}
		tracked += min(1, len(obj.GetManagedFields()))
		live = want
		live.SetUID("u")
		steps[min(i+1, len(steps)-1)].obj.SetUID("u")
	}
	return tracked
}

// newest is when upstream's field manager wrote, which asks the clock itself.
func newest(obj managed.Object) (at time.Time) {
	for _, e := range obj.GetManagedFields() {
		if e.Time.After(at) {
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
