package api_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/store"
)

// TestWhatUpstreamStores reads what kube-apiserver has written to etcd, an object of every kind at least, and holds it against what that server answered for each.
func TestWhatUpstreamStores(t *testing.T) {
	f, err := os.Open("../../test/peers/recorded/stored.zst")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	read := map[string]int{}
	for d := json.NewDecoder(z); ; {
		var r struct {
			Key    string
			Value  []byte
			Answer json.RawMessage
		}
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		var typed metav1.TypeMeta
		var want map[string]any
		if err := errors.Join(json.Unmarshal(r.Answer, &typed), json.Unmarshal(r.Answer, &want)); err != nil {
			t.Fatal(err)
		}
		delete(want["metadata"].(map[string]any), "resourceVersion") // each server counts for itself
		for _, k := range all.Kinds() {
			if k.GVK == typed.GroupVersionKind() {
				read[k.Resource]++
				if diff := cmp.Diff(want, answered(t, k, r.Key, r.Value)); diff != "" {
					t.Errorf("%s: upstream answers, and floe (-, +):\n%s", r.Key, diff)
				}
			}
		}
	}
	for _, k := range all.Kinds() {
		if read[k.Resource] == 0 && len(api.Collections([]*kinds.Kind{k})) > 0 && k.Resource != "events" {
			t.Errorf("%s: nothing is recorded: run `make compare`", k.Resource)
		}
	}
}

// answered is what floe would answer for a stored value, as JSON of any shape, without its version.
func answered(t *testing.T, k *kinds.Kind, key string, value []byte) map[string]any {
	t.Helper()
	if list := api.Collections([]*kinds.Kind{k.Stored()}); len(list) == 1 {
		item := store.NewItem(key, list[0].Canonical(value), 0)
		made, _, err := list[0].Decode(item)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		obj, err := k.Shown(made.(kinds.Object))
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		obj.SetResourceVersion("")
		obj.GetObjectKind().SetGroupVersionKind(k.GVK)
		data, err := json.Marshal(obj)
		if err != nil {
			t.Fatal(err)
		}
		var out map[string]any
		if err := json.Unmarshal(data, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Fatalf("%s: %s has no collection", key, k.Resource)
	return nil
}
