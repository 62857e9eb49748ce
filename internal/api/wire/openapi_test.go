package wire_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/test/peers/published"
)

const upstreamFile = "../../../test/peers/recorded/openapi/upstream.tar.zst"

// openAPIDifferences lists what differs from upstream's documents though its group and version is served in full. It may only shrink: what is missing in it
// fails, and what is no longer needed does, too.
const openAPIDifferences = "testdata/openapi.txt"

// parts are what a document maps by name: its paths, its schemas (in version 2 definitions), its parameters.
type parts map[string]map[string]any

func partsOf(t *testing.T, data []byte) parts {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	out := parts{}
	named := func(in map[string]any, keys ...string) {
		for _, key := range keys {
			if part, ok := in[key].(map[string]any); ok {
				out[key] = part
				delete(in, key)
			}
		}
	}
	named(doc, "paths", "definitions", "parameters")
	if components, ok := doc["components"].(map[string]any); ok {
		named(components, "schemas")
	}
	out["document"] = map[string]any{"rest": doc}
	return out
}

// comparison collects differences by document, part and name.
type comparison struct {
	t             *testing.T
	known         map[string]bool
	same, missing int
}

// documents compares what floe's document has. What upstream's has besides is a difference when full, and is counted otherwise.
func (c *comparison) documents(name string, got, want []byte, full bool) {
	ours, theirs := partsOf(c.t, got), partsOf(c.t, want)
	for part, values := range ours {
		for key, value := range values {
			switch other, ok := theirs[part][key]; {
			case !ok:
				c.differs(fmt.Sprintf("%s %s %s: upstream has none", name, part, key))
			case reflect.DeepEqual(value, other):
				c.same++
			default:
				c.differs(fmt.Sprintf("%s %s %s: differs", name, part, key), first("", value, other))
			}
		}
	}
	for part, values := range theirs {
		for key := range values {
			switch _, ok := ours[part][key]; {
			case ok:
			case full:
				c.differs(fmt.Sprintf("%s %s %s: floe has none", name, part, key))
			default:
				c.missing++
			}
		}
	}
}

func (c *comparison) differs(line string, more ...string) {
	if !c.known[line] {
		c.t.Errorf("%s %s", line, strings.Join(more, " "))
	}
	delete(c.known, line)
}

// first tells the first difference of two values in words.
func first(at string, got, want any) string {
	ours, ok := got.(map[string]any)
	theirs, too := want.(map[string]any)
	if !ok || !too {
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		return fmt.Sprintf("at %s: got %s, want %s", at, a, b)
	}
	keys := slices.Sorted(maps.Keys(ours))
	for _, key := range slices.Concat(keys, slices.Sorted(maps.Keys(theirs))) {
		if !reflect.DeepEqual(ours[key], theirs[key]) {
			return first(at+"."+key, ours[key], theirs[key])
		}
	}
	return ""
}

// document asks for a document, in any form or in the one named.
func (s *served) document(t testing.TB, url string, accept ...string) []byte {
	t.Helper()
	for _, a := range accept {
		url += "\nAccept: " + a
	}
	resp := s.send(t, "GET "+url)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return data
}

// indexOf returns the URL of each path that an index names.
func indexOf(t *testing.T, data []byte) map[string]string {
	t.Helper()
	var index struct {
		Paths map[string]struct{ ServerRelativeURL string }
	}
	if err := json.Unmarshal(data, &index); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for path, link := range index.Paths {
		out[path] = link.ServerRelativeURL
	}
	return out
}

// TestDocumentsAreUpstreams compares all documents with those that upstream publishes, the sums of those that are whole included.
func TestDocumentsAreUpstreams(t *testing.T) {
	upstream, err := published.Read(upstreamFile)
	if err != nil {
		t.Fatal(err)
	}
	c := comparison{t: t, known: map[string]bool{}}
	list, err := os.ReadFile(openAPIDifferences)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		c.known[strings.TrimSpace(line)] = true
	}
	s := serve(t)
	ours, theirs, partly := indexOf(t, s.document(t, "/openapi/v3")), indexOf(t, upstream["/openapi/v3"]), servedInPart(t, upstream)
	for path, want := range theirs {
		url, ok := ours[path]
		switch {
		case !ok && partly[path]:
			c.missing++
			continue
		case !ok:
			c.differs("v3/" + path + ": floe has none")
			continue
		}
		c.documents("v3/"+path, s.document(t, url), upstream["/openapi/v3/"+path], !partly[path])
		if !partly[path] && url != want {
			t.Errorf("v3/%s: its bytes are not upstream's: %s, want %s", path, url, want)
		}
	}
	for path := range ours {
		if _, ok := theirs[path]; !ok {
			c.differs("v3/" + path + ": upstream has none")
		}
	}
	c.documents("v2", s.document(t, "/openapi/v2"), upstream["/openapi/v2"], len(partly) == 0)
	t.Logf("%d paths, schemas and parameters are upstream's; %d wait for kinds; %d groups and versions are served in part or not at all", c.same, c.missing, len(partly))
	for line := range c.known {
		t.Errorf("%q is no difference any longer: take it off the list", line)
	}
}

// servedInPart are the paths of upstream's documents of groups, and of groups and versions, of which floe does not serve every resource and subresource.
func servedInPart(t *testing.T, upstream published.Documents) map[string]bool {
	served := servedNames()
	partly := map[string]bool{}
	for _, path := range []string{"/api", "/apis"} {
		list := aggregatedIn(t, upstream[published.Aggregated+path])
		for _, group := range list.Items {
			whole := false
			for _, v := range group.Versions {
				gvPath := strings.TrimPrefix(strings.TrimSuffix(path+"/"+group.Name, "/")+"/"+v.Version, "/")
				for _, r := range v.Resources {
					name := nameOf(group.Name, v.Version, r.Resource)
					whole = whole || served[name]
					partly[gvPath] = partly[gvPath] || !served[name]
					for _, part := range r.Subresources {
						partly[gvPath] = partly[gvPath] || !served[name+"/"+part.Subresource]
					}
				}
			}
			if !whole && group.Name != "" {
				partly["apis/"+group.Name] = true
			}
		}
	}
	maps.DeleteFunc(partly, func(_ string, is bool) bool { return !is })
	return partly
}
