package claim

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

var (
	things = corev1.SchemeGroupVersion.WithResource("pods")
	owners = corev1.SchemeGroupVersion.WithResource("replicationcontrollers")
	gvk    = corev1.SchemeGroupVersion.WithKind("ReplicationController")
)

// world is an API with an owner of app=web, another one, and things in the namespace default.
func world(t *testing.T) (*controllertest.Cluster, Owner, Owner) {
	t.Helper()
	c := controllertest.New(clocktesting.NewFakePassiveClock(time.Unix(100, 0)))
	var list []Owner
	for _, name := range []string{"web", "other"} {
		o := &corev1.ReplicationController{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.ReplicationControllerSpec{Selector: map[string]string{"app": name}}}
		obj, err := c.Create(context.Background(), owners, o, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, Owner{Object: obj, GVK: gvk, Selector: labels.SelectorFromSet(o.Spec.Selector)})
	}
	return c, list[0], list[1]
}

func add(t *testing.T, c *controllertest.Cluster, name, app string, by ...Owner) {
	t.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": app}}}
	if name[0] == '-' {
		p.DeletionTimestamp, p.Finalizers = &metav1.Time{Time: time.Unix(1, 0)}, []string{"x/y"}
	}
	if name[0] == '+' {
		p.Namespace = "elsewhere"
	}
	for _, o := range by {
		p.OwnerReferences = append(p.OwnerReferences, o.Reference())
	}
	if _, err := c.Create(context.Background(), things, p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func names(list []*corev1.Pod) (out []string) {
	for _, p := range list {
		out = append(out, p.Name)
	}
	return out
}

func TestObjects(t *testing.T) {
	c, web, other := world(t)
	add(t, c, "mine", "web", web)
	add(t, c, "-mine going", "web", web)
	add(t, c, "strayed", "other", web)
	add(t, c, "theirs", "web", other)
	add(t, c, "orphan", "web")
	add(t, c, "-orphan going", "web")
	add(t, c, "+orphan of another namespace", "web")
	add(t, c, "unlike", "else")
	view, err := c.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	leaving := web.Object.DeepCopyObject().(kinds.Object)
	leaving.SetDeletionTimestamp(&metav1.Time{Time: time.Unix(1, 0)})
	for name, tc := range map[string]struct {
		owner  Owner
		may    func(*corev1.Pod) bool
		mine   []string
		writes []string
	}{
		"all":     {web, nil, []string{"-mine going", "mine", "orphan"}, []string{"strayed to nobody", "orphan to web"}},
		"none":    {web, func(*corev1.Pod) bool { return false }, []string{"-mine going", "mine"}, nil},
		"leaving": {Owner{Object: leaving, GVK: gvk, Selector: web.Selector}, nil, []string{"-mine going", "mine"}, nil},
		"other":   {other, nil, nil, []string{"theirs to nobody"}},
	} {
		mine, writes := Objects(tc.owner, view, things, tc.may)
		var got []string
		for _, w := range writes {
			to, next := "nobody", &corev1.Pod{}
			if err := json.Unmarshal(w.Data, next); err != nil {
				t.Fatal(err)
			}
			if ref := metav1.GetControllerOf(next); ref != nil {
				to = ref.Name
			}
			got = append(got, w.Name+" to "+to)
			if w.Verb != engine.Patch || next.ResourceVersion == "" || next.UID == "" {
				t.Errorf("%s: a write without a precondition: %+v", name, w)
			}
		}
		if !slices.Equal(names(mine), tc.mine) || !slices.Equal(got, tc.writes) {
			t.Errorf("%s: got %q and %q\nwant %q and %q", name, names(mine), got, tc.mine, tc.writes)
		}
	}
}

func TestKeys(t *testing.T) {
	c, web, other := world(t)
	view, err := c.View(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	selector := func(obj kinds.Object) labels.Selector {
		return labels.SelectorFromSet(obj.(*corev1.ReplicationController).Spec.Selector)
	}
	thing := func(app string, by ...Owner) kinds.Object {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", Labels: map[string]string{"app": app}}}
		for _, o := range by {
			p.OwnerReferences = append(p.OwnerReferences, o.Reference())
		}
		return p
	}
	foreign := web
	foreign.GVK.Kind = "Else"
	for name, tc := range map[string]struct {
		change client.Change
		want   []string
	}{
		"new, owned":       {client.Change{New: thing("web", web)}, []string{"default/web"}},
		"deleted":          {client.Change{Old: thing("web", web)}, []string{"default/web"}},
		"same owner":       {client.Change{New: thing("x", web), Old: thing("web", web)}, []string{"default/web"}},
		"another's now":    {client.Change{New: thing("web", other), Old: thing("web", web)}, []string{"default/other", "default/web"}},
		"orphan":           {client.Change{New: thing("other")}, []string{"default/other"}},
		"orphan of nobody": {client.Change{New: thing("else")}, nil},
		"orphan gone":      {client.Change{Old: thing("web")}, nil},
		"adopted":          {client.Change{New: thing("web", web), Old: thing("web")}, []string{"default/web"}},
		"another kind's":   {client.Change{New: thing("web", foreign)}, nil},
	} {
		var got []string
		for _, k := range Keys(owners, gvk, selector)(view, tc.change) {
			got = append(got, k.String())
		}
		if fmt.Sprint(got) != fmt.Sprint(tc.want) {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}
