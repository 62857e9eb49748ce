package wire_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// outsideDocument2 has paths of its own and of others, and a definition that here means something else.
const outsideDocument2 = `{"swagger":"2.0","info":{"title":"x","version":"v1"},"paths":{
"/apis/x.example.com/v1/things":{"get":{"description":"a thing","produces":["application/json"],"responses":{"200":{"description":"OK","schema":{"$ref":"#/definitions/com.example.x.v1.Thing"}}}}},
"/apis/apps/v1/deployments":{"get":{"description":"stolen","responses":{"200":{"description":"OK","schema":{"$ref":"#/definitions/unneeded"}}}}},
"/apis/y.example.com/v1/others":{"get":{"responses":{"200":{"description":"OK"}}}},
"/version/":{"get":{"description":"stolen","responses":{"200":{"description":"OK"}}}}},
"definitions":{"com.example.x.v1.Thing":{"type":"object","properties":{"pod":{"$ref":"#/definitions/io.k8s.api.core.v1.Pod"}}},
"io.k8s.api.core.v1.Pod":{"type":"object","description":"somebody else's"},"unneeded":{"type":"string"}}}`

// documents2 are what the server says of itself, by its form.
func (a *aggregated) documents2() []string {
	schemas := func(n int) string {
		return `{"swagger":"2.0","paths":{},"definitions":{` + strings.Repeat(`"a":{},`, n) + `"b":{}}}`
	}
	return []string{
		outsideDocument2, "{", strings.Replace(outsideDocument2, "a thing", "another", 1),
		schemas(2 << 20), // 14 MiB: gigabytes when it is read
		`{"swagger":"2.0","paths":{},"x-list":[` + strings.Repeat("0,", 1<<19) + `0]}`, // a million words
		strings.Repeat(" ", 16<<20) + outsideDocument2,                                 // longer than is read
		strings.Repeat(`{"x-deep":`, 1<<15) + "0" + strings.Repeat("}", 1<<15),
	}
}

type document2 struct {
	Paths       map[string]struct{ Get struct{ Description string } }
	Definitions map[string]struct {
		Description string
		Properties  map[string]struct {
			Ref string `json:"$ref"`
		}
	}
}

func (a *aggregated) document2(t *testing.T) (doc document2) {
	t.Helper()
	text := a.get(t, "GET /openapi/v2")
	if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "200 ")), &doc); err != nil {
		t.Fatalf("%v: %.200s", err, text)
	}
	return doc
}

// TestDocumentsOfOthers: what a server says below its own group and version is in the one document of version 2, and whatever else it says is not.
func TestDocumentsOfOthers(t *testing.T) {
	a := aggregating(t, func(*aggregated) {})
	discover := func(form int32) {
		a.form.Store(form)
		a.proxy.Discover(t.Context(), []*apiregistrationv1.APIService{a.service})
	}
	discover(1)
	before := a.document2(t)
	discover(2)
	doc := a.document2(t)
	if got := doc.Paths["/apis/x.example.com/v1/things"].Get.Description; got != "a thing" {
		t.Errorf("its path says %q", got)
	}
	if len(doc.Paths) != len(before.Paths)+1 || len(doc.Definitions) != len(before.Definitions)+2 {
		t.Errorf("%d paths and %d definitions, before %d and %d; want one and two more", len(doc.Paths), len(doc.Definitions), len(before.Paths), len(before.Definitions))
	}
	if doc.Paths["/apis/apps/v1/deployments"].Get.Description == "stolen" {
		t.Error("it has changed a path of ours")
	}
	ref := doc.Definitions["com.example.x.v1.Thing"].Properties["pod"].Ref
	if ref != "#/definitions/io.k8s.api.core.v1.Pod_v2" || doc.Definitions["io.k8s.api.core.v1.Pod"].Description == "somebody else's" ||
		doc.Definitions["io.k8s.api.core.v1.Pod_v2"].Description != "somebody else's" {
		t.Errorf("its pod is %s: %q", ref, doc.Definitions["io.k8s.api.core.v1.Pod_v2"].Description)
	}
	const path = "/openapi/v3/apis/x.example.com/v1"
	index := a.get(t, "GET /openapi/v3")
	_, rest, ok := strings.Cut(index, `"serverRelativeURL":"`+path)
	hash, _, _ := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("it is not in the index of version 3: %s", index)
	}
	if got := a.get(t, "GET "+path+hash); !strings.HasPrefix(got, `200 {"openapi":"3.0.0"`) || !strings.Contains(got, `"#/components/schemas/com.example.x.v1.Thing"`) {
		t.Errorf("converted: %.200s", got)
	}
	news := a.proxy.Added()
	discover(2)
	if a.proxy.Added() != news {
		t.Error("the same was taken for news")
	}
	discover(3) // which nobody can read
	if _, there := a.document2(t).Paths["/apis/x.example.com/v1/things"]; there {
		t.Error("what cannot be read is still shown")
	}
	discover(4)
	if got := a.document2(t).Paths["/apis/x.example.com/v1/things"].Get.Description; got != "another" {
		t.Errorf("changed, its path says %q", got)
	}
	a.proxy.Discover(t.Context(), nil)
	if after := a.document2(t); len(after.Paths) != len(before.Paths) {
		t.Errorf("without it there are %d paths, want %d", len(after.Paths), len(before.Paths))
	}
}

// TestHugeDocumentsOfOthers: what a server says of itself takes no more memory than an honest one's, and leaves what is known of it, and of us, as it was.
func TestHugeDocumentsOfOthers(t *testing.T) {
	a := aggregating(t, func(*aggregated) {})
	discover := func(form int32) {
		a.form.Store(form)
		a.proxy.Discover(t.Context(), []*apiregistrationv1.APIService{a.service})
	}
	discover(2)
	for form := int32(5); form <= 8; form++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		discover(form)
		runtime.ReadMemStats(&after)
		if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 200 {
			t.Errorf("document %d: reading it took %d MiB", form, took)
		}
		if _, there := a.document2(t).Paths["/apis/x.example.com/v1/things"]; there != (form < 8) {
			t.Errorf("document %d: what was known is there: %t", form, there)
		}
		if _, there := a.document2(t).Paths["/apis/apps/v1/namespaces/{namespace}/deployments"]; !there {
			t.Errorf("document %d: our own paths are gone", form)
		}
	}
}
