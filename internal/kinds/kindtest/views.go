package kindtest

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/randfill"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Lossless holds that what a view's hub can hold, filled by fill and defaulted, comes back from the view's form whole.
func Lossless(t *testing.T, k *kinds.Kind, fill *randfill.Filler) {
	t.Helper()
	for range 200 {
		hub := k.View.Hub.New()
		fill.Fill(hub)
		defaults(t, k.GVK.String(), k.View.Hub, hub)
		obj, err := k.View.To(hub)
		if err != nil {
			t.Fatalf("%s: %v\n%+v", k.GVK, err, hub)
		}
		if back := k.View.From(obj); !equality.Semantic.DeepEqual(back, hub) {
			t.Fatalf("%s: through the view:\n got %+v\nwant %+v", k.GVK, back, hub)
		}
	}
}

// views holds that a view's form survives, that nothing changes what it converts, and that what has been through the other form once loses nothing more: what
// it loses then, upstream loses too (see Lossless).
func views(t *testing.T, at string, k *kinds.Kind, fill *randfill.Filler) {
	t.Helper()
	same := func(what string, got, want kinds.Object) {
		t.Helper()
		if !equality.Semantic.DeepEqual(got, want) {
			t.Fatalf("%s: %s:\n got %+v\nwant %+v", at, what, got, want)
		}
	}
	shown := func(hub kinds.Object) kinds.Object {
		t.Helper()
		was := hub.DeepCopyObject().(kinds.Object)
		obj, err := k.View.To(hub)
		if err != nil {
			t.Fatalf("%s: %v", at, err)
		}
		same("what was shown", hub, was)
		return obj
	}
	for range 200 {
		hub, obj := k.View.Hub.New(), k.New()
		fill.Fill(hub)
		fill.Fill(obj)
		survives(t, at, k, obj)
		defaults(t, at, k.View.Hub, hub)
		again := k.View.From(shown(hub))
		same("the hub's object through the view", k.View.From(shown(again)), again)
		stored := k.View.Own(obj)
		if f := k.View.Hub.Default; f != nil {
			f(stored)
		}
		once := shown(stored)
		same("the view's object through the hub", shown(k.View.From(once.DeepCopyObject().(kinds.Object))), once)
	}
}
