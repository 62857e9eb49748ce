package kinds_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
)

func TestCatalogsGoOn(t *testing.T) {
	kind := func(name string) *kinds.Kind {
		return &kinds.Kind{GVK: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: name}, Resource: name + "s"}
	}
	own, added, shadowed := kind("own"), kind("added"), kind("own")
	all := kinds.NewCatalogs([]*kinds.Kind{own})
	before := all.Now()
	all.Extend([]*kinds.Kind{added, shadowed})
	select {
	case <-before.Changed():
	default:
		t.Error("the catalog before does not say that there is a newer one")
	}
	if before.Find(added.GVR()) != nil || len(before.All()) != 1 {
		t.Error("the catalog before has changed")
	}
	now := all.Now()
	if now.Find(added.GVR()) != added || now.Find(own.GVR()) != own || len(now.All()) != 3 {
		t.Errorf("the catalog has %v", now.All())
	}
	select {
	case <-now.Changed():
		t.Error("the newest catalog says that there is a newer one")
	default:
	}
	all.Extend(nil)
	if all.Now().Find(added.GVR()) != nil || all.Now().Find(own.GVR()) != own {
		t.Error("what is always served has gone, or what was added has stayed")
	}
}
