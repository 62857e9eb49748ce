package wire_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/test/peers/published"
)

// nameOf is one name for a resource of a group and version.
func nameOf(group, version, resource string) string {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}.String()
}

// servedNames are the resources and subresources that floe has.
func servedNames() map[string]bool {
	served := map[string]bool{}
	for _, k := range all.Kinds() {
		served[k.GVR().String()] = true
		for _, part := range k.Subresources {
			served[k.GVR().String()+"/"+part.Name] = true
		}
	}
	return served
}

func aggregatedIn(t *testing.T, data []byte) apidiscoveryv2.APIGroupDiscoveryList {
	t.Helper()
	var list apidiscoveryv2.APIGroupDiscoveryList
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// reduced leaves of upstream's discovery what floe serves.
func reduced(list apidiscoveryv2.APIGroupDiscoveryList, served map[string]bool) apidiscoveryv2.APIGroupDiscoveryList {
	for i := range list.Items {
		group := &list.Items[i]
		for j := range group.Versions {
			v := &group.Versions[j]
			v.Resources = slices.DeleteFunc(v.Resources, func(r apidiscoveryv2.APIResourceDiscovery) bool {
				return !served[nameOf(group.Name, v.Version, r.Resource)]
			})
			for k := range v.Resources {
				r := &v.Resources[k]
				r.Subresources = slices.DeleteFunc(r.Subresources, func(part apidiscoveryv2.APISubresourceDiscovery) bool {
					return !served[nameOf(group.Name, v.Version, r.Resource)+"/"+part.Subresource]
				})
				if len(r.Subresources) == 0 {
					r.Subresources = nil
				}
			}
		}
		group.Versions = slices.DeleteFunc(group.Versions, func(v apidiscoveryv2.APIVersionDiscovery) bool { return len(v.Resources) == 0 })
	}
	list.Items = slices.DeleteFunc(list.Items, func(g apidiscoveryv2.APIGroupDiscovery) bool { return len(g.Versions) == 0 })
	return list
}

// TestDiscoveryIsUpstreams compares aggregated discovery with upstream's, less what floe does not serve: order, names, verbs and kinds. Lists of
// resources, and of groups, are compared byte for byte where floe serves all of them.
func TestDiscoveryIsUpstreams(t *testing.T) {
	upstream, err := published.Read(upstreamFile)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	served, partly := servedNames(), servedInPart(t, upstream)
	for _, path := range []string{"/api", "/apis"} {
		got := aggregatedIn(t, s.document(t, path, published.AcceptAggregated))
		want := reduced(aggregatedIn(t, upstream[published.Aggregated+path]), served)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: upstream has -, floe +:\n%s", path, diff)
		}
	}
	whole := 0
	for path, want := range upstream {
		name := strings.TrimPrefix(path, "/")
		missing := partly[name]
		for part := range partly {
			missing = missing || strings.HasPrefix(part, name+"/")
		}
		if strings.Count(name, "/") == 0 || !strings.HasPrefix(name, "api") || missing {
			continue // lists of what is nearly all, and what is compared elsewhere
		}
		whole++
		if got := s.document(t, path); string(got) != string(want) {
			t.Errorf("%s: floe says\n%s\nupstream\n%s", path, got, want)
		}
	}
	if whole == 0 {
		t.Error("nothing is served in full")
	}
	t.Logf("%d lists are upstream's, byte for byte", whole)
}

// TestAggregatedDiscoveryIsTagged: one tag in all encodings, by which a client need not read it again.
func TestAggregatedDiscoveryIsTagged(t *testing.T) {
	s := serve(t)
	tags := map[string]bool{}
	for _, media := range []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"} {
		accept := "Accept: " + strings.Replace(published.AcceptAggregated, "application/json", media, 1)
		resp := s.send(t, "GET /apis\n"+accept)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), media+";g=apidiscovery.k8s.io") {
			t.Fatalf("%s: %s, %v", media, resp.Status, resp.Header)
		}
		tags[resp.Header.Get("ETag")] = true
		again := s.send(t, "GET /apis\n"+accept+"\nIf-None-Match: "+resp.Header.Get("ETag"))
		again.Body.Close()
		if again.StatusCode != http.StatusNotModified {
			t.Errorf("%s: asked again with its tag: %s", media, again.Status)
		}
	}
	if len(tags) != 1 {
		t.Errorf("tags %v, want one", tags)
	}
	var list apidiscoveryv2.APIGroupDiscoveryList
	data := s.document(t, "/apis", strings.Replace(published.AcceptAggregated, "application/json", "application/vnd.kubernetes.protobuf", 1))
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(data[4:]); err != nil {
		t.Fatal(err)
	}
	if err := list.Unmarshal(envelope.Raw); err != nil {
		t.Fatal(err)
	}
	want := aggregatedIn(t, s.document(t, "/apis", published.AcceptAggregated))
	list.TypeMeta = metav1.TypeMeta{Kind: envelope.Kind, APIVersion: envelope.APIVersion}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("protobuf says something else (+):\n%s", diff)
	}
}
