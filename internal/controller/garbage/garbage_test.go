package garbage_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/garbage"
	"github.com/floe-k8s/floe/internal/kinds"
)

// tree is a world in which a test makes what it wants.
type tree struct {
	*world
	ctx context.Context
}

func newTree(t *testing.T) tree { return tree{newWorld(t, 1), t.Context()} }

// add creates a config map, or with ns "" a cluster role, that has owners.
func (w tree) add(ns, name string, owners ...metav1.OwnerReference) metav1.OwnerReference {
	w.t.Helper()
	meta := metav1.ObjectMeta{Namespace: ns, Name: name, OwnerReferences: owners}
	res, kind, obj := maps_, "ConfigMap", kinds.Object(&corev1.ConfigMap{ObjectMeta: meta})
	if ns == "" {
		res, kind, obj = roles, "ClusterRole", &rbacv1.ClusterRole{ObjectMeta: meta}
	}
	stored, err := w.client.Create(w.ctx, res, obj, metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return metav1.OwnerReference{APIVersion: res.GroupVersion().String(), Kind: kind, Name: name, UID: stored.GetUID()}
}

func (w tree) delete(ns, name string, policy metav1.DeletionPropagation) {
	w.t.Helper()
	res := maps_
	if ns == "" {
		res = roles
	}
	if _, err := w.client.Delete(w.ctx, res, ns, name, metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
		w.t.Fatal(err)
	}
}

func (w tree) settle() {
	w.t.Helper()
	if err := w.sim.Settle(w.ctx); err != nil {
		w.t.Fatal(err)
	}
}

// left are the config maps and the cluster roles of tests that are there, each with the names of its owners.
func (w tree) left() string {
	w.t.Helper()
	view, err := w.client.View(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, res := range []client.Resource{maps_, roles} {
		for obj := range view.List(res, "") {
			if obj.GetName() == "kube-root-ca.crt" || strings.Contains(obj.GetName(), ":") {
				continue
			}
			text := strings.TrimPrefix(obj.GetNamespace()+"/"+obj.GetName(), "/")
			for _, ref := range obj.GetOwnerReferences() {
				text += "<" + ref.Name
			}
			all = append(all, text)
		}
	}
	return strings.Join(all, " ")
}

func (w tree) want(what, want string) {
	w.t.Helper()
	if got := w.left(); got != want {
		w.t.Errorf("%s: left %q, want %q", what, got, want)
	}
}

func blocking(ref metav1.OwnerReference) metav1.OwnerReference {
	yes := true
	ref.BlockOwnerDeletion = &yes
	return ref
}

func TestDeletionPolicies(t *testing.T) {
	for policy, want := range map[metav1.DeletionPropagation]string{
		metav1.DeletePropagationBackground: "default/b default/x<b",
		metav1.DeletePropagationForeground: "default/b default/x<b",
		metav1.DeletePropagationOrphan:     "default/b default/c default/d<c default/x<b",
	} {
		w := newTree(t)
		a, b := w.add("default", "a"), w.add("default", "b")
		c := w.add("default", "c", blocking(a))
		w.add("default", "d", blocking(c))
		w.add("default", "x", a, b)
		w.settle()
		w.want("before", "default/a default/b default/c<a default/d<c default/x<a<b")
		w.delete("default", "a", policy)
		w.settle()
		w.want(string(policy), want)
	}
}

// TestForegroundWaits: the owner stays until those that block it are gone, and for no others.
func TestForegroundWaits(t *testing.T) {
	w := newTree(t)
	a := w.add("default", "a")
	for name, ref := range map[string]metav1.OwnerReference{"blocks": blocking(a), "lets": a} {
		held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Finalizers: []string{"example.com/held"}, OwnerReferences: []metav1.OwnerReference{ref}}}
		if _, err := w.client.Create(w.ctx, maps_, held, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w.delete("default", "a", metav1.DeletePropagationForeground)
	w.settle()
	w.want("while both are held", "default/a default/blocks<a default/lets<a")
	obj, err := w.client.Get(w.ctx, maps_, "default", "blocks")
	if err != nil {
		t.Fatal(err)
	}
	if obj.GetDeletionTimestamp() == nil {
		t.Error("the dependent was not deleted")
	}
	free := obj.DeepCopyObject().(kinds.Object)
	free.SetFinalizers(nil)
	if _, err := w.client.Update(w.ctx, maps_, free, ""); err != nil {
		t.Fatal(err)
	}
	w.settle()
	w.want("when the one that blocks is gone", "default/lets<a")
}

// TestUnblockedOwnersGo: a dependent that no longer names the owner, or no longer blocks it, sets it free.
func TestUnblockedOwnersGo(t *testing.T) {
	for what, change := range map[string]func(kinds.Object){
		"another owner": func(o kinds.Object) { o.SetOwnerReferences(o.GetOwnerReferences()[:1]) },
		"no block": func(o kinds.Object) {
			no := false
			refs := o.GetOwnerReferences()
			refs[1].BlockOwnerDeletion = &no
			o.SetOwnerReferences(refs)
		},
	} {
		w := newTree(t)
		a, unknown := w.add("default", "a"), metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Thing", Name: "t", UID: "t"}
		w.add("default", "d", unknown, blocking(a)) // left alone, since nobody can tell what owns it
		w.delete("default", "a", metav1.DeletePropagationForeground)
		w.settle()
		w.want(what+", before", "default/a default/d<t<a")
		obj, err := w.client.Get(w.ctx, maps_, "default", "d")
		if err != nil {
			t.Fatal(err)
		}
		next := obj.DeepCopyObject().(kinds.Object)
		change(next)
		if _, err := w.client.Update(w.ctx, maps_, next, ""); err != nil {
			t.Fatal(err)
		}
		w.settle()
		if got := w.left(); strings.HasPrefix(got, "default/a ") {
			t.Errorf("%s: left %q, want a gone", what, got)
		}
	}
}

// TestCircleGoes: objects that wait for each other in a circle go together.
func TestCircleGoes(t *testing.T) {
	w := newTree(t)
	a := w.add("default", "a")
	b := w.add("default", "b", blocking(a))
	c := w.add("default", "c", blocking(b))
	obj, err := w.client.Get(w.ctx, maps_, "default", "a")
	if err != nil {
		t.Fatal(err)
	}
	next := obj.DeepCopyObject().(kinds.Object)
	next.SetOwnerReferences([]metav1.OwnerReference{blocking(c)})
	if _, err := w.client.Update(w.ctx, maps_, next, ""); err != nil {
		t.Fatal(err)
	}
	w.delete("default", "a", metav1.DeletePropagationForeground)
	w.settle()
	w.want("circle", "")
}

// TestOwnersThatAreNot: what becomes of an object whose reference names nothing that it could have.
func TestOwnersThatAreNot(t *testing.T) {
	other := metav1.ObjectMeta{Name: "other"}
	for what, c := range map[string]struct {
		ns     string
		change func(a *metav1.OwnerReference)
		stays  bool
		event  string
	}{
		"all is well":     {ns: "default", stays: true},
		"another uid":     {ns: "default", change: func(a *metav1.OwnerReference) { a.UID = "none" }},
		"another name":    {ns: "default", change: func(a *metav1.OwnerReference) { a.Name = "none" }},
		"another kind":    {ns: "default", change: func(a *metav1.OwnerReference) { a.Kind = "Secret" }},
		"unknown kind":    {ns: "default", change: func(a *metav1.OwnerReference) { a.Kind = "Thing" }, stays: true},
		"unknown version": {ns: "default", change: func(a *metav1.OwnerReference) { a.APIVersion = "v7" }, stays: true},
		"unknown group":   {ns: "default", change: func(a *metav1.OwnerReference) { a.APIVersion = "example.com/v1" }, stays: true},
		"in another namespace": {ns: "other",
			event: `ownerRef [v1/ConfigMap, namespace: other, name: a, uid: %s] does not exist in namespace "other"`},
		"in no namespace": {ns: "", stays: true,
			event: `ownerRef [v1/ConfigMap, namespace: , name: a, uid: %s] does not exist in namespace ""`},
	} {
		t.Run(what, func(t *testing.T) {
			w := newTree(t)
			if _, err := w.client.Create(w.ctx, spaces, &corev1.Namespace{ObjectMeta: other}, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			a := w.add("default", "a")
			ref := a
			if c.change != nil {
				c.change(&ref)
			}
			w.add(c.ns, "d", ref)
			res := maps_
			if c.ns == "" {
				res = roles
			}
			ctl := garbage.New(catalogOf(maps_, secrets, roles, spaces), nil)
			events, _, err := controllertest.Step(w.ctx, w.client, ctl, engine.Key{Resource: res, Namespace: c.ns, Name: "d"}, w.sim.Clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			if c.event != "" {
				want = []string{fmt.Sprintf(c.event, a.UID)}
			}
			if !slices.Equal(events, want) {
				t.Errorf("events %q, want %q", events, want)
			}
			w.settle()
			if stays := strings.Contains(w.left(), "d<"); stays != c.stays {
				t.Errorf("it stays: %v, want %v", stays, c.stays)
			}
		})
	}
}

// TestAdoptedMeanwhile: an object that was given an owner after it was judged is not deleted.
func TestAdoptedMeanwhile(t *testing.T) {
	w := newTree(t)
	a := w.add("default", "a")
	w.add("default", "d", metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "gone", UID: "gone"})
	view, err := w.client.View(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := garbage.New(catalogOf(maps_, spaces), nil).Reconcile(view, engine.Key{Resource: maps_, Namespace: "default", Name: "d"}, w.sim.Clock.Now())
	if err != nil || len(plan.Writes) != 1 {
		t.Fatalf("plan %+v, %v: want one deletion", plan, err)
	}
	next := view.Get(maps_, "default", "d").DeepCopyObject().(kinds.Object)
	next.SetOwnerReferences([]metav1.OwnerReference{a})
	if _, err := w.client.Update(w.ctx, maps_, next, ""); err != nil {
		t.Fatal(err)
	}
	del := plan.Writes[0]
	if _, err := w.client.Delete(w.ctx, del.Resource, del.Namespace, del.Name, del.Options); err == nil {
		t.Error("the deletion went through")
	}
	w.settle()
	w.want("adopted", "default/a default/d<a")
}

// TestDeletedWhileAway: owners that went while nobody looked are missed at start.
func TestDeletedWhileAway(t *testing.T) {
	w := newTree(t)
	a := w.add("default", "a")
	w.add("default", "d", a)
	w.delete("default", "a", metav1.DeletePropagationBackground)
	w.settle() // the controllers' first look
	w.want("first look", "")
}

// TestWakesFew: a change that nothing rests on wakes nobody.
func TestWakesFew(t *testing.T) {
	w := newTree(t)
	a := w.add("default", "a")
	w.add("default", "d", a)
	view, err := w.client.View(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	catalog := catalogOf(maps_)
	served, _ := catalog()
	keys := garbage.New(catalog, nil).Every(served[0])
	d := view.Get(maps_, "default", "d")
	next := d.DeepCopyObject().(kinds.Object)
	next.SetLabels(map[string]string{"a": "b"})
	if got := keys(view, client.Change{New: d}); len(got) != 1 {
		t.Errorf("a new object with an owner wakes %v, want itself", got)
	}
	if got := keys(view, client.Change{Old: d, New: next}); len(got) != 0 {
		t.Errorf("a label wakes %v", got)
	}
	if got := keys(view, client.Change{Old: view.Get(maps_, "default", "a")}); len(got) != 1 || got[0].Name != "d" {
		t.Errorf("the owner's end wakes %v, want d", got)
	}
}
