package policy_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/policy"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

// table holds all objects of a script.
type table struct {
	served     *kinds.Catalog
	objects    map[schema.GroupVersionResource][]kinds.Object
	generation uint64
}

func (t *table) Changed(schema.GroupVersionResource) uint64 { return t.generation }

func (t *table) Each(res schema.GroupVersionResource, namespace string, f func(kinds.Object) bool) {
	for _, obj := range t.objects[res] {
		if (namespace == "" || obj.GetNamespace() == namespace) && !f(obj) {
			return
		}
	}
}

func (r *table) Label(res schema.GroupVersionResource, namespace, name, key string) (string, bool) {
	return kinds.LabelOf(r.Get(res, namespace, name), key)
}

func (t *table) Get(res schema.GroupVersionResource, namespace, name string) (found kinds.Object) {
	t.Each(res, namespace, func(obj kinds.Object) bool {
		if obj.GetName() == name {
			found = obj
		}
		return found == nil
	})
	return found
}

// read decodes one object, with defaults.
func (t *table) read(tt *testing.T, doc string) (*kinds.Kind, kinds.Object) {
	tt.Helper()
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal([]byte(doc), &meta); err != nil {
		tt.Fatal(err)
	}
	for _, k := range t.served.All() {
		if k.GVK != meta.GroupVersionKind() || k.Answered {
			continue
		}
		obj := k.New()
		if err := yaml.UnmarshalStrict([]byte(doc), obj); err != nil {
			tt.Fatal(err)
		}
		if k.Default != nil {
			k.Default(obj)
		}
		return k, obj
	}
	tt.Fatalf("no kind %v", meta)
	return nil, nil
}

func (t *table) put(k *kinds.Kind, obj kinds.Object) {
	t.generation++
	obj.SetResourceVersion(fmt.Sprint(t.generation))
	list := slices.DeleteFunc(t.objects[k.GVR()], func(o kinds.Object) bool {
		return o.GetName() == obj.GetName() && o.GetNamespace() == obj.GetNamespace()
	})
	t.objects[k.GVR()] = append(list, obj)
}

// may allows ann to get secrets, and nobody anything else.
func may(_ context.Context, user auth.User, w auth.Attributes) (auth.Decision, string, error) {
	if user.Name == "ann" && w.Verb == "get" && w.Resource == "secrets" && w.Namespace == "a" {
		return auth.Allow, "", nil
	}
	return auth.NoOpinion, "", nil
}

func newTable() (*table, []admission.Plugin) {
	t := &table{served: kinds.NewCatalogs(all.Kinds()).Now(), objects: map[schema.GroupVersionResource][]kinds.Object{}}
	cfg := policy.Config{Table: t, Catalog: func() *kinds.Catalog { return t.served }, Authorizer: may, Clock: clock.RealClock{}, Metrics: policy.NewMetrics(), Types: types}
	return t, []admission.Plugin{policy.Mutating(cfg), policy.Validating(cfg)}
}

// pass asks the plug-ins about a wish and writes down all that is told.
func pass(t *table, plugins []admission.Plugin, k *kinds.Kind, obj, old kinds.Object) string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	notes := map[string]string{}
	a := &admission.Attributes{
		Operation: admission.Create, Kind: k, Type: k.GVK, Namespace: obj.GetNamespace(), Name: obj.GetName(), User: auth.User{Name: "ann", Groups: []string{"dev"}},
		Options: &metav1.CreateOptions{}, Object: obj, See: t,
		Warned: func(text string) { say("warning: %s", text) }, Annotated: func(key, value string) { notes[key] = value },
	}
	if old != nil {
		a.Operation, a.Old, a.Options = admission.Update, old, &metav1.UpdateOptions{}
	}
	if k.Resource == "namespaces" {
		a.Namespace = a.Name
	}
	chain := admission.NewChain(plugins, slices.DeleteFunc(admission.Order(), func(name string) bool { return strings.HasSuffix(name, "AdmissionPolicy") }), nil)
	err := chain.Admit(context.Background(), a)
	if err == nil {
		err = chain.Validate(context.Background(), a)
	}
	for _, key := range slices.Sorted(maps.Keys(notes)) {
		say("audit: %s = %s", key, notes[key])
	}
	if status, ok := err.(apierrors.APIStatus); ok {
		say("%d %s: %s", status.Status().Code, status.Status().Reason, err)
	} else if err != nil {
		say("error: %v", err)
	} else {
		doc, _ := yaml.Marshal(map[string]any{"labels": obj.GetLabels(), "annotations": obj.GetAnnotations()})
		say("passed\n%s", strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(string(doc), "annotations: null\n", ""), "labels: null\n", "")))
	}
	return strings.TrimSpace(strings.Join(said, "\n")) + "\n"
}

// TestScripts: "put" stores an object (a policy, a binding, a namespace, a parameter), "create" wishes for one, "update" for its change.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		tab, plugins := newTable()
		tab.put(tab.read(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {team: red}}"))
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			k, obj := tab.read(t, d.Input)
			switch d.Cmd {
			case "put":
				tab.put(k, obj)
				return "ok\n"
			case "update":
				return pass(tab, plugins, k, obj, tab.Get(k.GVR(), obj.GetNamespace(), obj.GetName()))
			}
			return pass(tab, plugins, k, obj, nil)
		})
	})
}

func TestWithoutPoliciesAWishCostsNothing(t *testing.T) {
	tab, plugins := newTable()
	k := tab.served.Find(corev1.SchemeGroupVersion.WithResource("pods"))
	a := &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Object: &corev1.Pod{}, See: tab}
	n := testing.AllocsPerRun(100, func() {
		if plugins[0].Admit(context.Background(), a) != nil || plugins[1].Validate(context.Background(), a) != nil {
			t.Fatal("refused")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestPoliciesAreCompiledOnce(t *testing.T) {
	tab, plugins := newTable()
	tab.put(tab.read(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}"))
	spec := admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{}},
		Validations:      []admissionv1.Validation{{Expression: "object.metadata.name != 'x'"}},
	}
	put := func(resource string, obj kinds.Object) {
		tab.put(tab.served.Find(admissionv1.SchemeGroupVersion.WithResource(resource)), obj)
	}
	put("validatingadmissionpolicies", &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: spec})
	bind := func() {
		put("validatingadmissionpolicybindings", &admissionv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "b"}, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "p", ValidationActions: []admissionv1.ValidationAction{"Deny"}},
		})
	}
	bind()
	k, pod := tab.read(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: y, namespace: a}")
	first := testing.AllocsPerRun(1, func() { pass(tab, plugins, k, pod, nil) })
	bind() // the policy stays compiled when its binding is another one
	again := testing.AllocsPerRun(1, func() { pass(tab, plugins, k, pod, nil) })
	if again > 5000 || again > first {
		t.Errorf("a wish takes %v allocations, and %v when the binding has changed", first, again)
	}
}
