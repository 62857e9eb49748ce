package custom_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// converted is a webhook's answer to a review, which a test may spoil.
type converted struct {
	review *apiextensionsv1.ConversionReview
	code   int
	raw    string // instead of the review
}

// webhook is a conversion webhook over TLS, whose v2 calls spec.a of v1 spec.b. spoil changes its answers.
func webhook(t *testing.T, spoil func(*converted)) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		review := &apiextensionsv1.ConversionReview{}
		if err := json.NewDecoder(r.Body).Decode(review); err != nil {
			t.Error(err)
		}
		review.Response = &apiextensionsv1.ConversionResponse{UID: review.Request.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
		for _, raw := range review.Request.Objects {
			obj := &unstructured.Unstructured{}
			if err := obj.UnmarshalJSON(raw.Raw); err != nil {
				t.Error(err)
			}
			from, to := "a", "b"
			if strings.HasSuffix(review.Request.DesiredAPIVersion, "/v1") {
				from, to = to, from
			}
			if value, ok, _ := unstructured.NestedFieldNoCopy(obj.Object, "spec", from); ok {
				obj.Object["spec"] = map[string]any{to: value}
			}
			obj.SetAPIVersion(review.Request.DesiredAPIVersion)
			obj.SetLabels(map[string]string{"by": "webhook"})
			obj.SetGeneration(77) // which a conversion may not change
			review.Response.ConvertedObjects = append(review.Response.ConvertedObjects, runtime.RawExtension{Object: obj})
		}
		answer := &converted{review: review, code: http.StatusOK}
		if spoil != nil {
			spoil(answer)
		}
		w.WriteHeader(answer.code)
		if answer.raw != "" {
			_, _ = w.Write([]byte(answer.raw))
			return
		}
		review.Request = nil
		if err := json.NewEncoder(w).Encode(review); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// foos is a definition whose versions a webhook converts.
func foos(url string, bundle []byte) string {
	const schema = "{openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {%s: {type: string}}}}}}"
	return fmt.Sprintf(`
metadata: {name: foos.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: foos, kind: Foo}
  conversion:
    strategy: Webhook
    webhook: {conversionReviewVersions: [v1], clientConfig: {url: %q, caBundle: %s}}
  versions:
  - {name: v1, served: true, storage: true, schema: `+fmt.Sprintf(schema, "a")+`}
  - {name: v2, served: true, storage: false, schema: `+fmt.Sprintf(schema, "b")+`}
`, url, base64.StdEncoding.EncodeToString(bundle))
}

func TestWebhookConverts(t *testing.T) {
	hook := webhook(t, nil)
	s := serve(t)
	if err := define(t, s.Cluster, foos(hook.URL, bundleOf(hook)), established); err != nil {
		t.Fatal(err)
	}
	created := s.show(t, "POST /apis/example.com/v2/foos\n\n"+`{"apiVersion":"example.com/v2","kind":"Foo","metadata":{"name":"x"},"spec":{"b":"text"}}`)
	stored := string(s.API.Store.Snapshot().Get("/registry/example.com/foos/x").Value())
	for _, want := range []struct{ text, in string }{
		{"201 Created", created}, {"b: text", created}, {"by: webhook", created}, {"generation: 1", created},
		{`"apiVersion":"example.com/v1"`, stored}, {`"spec":{"a":"text"}`, stored},
		{"a: text", s.show(t, "GET /apis/example.com/v1/foos/x")}, {"b: text", s.show(t, "GET /apis/example.com/v2/foos")},
		{"b: next", s.show(t, "PATCH /apis/example.com/v2/foos/x\nContent-Type: application/merge-patch+json\n\n"+`{"spec":{"b":"next"}}`)},
		{"a: next", s.show(t, "GET /apis/example.com/v1/foos/x")},
	} {
		if !strings.Contains(want.in, want.text) {
			t.Errorf("%q is not in\n%s", want.text, want.in)
		}
	}
}

func bundleOf(server *httptest.Server) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

// TestWebhooksThatLie reads through webhooks that fail, lie, or talk nonsense: the reader is told, and nothing that they say is taken.
func TestWebhooksThatLie(t *testing.T) {
	change := func(f func(*unstructured.Unstructured)) func(*converted) {
		return func(c *converted) {
			for _, raw := range c.review.Response.ConvertedObjects {
				f(raw.Object.(*unstructured.Unstructured))
			}
		}
	}
	for name, test := range map[string]struct {
		spoil func(*converted)
		want  string
	}{
		"refuses": {func(c *converted) { c.review.Response.Result = metav1.Status{Status: "Failure", Message: "not today"} },
			"conversion webhook for example.com/v1, Kind=Foo failed: not today"},
		"no reason": {func(c *converted) { c.review.Response.Result = metav1.Status{} }, "response.result.status was '', not 'Success'"},
		"uid":       {func(c *converted) { c.review.Response.UID = "other" }, `got "other"`},
		"type": {func(c *converted) { c.review.Kind = "CustomResourceDefinition" },
			"converting (v1.CustomResourceDefinition) to (v1.ConversionReview): unknown conversion"},
		"no type": {func(c *converted) { c.review.Kind = "Other" }, `no kind "Other" is registered for version "apiextensions.k8s.io/v1"`},
		"nothing": {func(c *converted) { c.review.Response = nil }, "no response provided"},
		"too few": {func(c *converted) { c.review.Response.ConvertedObjects = nil }, "returned 0 objects, expected 1"},
		"garbage": {func(c *converted) { c.raw = "{" }, "unexpected end of JSON input"},
		"no json": {func(c *converted) { c.raw = `{"kind":7}` }, "cannot unmarshal number"},
		"broken":  {func(c *converted) { c.code = http.StatusInternalServerError; c.raw = "ouch" }, "conversion webhook for example.com/v1, Kind=Foo failed: "},
		"version": {change(func(u *unstructured.Unstructured) { u.SetAPIVersion("example.com/v3") }),
			"invalid groupVersion (expected example.com/v2, received example.com/v3)"},
		"kind":    {change(func(u *unstructured.Unstructured) { u.SetKind("Bar") }), "invalid kind (expected Foo, received Bar)"},
		"name":    {change(func(u *unstructured.Unstructured) { u.SetName("y") }), "returned invalid object: must have the same name: x != y"},
		"UID":     {change(func(u *unstructured.Unstructured) { u.SetUID("y") }), "must have the same UID"},
		"no meta": {change(func(u *unstructured.Unstructured) { u.Object["metadata"] = 7 }), "must have the same name"},
		"labels": {change(func(u *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(u.Object, int64(7), "metadata", "labels", "a")
		}), "metadata.labels[a] must be a string, but is int64 in converted object"},
		"bad label": {change(func(u *unstructured.Unstructured) { u.SetLabels(map[string]string{"a": "/"}) }), "returned invalid metadata: metadata.labels"},
	} {
		t.Run(name, func(t *testing.T) {
			hook := webhook(t, test.spoil)
			s := serve(t)
			if err := define(t, s.Cluster, foos(hook.URL, bundleOf(hook)), established); err != nil {
				t.Fatal(err)
			}
			if made := s.show(t, "POST /apis/example.com/v1/foos\n\n"+`{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"x"},"spec":{"a":"t"}}`); !strings.HasPrefix(made, "201") {
				t.Fatal(made)
			}
			got := s.show(t, "GET /apis/example.com/v2/foos/x")
			if !strings.HasPrefix(got, "500") || !strings.Contains(strings.Join(strings.Fields(strings.ReplaceAll(got, "''", "'")), " "), test.want) {
				t.Errorf("got\n%s\nwant %q", got, test.want)
			}
		})
	}
}

func TestWebhooksAreTrustedByTheirAuthorityOnly(t *testing.T) {
	hook := webhook(t, nil)
	s := serve(t)
	if err := define(t, s.Cluster, foos(hook.URL, nil), established); err != nil {
		t.Fatal(err)
	}
	s.show(t, "POST /apis/example.com/v1/foos\n\n"+`{"apiVersion":"example.com/v1","kind":"Foo","metadata":{"name":"x"}}`)
	if got := s.show(t, "GET /apis/example.com/v2/foos/x"); !strings.Contains(got, "certificate signed by unknown authority") {
		t.Errorf("a webhook of an unknown authority: %s", got)
	}
}
