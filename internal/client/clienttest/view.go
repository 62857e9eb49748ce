package clienttest

import (
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

func viewTrials() []trial {
	return []trial{
		{"it states the revision up to which it is complete", func(b *bench) {
			last := b.create(configMaps(), configMap("a"))
			view := b.view()
			if view.Revision() < b.revision(last) {
				b.Errorf("a view at %d holds a write of %s", view.Revision(), last.GetResourceVersion())
			}
			for _, res := range Resources() {
				for obj := range view.List(res, "") {
					if rev := b.revision(obj); rev > view.Revision() {
						b.Errorf("%s %s of %d stands in a view at %d", res.Resource, obj.GetName(), rev, view.Revision())
					}
				}
			}
			b.same("the object", view.Get(configMaps(), home, "a"), last)
			if none := view.Get(configMaps(), home, "none"); none != nil {
				b.Errorf("what is not there is %v", none)
			}
		}},
		{"a list goes through a namespace, or all, in key order", listed},
		{"an index finds what has the value, in key order", looked},
		{"a list may be left early and read twice", func(b *bench) {
			for _, name := range []string{"a", "b", "c"} {
				b.create(pods(), podOn("one", name))
			}
			view := b.view()
			for _, list := range []iter.Seq[kinds.Object]{view.List(pods(), home), view.Lookup(pods(), "spec.nodeName", "one")} {
				for obj := range list {
					if obj.GetName() == "b" {
						break
					}
				}
				equal(b, "read again", names(list), []string{"default/a", "default/b", "default/c"})
			}
		}},
		{"it never changes, and nor do its objects, whatever is written", immutable},
		{"later views are never older", func(b *bench) {
			last := uint64(0)
			for range 50 {
				b.patchOrCreate("a")
				view, err := b.admin.View(b.ctx)
				b.must(err)
				if view.Revision() < last {
					b.Fatalf("a view at %d after one at %d", view.Revision(), last)
				}
				last = view.Revision()
			}
		}},
	}
}

// patchOrCreate makes one more version of a config map.
func (b *bench) patchOrCreate(name string) {
	b.Helper()
	old, err := b.admin.Get(b.ctx, configMaps(), home, name)
	if err != nil {
		b.create(configMaps(), configMap(name))
		return
	}
	next := clone(old).(*corev1.ConfigMap)
	next.Data["k"] = "after " + old.GetResourceVersion()
	b.update(configMaps(), next, "")
}

func names(list iter.Seq[kinds.Object]) []string {
	out := []string{}
	for obj := range list {
		out = append(out, obj.GetNamespace()+"/"+obj.GetName())
	}
	return out
}

// listed has a namespace whose name begins with another's: "-" comes before "/".
func listed(b *bench) {
	b.create(namespaces(), namespace("a"))
	b.create(namespaces(), namespace("a-b"))
	for _, c := range []struct{ namespace, name string }{{"a", "z"}, {"a", "c"}, {"a-b", "c"}, {"a", "c-d"}} {
		b.create(configMaps(), in(c.namespace, configMap(c.name)))
	}
	b.create(nodes(), node("two"))
	b.create(nodes(), node("one"))
	view := b.view()
	for _, c := range []struct {
		res       client.Resource
		namespace string
		want      []string
	}{
		{configMaps(), "a", []string{"a/c", "a/c-d", "a/z"}},
		{configMaps(), "a-b", []string{"a-b/c"}},
		{configMaps(), "", []string{"a-b/c", "a/c", "a/c-d", "a/z"}},
		{configMaps(), "nowhere", nil},
		{nodes(), "", []string{"/one", "/two"}},
	} {
		equal(b, c.res.Resource+" in "+c.namespace, names(view.List(c.res, c.namespace)), c.want)
	}
	if view.Get(nodes(), "", "one") == nil {
		b.Error("a node is not found by its name")
	}
}

func looked(b *bench) {
	for _, p := range []*corev1.Pod{podOn("one", "c"), podOn("two", "b"), podOn("one", "a"), pod("d")} {
		b.create(pods(), p)
	}
	b.create(events(), event("y", "u1"))
	b.create(events(), event("x", "u1"))
	b.create(events(), event("z", "u2"))
	b.create(configMaps(), ownedBy(configMap("a"), "u1"))
	b.create(configMaps(), configMap("b"))
	view := b.view()
	for _, c := range []struct {
		res          client.Resource
		index, value string
		want         []string
	}{
		{pods(), "spec.nodeName", "one", []string{"default/a", "default/c"}},
		{pods(), "spec.nodeName", "", []string{"default/d"}},
		{pods(), "spec.nodeName", "on", nil},
		{pods(), client.OwnerIndex, "u1", nil},
		{events(), "involvedObject.uid", "u1", []string{"default/x", "default/y"}},
		{configMaps(), client.OwnerIndex, "u1", []string{"default/a"}},
	} {
		equal(b, c.res.Resource+" by "+c.index+"="+c.value, names(view.Lookup(c.res, c.index, c.value)), c.want)
	}
}

// immutable holds a view, and copies of all in it, against what it shows after every kind of write.
func immutable(b *bench) {
	for _, name := range []string{"a", "b", "c", "d"} {
		b.create(pods(), pod(name))
	}
	b.create(configMaps(), configMap("a"))
	b.create(nodes(), node("one"))
	view := b.view()
	copies := map[types.UID]kinds.Object{}
	for _, res := range Resources() {
		for obj := range view.List(res, "") {
			copies[obj.GetUID()] = clone(obj)
		}
	}
	b.patch(pods(), "a", `{"metadata":{"labels":{"a":"b"}},"spec":{"activeDeadlineSeconds":9}}`)
	running := clone(b.get(pods(), "b")).(*corev1.Pod)
	running.Status.Phase = corev1.PodRunning
	b.update(pods(), running, "status")
	b.must(b.admin.Bind(b.ctx, []*corev1.Binding{binding("c", "one")})[0])
	b.remove(pods(), "c", metav1.DeleteOptions{})
	b.remove(pods(), "d", metav1.DeleteOptions{})
	b.patch(configMaps(), "a", `{"data":{"k":null,"l":"w"}}`)
	b.create(configMaps(), configMap("b"))
	b.must(second(b.admin.Patch(b.ctx, nodes(), "", "one", types.StrategicMergePatchType, []byte(`{"status":{"conditions":[{"type":"Ready","status":"True"}]}}`), "status")))
	found := 0
	for _, res := range Resources() {
		for obj := range view.List(res, "") {
			if was := copies[obj.GetUID()]; was != nil {
				found++
				b.same(res.Resource+" "+obj.GetName(), obj, was)
			} else {
				b.Errorf("%s %s has come into a view", res.Resource, obj.GetName())
			}
		}
	}
	if found != len(copies) {
		b.Errorf("the view shows %d of %d objects still", found, len(copies))
	}
	equal(b, "the view's index", names(view.Lookup(pods(), "spec.nodeName", "")), []string{"default/a", "default/b", "default/c", "default/d"})
	if slices.Contains(names(b.view().Lookup(pods(), "spec.nodeName", "")), "default/c") {
		b.Error("a new view does not show the binding")
	}
}
