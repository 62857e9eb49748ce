package custom_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

// one is a definition of one version with a schema, in JSON or YAML's flow form.
func one(schema string) string {
	return fmt.Sprintf(`
metadata: {name: foos.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: foos, kind: Foo}
  versions: [{name: v1, served: true, storage: true, subresources: {status: {}}, schema: {openAPIV3Schema: %s}}]
`, schema)
}

// TestHostileDefinitions creates definitions that would cost a server its time, its memory or its life if it believed them.
func TestHostileDefinitions(t *testing.T) {
	deep := "{type: string}"
	for range 200 {
		deep = "{type: object, properties: {a: " + deep + "}}"
	}
	values := make([]string, 20000)
	for i := range values {
		values[i] = fmt.Sprintf("%q", fmt.Sprint("value", i))
	}
	object := func(properties string) string { return "{type: object, properties: {" + properties + "}}" }
	for name, test := range map[string]struct{ schema, want string }{
		"deep":             {deep, ""},
		"wide enumeration": {object("a: {type: string, enum: [" + strings.Join(values, ", ") + "]}"), ""},
		"rule too dear": {object(`a: {type: array, items: {type: array, items: {type: array, items: {type: string}}}, ` +
			`x-kubernetes-validations: [{rule: "self.all(x, x.all(y, y.all(z, z.contains('a'))))"}]}`), "estimated rule cost exceeds budget by factor of more than 100x"},
		"rule that is none":      {object(`a: {type: string, x-kubernetes-validations: [{rule: "self +"}]}`), "compilation failed"},
		"rule of another type":   {object(`a: {type: string, x-kubernetes-validations: [{rule: "self.size()"}]}`), "must evaluate to a bool"},
		"rule of what is not":    {object(`a: {type: string, x-kubernetes-validations: [{rule: "self.b"}]}`), "compilation failed"},
		"old within a list":      {object(`a: {type: array, items: {type: string, x-kubernetes-validations: [{rule: "self == oldSelf"}]}}`), "oldSelf cannot be used on the uncorrelatable portion of the schema"},
		"message of another":     {object(`a: {type: string, x-kubernetes-validations: [{rule: "true", messageExpression: "1"}]}`), "must evaluate to a string"},
		"reference":              {object(`a: {$ref: "#/x"}`), "$ref is not supported"},
		"no type":                {object(`a: {properties: {b: {type: string}}}`), "must not be empty for specified object fields"},
		"default that is none":   {object(`a: {type: integer, default: x}`), "must be of type integer"},
		"pattern that is none":   {object(`a: {type: string, pattern: "("}`), "must be a valid regular expression"},
		"types within any of":    {object(`a: {anyOf: [{type: string}, {type: integer}]}`), "must be empty to be structural"},
		"list without keys":      {object(`a: {type: array, items: {type: object}, x-kubernetes-list-type: map}`), "must not be empty if x-kubernetes-list-type is map"},
		"metadata is restricted": {object(`metadata: {type: object, properties: {labels: {type: object}}}`), "must not specify anything other than name and generateName"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t)
			err := define(t, s.Cluster, one(test.schema), established)
			switch {
			case test.want == "" && err != nil:
				t.Fatal(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Fatalf("got %v, want %q", err, test.want)
			case err == nil:
				if got := s.show(t, "POST /apis/example.com/v1/foos\n\n"+`{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"x"},"a":"value7"}`); strings.HasPrefix(got, "5") {
					t.Error(got)
				}
			}
		})
	}
}

// TestRulesHaveABudget writes an object for which a rule, cheap by estimate, is dear.
func TestRulesHaveABudget(t *testing.T) {
	s := serve(t)
	schema := `{type: object, properties: {a: {type: array, maxItems: 3000, items: {type: string, maxLength: 3}, x-kubernetes-validations: [{rule: "self.all(x, self.exists_one(y, x == y))"}]}}}`
	err := define(t, s.Cluster, one(schema), established)
	if err != nil {
		if !strings.Contains(err.Error(), "exceeds budget") {
			t.Fatal(err)
		}
		return // refused by its estimate already
	}
	list, _ := json.Marshal(make([]string, 3000))
	got := s.show(t, `POST /apis/example.com/v1/foos`+"\n\n"+`{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"x"},"a":`+string(list)+`}`)
	if !strings.HasPrefix(got, "422") {
		t.Errorf("got %.300s", got)
	}
}

// lawful has something of everything that a schema can say.
const lawful = `{type: object, properties: {
  spec: {type: object, nullable: true, properties: {
    text: {type: string, default: x, maxLength: 5}, number: {type: integer, default: 3}, either: {x-kubernetes-int-or-string: true},
    map: {type: object, additionalProperties: {type: object, properties: {a: {type: string, default: y}}}},
    list: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [k], items: {type: object, required: [k], properties: {k: {type: string}, v: {type: number}}}},
    set: {type: array, x-kubernetes-list-type: set, items: {type: string}}, any: {type: object, x-kubernetes-preserve-unknown-fields: true},
    inner: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true},
    ruled: {type: string, x-kubernetes-validations: [{rule: "self != 'bad'"}, {rule: "self == oldSelf || oldSelf == ''"}]}}},
  status: {type: object, properties: {ready: {type: boolean}}}}}`

// FuzzLaws holds a custom kind to the laws of all kinds, with any object: defaults and coercion are idempotent, what is stored is read as it was, and
// nothing that is only read changes.
func FuzzLaws(f *testing.F) {
	s := serve(f)
	if err := define(f, s.Cluster, one(lawful), established); err != nil {
		f.Fatal(err)
	}
	k := s.API.Kind(schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "foos"})
	for _, seed := range [...]string{
		`{}`, `{"spec":null}`, `{"spec":{"text":null,"list":[{"k":"a"},{"k":"a"}],"set":["a","a"],"unknown":{"a":[1]}}}`,
		`{"spec":{"map":{"a":{},"b":null},"either":"5%","any":{"x":1.5},"inner":{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"a":7}}}}}`,
		`{"metadata":{"name":"x","labels":null,"finalizers":["a"],"odd":1},"status":{"ready":true,"more":1}}`, `{"spec":{"ruled":"bad","number":1e400}}`,
		`{"metadata":7}`, `{"spec":[[[[]]]]}`,
	} {
		f.Add([]byte(seed), []byte(`{"spec":{"ruled":"a","text":"abc"}}`))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		obj, old := read(k, first), read(k, second)
		if obj == nil || old == nil {
			return
		}
		laws(t, k, obj, old)
	})
}

// read makes an object of the kind from a document; nil when it cannot be one.
func read(k *kinds.Kind, doc []byte) *unstructured.Unstructured {
	var fields map[string]any
	if kjson.UnmarshalCaseSensitivePreserveInts(doc, &fields) != nil || fields == nil {
		return nil
	}
	obj := &unstructured.Unstructured{Object: fields}
	obj.SetGroupVersionKind(k.GVK)
	if _, err := k.Dynamic.Coerce(obj, true); err != nil {
		return nil
	}
	return obj
}

func laws(t *testing.T, k *kinds.Kind, obj, old *unstructured.Unstructured) {
	t.Helper()
	k.Default(obj)
	k.Default(old)
	for name, again := range map[string]func(kinds.Object){"defaults": k.Default, "coercion": func(o kinds.Object) {
		if unknown, err := k.Dynamic.Coerce(o, true); err != nil || len(unknown) > 0 {
			t.Errorf("coerced again: %v, %v", unknown, err)
		}
	}} {
		twice := obj.DeepCopy()
		again(twice)
		if !reflect.DeepEqual(twice.Object, obj.Object) {
			t.Errorf("%s again change\n%v\nto\n%v", name, obj.Object, twice.Object)
		}
	}
	before := old.DeepCopy()
	for _, next := range []func(o *unstructured.Unstructured){
		func(o *unstructured.Unstructured) { k.PrepareCreate(kindtest.Env(), o); kindtest.Create(k, o) },
		func(o *unstructured.Unstructured) { k.PrepareUpdate(kindtest.Env(), o, old); k.ValidateUpdate(o, old) },
		func(o *unstructured.Unstructured) { k.Subresources[0].Update(kindtest.Env(), o, old) },
	} {
		next(obj.DeepCopy())
		if !reflect.DeepEqual(before.Object, old.Object) {
			t.Fatalf("the old object has changed from\n%v\nto\n%v", before.Object, old.Object)
		}
	}
	doc, err := k.Dynamic.Save(obj)
	if err != nil {
		t.Fatal(err)
	}
	back, err := k.Dynamic.Load(doc)
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	again, err := k.Dynamic.Save(back)
	if err != nil {
		t.Fatal(err)
	}
	third, err := k.Dynamic.Load(again)
	if err != nil || !reflect.DeepEqual(third, back) {
		t.Errorf("stored and read, %v becomes %v, %v", back, third, err)
	}
}
