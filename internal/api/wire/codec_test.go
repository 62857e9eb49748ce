package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

// stored makes n configmaps and returns their items and what writes them.
func stored(t *testing.T, n, size int) (*codec, []*store.Item) {
	t.Helper()
	c := apitest.New(t)
	k := c.API.Kind(corev1.SchemeGroupVersion.WithResource("configmaps"))
	req := api.Request{User: apitest.Administrator(), Kind: k, Namespace: metav1.NamespaceDefault}
	for i := range n {
		obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("c%04d", i)}, Data: map[string]string{"text": string(bytes.Repeat([]byte("text"), size/4))}}
		if _, err := c.API.Create(t.Context(), req, obj, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := c.API.List(t.Context(), req, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return codecsOf([]*kinds.Kind{k}, nil)[k], list.Items
}

func TestListsLeaveOnlyWhatFitsInTheCache(t *testing.T) {
	for _, test := range []struct {
		items, size int
		kept        bool
	}{{3, 1000, true}, {30, 100_000, false}} {
		x, items := stored(t, test.items, test.size)
		var doc []byte
		err := x.listJSON(api.List{Items: items, Revision: 1}, func(b []byte) error {
			doc = append(doc, b...)
			return nil
		})
		var list corev1.ConfigMapList
		if err := json.Unmarshal(doc, &list); err != nil {
			t.Fatal(err)
		}
		if err != nil || len(list.Items) != test.items {
			t.Errorf("%d items, %v", len(list.Items), err)
		}
		for i, item := range items {
			if got := item.Cached(formJSON) != nil; got != test.kept {
				t.Errorf("item %d of %d with %d bytes: kept %v", i, test.items, test.size, got)
			}
			want, err := api.Object(item)
			if err != nil || list.Items[i].Name != want.GetName() || list.Items[i].ResourceVersion != want.GetResourceVersion() {
				t.Errorf("item %d is %v, %v", i, list.Items[i].ObjectMeta, err)
			}
		}
	}
}

// What an answer costs in allocations is what the collector has to do for it, beside the time to make it.
func TestAllocations(t *testing.T) {
	x, items := stored(t, 1, 1000)
	dst := make([]byte, 0, 8<<10)
	for name, test := range map[string]struct {
		do   func() ([]byte, error)
		most float64
	}{
		"an item of a list":           {func() ([]byte, error) { return x.append(dst, items[0], 7, nil) }, 0},
		"an item that is alone":       {func() ([]byte, error) { return x.typed(items[0], items[0].Revision) }, 1},
		"the same with a line's end":  {func() ([]byte, error) { return x.finished(items[0]) }, 1},
		"an item in its own envelope": {func() ([]byte, error) { return x.protobuf(items[0], items[0].Revision) }, 9},
	} {
		got := testing.AllocsPerRun(200, func() {
			if _, err := test.do(); err != nil {
				t.Fatal(err)
			}
		})
		if got > test.most {
			t.Errorf("%s: %v allocations, want %v at most", name, got, test.most)
		}
	}
}

func (x *codec) finished(item *store.Item) ([]byte, error) {
	doc, err := x.typed(item, item.Revision)
	if err != nil {
		return nil, err
	}
	return format{media: mediaJSON}.finish(doc)
}
