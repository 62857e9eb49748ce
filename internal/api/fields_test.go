package api_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/kinds"
)

func request(c *apitest.Cluster, resource, name, manager string) api.Request {
	req := api.Request{User: apitest.Administrator(), Kind: c.API.Kind(corev1.SchemeGroupVersion.WithResource(resource)), Name: name, Manager: manager}
	if req.Kind.Namespaced {
		req.Namespace = "default"
	}
	return req
}

// owners is who owns the fields of an object: "manager manager".
func owners(obj kinds.Object) string {
	var names []string
	for _, e := range obj.GetManagedFields() {
		names = append(names, e.Manager)
	}
	return strings.Join(names, " ")
}

// TestTimesAloneAreNotWritten: the kind takes back what the manager asks for, and owns since the first time. Only then the object did not change.
func TestTimesAloneAreNotWritten(t *testing.T) {
	c := apitest.New(t)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{ProviderID: "p"}}
	result, err := c.API.Create(t.Context(), request(c, "nodes", "", "one"), node, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var versions []string
	for range 3 {
		c.Clock.Step(time.Minute)
		next := result.Object.DeepCopyObject().(*corev1.Node)
		//lint:ignore SA1019 the kind drops it
		next.Spec.ConfigSource, next.ResourceVersion = &corev1.NodeConfigSource{}, ""
		next.ManagedFields = nil
		if result, err = c.API.Update(t.Context(), request(c, "nodes", "n", "two"), next, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		obj := result.Object.(kinds.Object)
		if got := owners(obj); got != "one two" {
			t.Errorf("owners are %q", got)
		}
		versions = append(versions, obj.GetResourceVersion())
	}
	if versions[0] != versions[1] || versions[1] != versions[2] {
		t.Errorf("versions %v: it changed after the first", versions)
	}
}

// TestTooLargeWithItsOwners: what would fit without managed fields is stored without them; what is applied is refused.
func TestTooLargeWithItsOwners(t *testing.T) {
	c := apitest.New(t)
	large := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"}, Data: map[string]string{"long": strings.Repeat("x", 400_000)}}
	var patch strings.Builder
	patch.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\ndata:\n  long: " + large.Data["long"] + "\n")
	for i := range 30000 {
		key := fmt.Sprintf("key-%016d", i)
		large.Data[key] = ""
		fmt.Fprintf(&patch, "  %s: \"\"\n", key)
	}
	created, err := c.API.Create(t.Context(), request(c, "configmaps", "", "one"), large, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := owners(created.Object.(kinds.Object)); got != "" {
		t.Errorf("it is owned by %q", got)
	}
	_, err = c.API.Patch(t.Context(), request(c, "configmaps", "b", ""), api.Patch{Type: types.ApplyYAMLPatchType, Data: []byte(patch.String())}, metav1.PatchOptions{FieldManager: "one"})
	if err == nil || !strings.Contains(err.Error(), "request is too large") {
		t.Errorf("applied: %v", err)
	}
}

// TestAppliesMeet: many managers apply one object at once, which none of them finds; each owns what it declared, and nothing is lost.
func TestAppliesMeet(t *testing.T) {
	c := apitest.New(t)
	const managers = 12
	var all sync.WaitGroup
	for i := range managers {
		all.Go(func() {
			doc := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k%d: \"1\"}\n", i)
			_, err := c.API.Patch(t.Context(), request(c, "configmaps", "a", ""), api.Patch{Type: types.ApplyYAMLPatchType, Data: []byte(doc)},
				metav1.PatchOptions{FieldManager: fmt.Sprint("m", i)})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	result, err := c.API.Get(t.Context(), request(c, "configmaps", "a", ""), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := result.Decoded()
	if err != nil {
		t.Fatal(err)
	}
	obj := decoded.(*corev1.ConfigMap)
	if len(obj.Data) != managers || len(obj.ManagedFields) != managers {
		t.Errorf("%d keys, owners %s", len(obj.Data), owners(obj))
	}
	for _, e := range obj.ManagedFields {
		if want := c.Clock.Now(); e.Operation != metav1.ManagedFieldsOperationApply || !e.Time.Time.Equal(want) {
			t.Errorf("%s by %s at %v, want %v", e.Manager, e.Operation, e.Time, want)
		}
	}
}
