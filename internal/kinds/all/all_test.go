package all_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

// notServed are the resources and subresources that upstream serves and floe does not, yet. An entry that is no longer needed fails the test.
var notServed = []string{}

// resource is what upstream's discovery says of a kind, as testdata/resources.json keeps it.
type resource struct {
	Group, Version, Resource, Kind, Scope, Singular string
	ShortNames, Categories, Verbs                   []string
	Subresources                                    []struct {
		Name, Group, Version, Kind string
		Verbs                      []string
	}
}

func upstream(t *testing.T) []resource {
	t.Helper()
	data, err := os.ReadFile("testdata/resources.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []resource
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestKindsAreUpstreams compares what discovery shows of each kind with upstream's, and the order of all.
func TestKindsAreUpstreams(t *testing.T) {
	got := all.Kinds()
	var missing []string
	for _, w := range upstream(t) {
		if len(got) == 0 || got[0].GVK.Group != w.Group || got[0].Resource != w.Resource || got[0].GVK.Version != w.Version {
			missing = append(missing, strings.TrimPrefix(w.Group+"/", "/")+w.Version+"/"+w.Resource)
			continue
		}
		k := got[0]
		got = got[1:]
		verbs := k.Verbs
		if verbs == nil {
			verbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
		}
		scope := "Cluster"
		if k.Namespaced {
			scope = "Namespaced"
		}
		have := resource{
			Group: k.GVK.Group, Version: k.GVK.Version, Resource: k.Resource, Kind: k.GVK.Kind, Scope: scope, Singular: k.Singular,
			ShortNames: k.ShortNames, Categories: k.Categories, Verbs: verbs,
		}
		plain := w
		plain.Subresources = nil
		if !reflect.DeepEqual(have, plain) {
			t.Errorf("got %+v\nwant %+v", have, plain)
		}
		missing = append(missing, compareParts(t, k, w)...)
	}
	if len(got) > 0 {
		t.Errorf("%s: not upstream's, or not where upstream lists it", got[0].GVR())
	}
	if slices.Sort(missing); !slices.Equal(missing, notServed) {
		t.Errorf("subresources that are not served: %v, and the list says %v", missing, notServed)
	}
}

// compareParts compares the subresources that k has with upstream's, and returns those that it does not have.
func compareParts(t *testing.T, k *kinds.Kind, want resource) (missing []string) {
	t.Helper()
	left := map[string]kinds.Subresource{}
	for _, sub := range k.Subresources {
		left[sub.Name] = sub
	}
	for _, w := range want.Subresources {
		sub, ok := left[w.Name]
		if delete(left, w.Name); !ok {
			missing = append(missing, k.Resource+"/"+w.Name)
			continue
		}
		if w.Version == "" { // so discovery says: as the kind's
			w.Group, w.Version = k.GVK.Group, k.GVK.Version
		}
		if sub.GVK.Group != w.Group || sub.GVK.Version != w.Version || sub.GVK.Kind != w.Kind || !slices.Equal(sub.Verbs, w.Verbs) {
			t.Errorf("%s/%s: got %s %v, want %s/%s %s %v", k.Resource, w.Name, sub.GVK, sub.Verbs, w.Group, w.Version, w.Kind, w.Verbs)
		}
	}
	for name := range left {
		t.Errorf("%s/%s: upstream has none", k.Resource, name)
	}
	return missing
}

// TestKindsAreWhole checks what serving relies on, of every kind.
func TestKindsAreWhole(t *testing.T) {
	prefixes := map[string]string{}
	for _, k := range all.Kinds() {
		if k.View != nil {
			if other := prefixes[k.View.Hub.Prefix()]; other != k.View.Hub.Resource {
				t.Errorf("%s shows what is listed after it or nowhere", k.GVR())
			}
		} else if other := prefixes[k.Prefix()]; other != "" {
			t.Errorf("%s is stored where %s is: %s", k.Resource, other, k.Prefix())
		}
		prefixes[k.Prefix()] = k.Resource
		if lists := k.Verbs == nil || slices.Contains(k.Verbs, "list"); lists {
			items := reflect.ValueOf(k.NewList()).Elem().FieldByName("Items")
			if made := reflect.TypeOf(k.New()).Elem(); !items.IsValid() || items.Type().Elem() != made {
				t.Errorf("%s: the list holds %s, not %s", k.Resource, items.Type(), made)
			}
		}
		if !slices.ContainsFunc(k.Table(), func(c kinds.Column) bool { return c.Name == "Name" }) {
			t.Errorf("%s: no column has the name", k.Resource)
		}
		for _, sub := range k.Subresources {
			ways := 0
			for _, set := range []bool{sub.Update != nil, sub.Create != nil, sub.Node != nil, sub.Proxy != nil, sub.Scale != nil} {
				if set {
					ways++
				}
			}
			if ways != 1 {
				t.Errorf("%s/%s is served in %d ways, not one", k.Resource, sub.Name, ways)
			}
		}
	}
}
