// Package bed is a whole API with controllers on it, for their tests: each writes as its own user with upstream's rights and no other, by a
// controllertest.Simulation, whose every step a seed decides.
//
// # Laws
//
//   - A write that a controller's user may not do fails the test, whatever the controller makes of the refusal. What is new in a namespace that is being
//     deleted is refused to everybody, and is no such write.
//   - Time moves only with the simulation and the test.
package bed

import (
	"context"
	"math/rand"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Bed is an API and controllers on it. It is used by one goroutine.
type Bed struct {
	testing.TB
	Rand   *rand.Rand
	Clock  *clocktesting.FakeClock
	Client client.Client // an administrator's
	Sim    *controllertest.Simulation
	api    *apitest.Cluster
}

// New returns a bed with no controllers, which ends with the test. It has the namespaces default and kube-system.
func New(t testing.TB, seed int64) *Bed {
	cluster := apitest.New(t)
	b := &Bed{TB: t, Rand: rand.New(rand.NewSource(seed)), Clock: cluster.Clock, api: cluster}
	b.Client = inprocess.New(cluster.API, apitest.Administrator())
	b.Sim = &controllertest.Simulation{Rand: b.Rand, Clock: cluster.Clock, Client: b.As}
	return b
}

// Admit lets admission plug-ins see every write from now on. It is called before controllers are added.
func (b *Bed) Admit(plugins ...admission.Plugin) {
	cfg := b.api.API.Config
	cfg.Plugins = plugins
	b.api.API = api.New(cfg)
	b.Client = inprocess.New(b.api.API, apitest.Administrator())
}

// As is the API as a user, an account of kube-system's in its groups, whose writes must all be allowed.
func (b *Bed) As(user string) client.Client {
	groups := []string{auth.Authenticated}
	if strings.HasPrefix(user, "system:serviceaccount:") {
		groups = append(groups, "system:serviceaccounts", "system:serviceaccounts:kube-system")
	}
	return held{inprocess.New(b.api.API, auth.User{Name: user, Groups: groups}), b, user}
}

// Put creates an object and returns it as it is stored.
func (b *Bed) Put(res client.Resource, obj kinds.Object) kinds.Object {
	b.Helper()
	stored, err := b.Client.Create(b.Context(), res, obj, metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return stored
}

// Remove deletes what there is of a name.
func (b *Bed) Remove(res client.Resource, namespace, name string) {
	b.Helper()
	if _, err := b.Client.Delete(b.Context(), res, namespace, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		b.Fatal(err)
	}
}

// Change updates an object, or its subresource; nothing when there is none.
func Change[T kinds.Object](b *Bed, res client.Resource, namespace, name, subresource string, change func(T)) {
	b.Helper()
	obj := Get[T](b, res, namespace, name)
	if any(obj) == any(*new(T)) {
		return
	}
	next := obj.DeepCopyObject().(T)
	change(next)
	if _, err := b.Client.Update(b.Context(), res, next, subresource); err != nil {
		b.Fatal(err)
	}
}

// Get returns an object; nil: there is none.
func Get[T kinds.Object](b *Bed, res client.Resource, namespace, name string) (found T) {
	b.Helper()
	obj, err := b.Client.Get(b.Context(), res, namespace, name)
	if apierrors.IsNotFound(err) {
		return found
	}
	if err != nil {
		b.Fatal(err)
	}
	return obj.(T)
}

// Settle lets the controllers do all that is to do.
func (b *Bed) Settle() {
	b.Helper()
	if err := b.Sim.Settle(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// Chance lets act and the controllers take n steps in turns that chance decides, and then settles.
func (b *Bed) Chance(n int, act func()) {
	b.Helper()
	for range n {
		if b.Rand.Intn(3) == 0 {
			act()
		} else if err := b.Sim.Step(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.Settle()
}

// Reconcile asks a controller what it would do about a key at a time.
func (b *Bed) Reconcile(ctl engine.Controller, key engine.Key, now time.Time) engine.Plan {
	b.Helper()
	view, err := b.Client.View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	plan, err := ctl.Reconcile(view, key, now)
	if err != nil {
		b.Fatal(err)
	}
	return plan
}

// held is a client whose user must have the right to all that it writes.
type held struct {
	client.Client
	bed  *Bed
	user string
}

func (h held) check(verb string, res client.Resource, err error) {
	if apierrors.IsForbidden(err) && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		h.bed.Errorf("%s: %s %s: %v", h.user, verb, res.Resource, err)
	}
}

// Create implements client.Client.
func (h held) Create(ctx context.Context, res client.Resource, obj kinds.Object, opts metav1.CreateOptions) (kinds.Object, error) {
	stored, err := h.Client.Create(ctx, res, obj, opts)
	h.check("create", res, err)
	return stored, err
}

// Update implements client.Client.
func (h held) Update(ctx context.Context, res client.Resource, obj kinds.Object, subresource string) (kinds.Object, error) {
	stored, err := h.Client.Update(ctx, res, obj, subresource)
	h.check("update", res, err)
	return stored, err
}

// Patch implements client.Client.
func (h held) Patch(ctx context.Context, res client.Resource, namespace, name string, pt types.PatchType, data []byte, subresource string) (kinds.Object, error) {
	stored, err := h.Client.Patch(ctx, res, namespace, name, pt, data, subresource)
	h.check("patch", res, err)
	return stored, err
}

// Apply implements client.Client.
func (h held) Apply(ctx context.Context, res client.Resource, namespace, name string, data []byte, manager, subresource string) (kinds.Object, error) {
	stored, err := h.Client.Apply(ctx, res, namespace, name, data, manager, subresource)
	h.check("apply", res, err)
	return stored, err
}

// Delete implements client.Client.
func (h held) Delete(ctx context.Context, res client.Resource, namespace, name string, opts metav1.DeleteOptions) (uint64, error) {
	rev, err := h.Client.Delete(ctx, res, namespace, name, opts)
	h.check("delete", res, err)
	return rev, err
}
