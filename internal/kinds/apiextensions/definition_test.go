package apiextensions_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/randfill"

	"github.com/floe-k8s/floe/internal/kinds/apiextensions"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func TestLaws(t *testing.T) {
	raw := func(c randfill.Continue) *apiextensionsv1.JSON {
		texts := []string{`{"some":{"json":"test"},"string":42}`, `"a"`, "1.5", "[true]"}
		return &apiextensionsv1.JSON{Raw: []byte(texts[c.Intn(len(texts))])}
	}
	kindtest.LawsWith(t, time.Now().UnixNano(), []any{
		func(v *apiextensionsv1.JSONSchemaProps, c randfill.Continue) {
			texts := []string{"", "object", "string", "array", "integer", "odd"}
			v.Type, v.Description, v.Format = texts[c.Intn(len(texts))], c.String(5), c.String(5)
			if c.Bool() {
				v.Default, v.Example, v.Enum = raw(c), raw(c), []apiextensionsv1.JSON{*raw(c)}
			}
			if c.Intn(4) == 0 {
				c.Fill(&v.Properties)
			}
			if c.Intn(4) == 0 {
				c.Fill(&v.Items)
			}
			if c.Intn(4) == 0 {
				c.Fill(&v.AdditionalProperties)
			}
			c.Fill(&v.Required)
			v.XValidations = []apiextensionsv1.ValidationRule{{Rule: "self." + c.String(3)}}[:c.Intn(2)]
		},
		func(v *apiextensionsv1.JSONSchemaPropsOrArray, c randfill.Continue) {
			v.Schema = &apiextensionsv1.JSONSchemaProps{}
			c.Fill(v.Schema)
		},
		func(v *apiextensionsv1.JSONSchemaPropsOrBool, c randfill.Continue) {
			if v.Allows = c.Bool(); v.Allows {
				v.Schema = &apiextensionsv1.JSONSchemaProps{}
				c.Fill(v.Schema)
			}
		},
	}, apiextensions.CustomResourceDefinition())
}

const good = `{"metadata": {"name": "widgets.example.com"}, "spec": {
  "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
  "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
    "spec": {"type": "object", "default": {"b": 2.0, "a": "<"}, "properties": {"a": {"type": "string"}, "b": {"type": "number"}},
      "x-kubernetes-validations": [{"rule": "self.b < 10.0"}]}}}}}]}}`

// definition is the good one with one text in it replaced, and defaulted.
func definition(t *testing.T, replace ...string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := json.Unmarshal([]byte(strings.NewReplacer(replace...).Replace(good)), crd); err != nil {
		t.Fatal(err)
	}
	apiextensions.CustomResourceDefinition().Default(crd)
	return crd
}

func TestDefaults(t *testing.T) {
	crd := definition(t)
	want := apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Singular: "widget", Kind: "Widget", ListKind: "WidgetList"}
	if !reflect.DeepEqual(crd.Spec.Names, want) || crd.Spec.Conversion.Strategy != "None" || !slices.Equal(crd.Status.StoredVersions, []string{"v1"}) {
		t.Errorf("%+v\n%+v", crd.Spec, crd.Status)
	}
	apiextensions.CustomResourceDefinition().Canonical(crd)
	spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	if got := string(spec.Default.Raw); got != `{"a":"\u003c","b":2}` {
		t.Errorf("a default is stored as %s", got)
	}
	hook := definition(t, `"scope": "Namespaced"`, `"scope": "Cluster", "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"service": {"namespace": "n", "name": "s"}}}}`)
	if port := hook.Spec.Conversion.Webhook.ClientConfig.Service.Port; *port != 443 {
		t.Errorf("port %d", *port)
	}
}

func TestValidate(t *testing.T) {
	const schema = "spec.validation.openAPIV3Schema" // upstream names what all versions have in common so
	for name, c := range map[string]struct {
		replace []string
		want    []string
	}{
		"good": {nil, nil},
		"name": {[]string{"widgets.example.com", "gadgets.example.com"}, []string{`metadata.name: Invalid value: "gadgets.example.com": must be spec.names.plural+"."+spec.group`}},
		"bad name": {[]string{"widgets.example.com", "A"}, []string{
			`metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an ` +
				`alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
			`metadata.name: Invalid value: "A": must be spec.names.plural+"."+spec.group`,
		}},
		"scope":     {[]string{`"Namespaced"`, `"Odd"`}, []string{`spec.scope: Unsupported value: "Odd": supported values: "Cluster", "Namespaced"`}},
		"no schema": {[]string{`"schema": {`, `"odd": {`}, []string{"spec.versions[0].schema.openAPIV3Schema: Required value"}},
		"nothing stored": {[]string{`"storage": true`, `"storage": false`}, []string{
			"spec.versions: Invalid value: [{\"Name\":\"v1\",\"Served\":true,\"Storage\":false,\"Deprecated\":false,\"DeprecationWarning\":null,\"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}]: must have exactly one version marked as storage version",
			"status.storedVersions: Invalid value: null: must have at least one stored version",
		}},
		"default":  {[]string{`"a": "<"`, `"a": 1`}, []string{schema + `.properties[spec].default.a: Invalid value: "integer": a in body must be of type string: "integer"`}},
		"rule":     {[]string{"self.b", "self.c", `"default": {"b": 2.0, "a": "<"}, `, ""}, []string{schema + ".properties[spec].x-kubernetes-validations[0].rule: Invalid value: {\"Rule\":\"self.c \\u003c 10.0\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}: compilation failed: ERROR: <input>:1:5: undefined field 'c'\n | self.c < 10.0\n | ....^"}},
		"approval": {[]string{"example.com", "x.k8s.io"}, []string{`metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111`}},
	} {
		kindtest.Same(t, name, kindtest.Create(apiextensions.CustomResourceDefinition(), definition(t, c.replace...)), c.want)
	}
	unreadable := definition(t)
	unreadable.Spec.Versions[0].Schema.OpenAPIV3Schema.Default = &apiextensionsv1.JSON{Raw: []byte("{")}
	apiextensions.CustomResourceDefinition().Default(unreadable)
	apiextensions.CustomResourceDefinition().Canonical(unreadable)
	if got := kindtest.Create(apiextensions.CustomResourceDefinition(), unreadable); len(got) != 1 || !strings.HasPrefix(got[0], "spec: Internal error: reading the JSON in a definition: ") {
		t.Errorf("unreadable: %q", got)
	}
}

func TestUpdate(t *testing.T) {
	k := apiextensions.CustomResourceDefinition()
	old := definition(t)
	k.PrepareCreate(kindtest.Env(), old)
	if old.Generation != 1 || !slices.Equal(old.Status.StoredVersions, []string{"v1"}) {
		t.Errorf("created: %+v", old)
	}
	k.Canonical(old)
	old.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{Type: "Established", Status: "True"}}
	next := definition(t, `"name": "v1"`, `"name": "v2"`, "Widget", "Gadget")
	if k.PrepareUpdate(kindtest.Env(), next, old); next.Generation != 2 || len(next.Status.Conditions) != 1 || !slices.Equal(next.Status.StoredVersions, []string{"v1", "v2"}) {
		t.Errorf("updated: %+v", next)
	}
	kindtest.Same(t, "names and versions", kindtest.Update(k, next, old), []string{
		`spec.names.kind: Invalid value: "Gadget": field is immutable`,
		`status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions`,
	})
	same := definition(t, `{"b": 2.0, "a": "<"}`, `{"a":"<",  "b":2}`)
	if k.PrepareUpdate(kindtest.Env(), same, old); same.Generation != 0 || len(kindtest.Update(k, same, old)) != 0 {
		t.Errorf("the same, written otherwise: generation %d", same.Generation)
	}
	float := definition(t)
	if k.PrepareUpdate(kindtest.Env(), float, old); float.Generation != 2 { // 2.0 is stored as 2, and another number than that to upstream
		t.Errorf("the same with 2.0: generation %d", float.Generation)
	}
	status := definition(t, "Widget", "Gadget")
	status.Labels, status.Status.AcceptedNames.Plural = map[string]string{"a": "b"}, "A"
	got := kindtest.Part(t, k, "status", status, old)
	if len(got) != 1 || !strings.HasPrefix(got[0], `status.acceptedNames.plural: Invalid value: "A": a DNS-1035 label must`) || status.Spec.Names.Kind != "Widget" || status.Labels["a"] != "b" {
		t.Errorf("status: %q, %+v", got, status)
	}
}

func TestDelete(t *testing.T) {
	k := apiextensions.CustomResourceDefinition()
	crd := definition(t)
	crd.Finalizers = []string{"a/b", metav1.FinalizerDeleteDependents}
	k.Delete(kindtest.Env(), crd, &metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationForeground)})
	now := metav1.NewTime(kindtest.Env().Now)
	want := []apiextensionsv1.CustomResourceDefinitionCondition{{
		Type: "Terminating", Status: "True", LastTransitionTime: now, Reason: "InstanceDeletionPending", Message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
	}}
	if !crd.DeletionTimestamp.Equal(&now) || crd.DeletionGracePeriodSeconds != nil || !slices.Equal(crd.Finalizers, []string{"a/b", "customresourcecleanup.apiextensions.k8s.io"}) ||
		!reflect.DeepEqual(crd.Status.Conditions, want) {
		t.Errorf("marked: %+v", crd)
	}
	again := crd.DeepCopy()
	if k.Delete(kindtest.Env(), again, &metav1.DeleteOptions{}); !reflect.DeepEqual(crd, again) {
		t.Errorf("again: %+v", again)
	}
}

func TestColumns(t *testing.T) {
	k, crd := apiextensions.CustomResourceDefinition(), definition(t)
	crd.CreationTimestamp = metav1.NewTime(kindtest.Env().Now.In(time.FixedZone("", 3600)))
	kindtest.Table(t, k, []string{"Name/name", "Created At:date"}, crd, "widgets.example.com", "2026-03-01T12:00:00Z")
}

func TestWarnings(t *testing.T) {
	k := apiextensions.CustomResourceDefinition()
	if got := k.Warnings(definition(t), nil); got != nil {
		t.Errorf("good: %q", got)
	}
	odd := definition(t, `"a": {"type": "string"}`, `"a": {"type": "string", "format": "odd"}, "c": {"type": "integer", "format": "odd"}, "d": {"type": "integer", "format": "int8"}`)
	if got := k.Warnings(odd, nil); !slices.Equal(got, []string{`unrecognized format "int8"`, `unrecognized format "odd"`}) {
		t.Errorf("odd: %q", got)
	}
	was := definition(t, `"a": {"type": "string"}`, `"a": {"type": "string", "format": "odd"}`)
	if got := k.Warnings(odd, was); !slices.Equal(got, []string{`unrecognized format "int8"`}) {
		t.Errorf("known: %q", got)
	}
}
