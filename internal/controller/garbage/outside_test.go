package garbage_test

import (
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/garbage"
)

// others have one kind, thing, and say of each what they are told to.
type others struct {
	namespaced bool
	answer     func() (metav1.Object, error)
	asked      int
	place      string
}

func (o *others) Serves(gvk schema.GroupVersionKind) (namespaced, ok bool) {
	return o.namespaced, gvk == schema.GroupVersionKind{Group: "x.example.com", Version: "v1", Kind: "Thing"}
}

func (o *others) Object(_ schema.GroupVersionKind, namespace, name string) (metav1.Object, error) {
	o.asked, o.place = o.asked+1, namespace+"/"+name
	return o.answer()
}

// TestOwnersElsewhere: a dependent goes only when the server of its owner says that this is gone.
func TestOwnersElsewhere(t *testing.T) {
	meta := func(uid string, change func(*metav1.ObjectMeta)) func() (metav1.Object, error) {
		m := &metav1.ObjectMeta{Name: "t", UID: types.UID(uid)}
		if change != nil {
			change(m)
		}
		return func() (metav1.Object, error) { return m, nil }
	}
	fails := func(err error) func() (metav1.Object, error) {
		return func() (metav1.Object, error) { return nil, err }
	}
	for name, c := range map[string]struct {
		answer  func() (metav1.Object, error)
		kind    string
		deleted bool
		waits   string
	}{
		"there":   {meta("u", nil), "Thing", false, ""},
		"gone":    {fails(apierrors.NewNotFound(schema.GroupResource{Resource: "things"}, "t")), "Thing", true, ""},
		"another": {meta("other", nil), "Thing", true, ""},
		"going":   {meta("u", func(m *metav1.ObjectMeta) { m.DeletionTimestamp = &metav1.Time{} }), "Thing", false, ""},
		"waiting": {meta("u", func(m *metav1.ObjectMeta) {
			m.DeletionTimestamp, m.Finalizers = &metav1.Time{}, []string{"foregroundDeletion"}
		}), "Thing", true, ""},
		"silent":    {fails(errors.New("no answer")), "Thing", false, "the server of x.example.com/v1 to say whether there is Thing t: no answer"},
		"forbidden": {fails(apierrors.NewForbidden(schema.GroupResource{}, "t", nil)), "Thing", false, `the server of x.example.com/v1 to say whether there is Thing t: forbidden: <nil>`},
		"of nobody": {nil, "Nothing", false, "x.example.com/v1 Nothing to be served"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTree(t)
			w.add("default", "d", metav1.OwnerReference{APIVersion: "x.example.com/v1", Kind: c.kind, Name: "t", UID: "u"})
			servers := &others{namespaced: true, answer: c.answer}
			ctl := garbage.New(catalogOf(maps_, spaces), servers)
			look := func(later time.Duration) engine.Plan {
				t.Helper()
				view, err := w.client.View(w.ctx)
				if err != nil {
					t.Fatal(err)
				}
				plan, err := ctl.Reconcile(view, engine.Key{Resource: maps_, Namespace: "default", Name: "d"}, w.sim.Clock.Now().Add(later))
				if err != nil {
					t.Fatal(err)
				}
				return plan
			}
			plan := look(0)
			if deleted := len(plan.Writes) == 1 && plan.Writes[0].Verb == engine.Delete; deleted != c.deleted || len(plan.Writes) > 1 {
				t.Errorf("deleted %t, want %t: %v", deleted, c.deleted, plan.Writes)
			}
			if plan.After != time.Minute || plan.Waiting != c.waits {
				t.Errorf("again after %v, waiting for %q; want a minute and %q", plan.After, plan.Waiting, c.waits)
			}
			if c.answer != nil && servers.place != "default/t" {
				t.Errorf("asked for %s", servers.place)
			}
			look(29 * time.Second)
			look(30 * time.Second)
			if want := map[bool]int{true: 2, false: 3}[name == "there" || name == "going"]; c.answer != nil && servers.asked != want {
				t.Errorf("asked %d times within half a minute, want %d", servers.asked, want)
			}
		})
	}
}

// TestOwnersElsewhereThatAreMisplaced: what has no namespace cannot be owned by what has one.
func TestOwnersElsewhereThatAreMisplaced(t *testing.T) {
	w := newTree(t)
	w.add("", "r", metav1.OwnerReference{APIVersion: "x.example.com/v1", Kind: "Thing", Name: "t", UID: "u"})
	servers := &others{namespaced: true, answer: func() (metav1.Object, error) { return nil, apierrors.NewNotFound(schema.GroupResource{}, "t") }}
	view, err := w.client.View(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := garbage.New(catalogOf(maps_, roles, spaces), servers).Reconcile(view, engine.Key{Resource: roles, Name: "r"}, w.sim.Clock.Now())
	if err != nil || len(plan.Writes) != 0 || servers.asked != 0 {
		t.Errorf("got %v, asked %d times (%v)", plan.Writes, servers.asked, err)
	}
}
