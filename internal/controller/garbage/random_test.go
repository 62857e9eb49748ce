package garbage_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/garbage"
	"github.com/floe-k8s/floe/internal/controller/namespace"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

var (
	seed = flag.Int64("seed", 0, "repeat the run of one seed")
	runs = flag.Int("runs", 25, "random runs")
)

var (
	maps_    = corev1.SchemeGroupVersion.WithResource("configmaps")
	secrets  = corev1.SchemeGroupVersion.WithResource("secrets")
	pods     = corev1.SchemeGroupVersion.WithResource("pods")
	roles    = rbacv1.SchemeGroupVersion.WithResource("clusterroles")
	spaces   = corev1.SchemeGroupVersion.WithResource("namespaces")
	services = client.Resource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
)

// world is an API with a few kinds, users who write what they like, and the two controllers that must tidy up behind them.
type world struct {
	t      *testing.T
	rand   *rand.Rand
	client client.Client
	sim    *controllertest.Simulation
	uids   []metav1.OwnerReference // of all that ever was
	n      int
}

func catalogOf(list ...client.Resource) engine.Catalog {
	var served []*kinds.Kind
	for _, k := range all.Kinds() {
		if slices.Contains(list, k.GVR()) {
			served = append(served, k)
		}
	}
	return func() ([]*kinds.Kind, <-chan struct{}) { return served, nil }
}

func newWorld(t *testing.T, seed int64) *world {
	cluster := apitest.New(t)
	w := &world{t: t, rand: rand.New(rand.NewSource(seed)), client: inprocess.New(cluster.API, apitest.Administrator())}
	catalog := catalogOf(maps_, secrets, pods, roles, spaces, services)
	w.sim = &controllertest.Simulation{Rand: w.rand, Catalog: catalog, Clock: cluster.Clock, Writing: w.check, Client: func(user string) client.Client {
		return inprocess.New(cluster.API, auth.User{Name: user, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", auth.Authenticated}})
	}}
	w.sim.Add(garbage.New(catalog, nil))
	w.sim.Add(namespace.New(catalog))
	return w
}

// check: whatever view it rests on, the collector deletes nothing that has an owner.
func (w *world) check(controller string, write engine.Write) {
	if controller != "garbage" || write.Verb != engine.Delete {
		return
	}
	obj, err := w.client.Get(context.Background(), write.Resource, write.Namespace, write.Name)
	if err != nil || obj.GetUID() != *write.Options.Preconditions.UID || obj.GetResourceVersion() != *write.Options.Preconditions.ResourceVersion {
		return // it will be refused
	}
	for _, ref := range obj.GetOwnerReferences() {
		if w.owned(obj, ref) == "there" {
			w.t.Errorf("%s %s/%s is deleted, which %s %s owns", write.Resource.Resource, write.Namespace, write.Name, ref.Kind, ref.Name)
		}
	}
}

// owned says what the API knows of a reference: there, goes, waits, absent or misplaced.
func (w *world) owned(obj kinds.Object, ref metav1.OwnerReference) string {
	res, ns := map[string]client.Resource{"ConfigMap": maps_, "Secret": secrets, "Pod": pods, "ClusterRole": roles}[ref.Kind], obj.GetNamespace()
	if ref.Kind == "ClusterRole" {
		ns = ""
	} else if ns == "" {
		return "misplaced"
	}
	owner, err := w.client.Get(context.Background(), res, ns, ref.Name)
	switch {
	case apierrors.IsNotFound(err) || err == nil && owner.GetUID() != ref.UID:
		return "absent"
	case err != nil:
		w.t.Fatal(err)
	case owner.GetDeletionTimestamp() != nil && slices.Contains(owner.GetFinalizers(), metav1.FinalizerDeleteDependents):
		return "waits"
	case owner.GetDeletionTimestamp() != nil: // users change how they delete what is being deleted, and may be too late
		return "goes"
	}
	return "there"
}

// create makes an object of some kind in some namespace, with owners of those that ever were.
func (w *world) create(ctx context.Context) {
	w.n++
	meta := metav1.ObjectMeta{Name: fmt.Sprintf("o%d", w.rand.Intn(12)), Namespace: fmt.Sprintf("ns%d", w.rand.Intn(3))}
	for range w.rand.Intn(3) {
		if len(w.uids) > 0 {
			ref := w.uids[max(0, len(w.uids)-1-w.rand.Intn(8))]
			if block := w.rand.Intn(2) == 0; block {
				ref.BlockOwnerDeletion = &block
			}
			if !slices.ContainsFunc(meta.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == ref.UID }) {
				meta.OwnerReferences = append(meta.OwnerReferences, ref)
			}
		}
	}
	if w.rand.Intn(6) == 0 {
		meta.Finalizers = []string{"example.com/held"}
	}
	res, kind, obj := maps_, "ConfigMap", kinds.Object(&corev1.ConfigMap{ObjectMeta: meta})
	switch w.rand.Intn(5) {
	case 0:
		res, kind, obj = secrets, "Secret", &corev1.Secret{ObjectMeta: meta}
	case 1:
		res, kind, obj = pods, "Pod", &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	case 2:
		meta.Namespace = ""
		res, kind, obj = roles, "ClusterRole", &rbacv1.ClusterRole{ObjectMeta: meta}
	}
	stored, err := w.client.Create(ctx, res, obj, metav1.CreateOptions{})
	switch {
	case err == nil:
		gv := res.GroupVersion().String()
		w.uids = append(w.uids, metav1.OwnerReference{APIVersion: gv, Kind: kind, Name: stored.GetName(), UID: stored.GetUID()})
	case !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err):
		w.t.Fatalf("create %s %v: %v", kind, meta, err)
	}
}

// act is what a user does.
func (w *world) act(ctx context.Context) {
	name := fmt.Sprintf("o%d", w.rand.Intn(12))
	ns := fmt.Sprintf("ns%d", w.rand.Intn(3))
	switch w.rand.Intn(8) {
	case 0: // a namespace comes or goes
		if _, err := w.client.Create(ctx, spaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, metav1.CreateOptions{}); err != nil && w.rand.Intn(4) == 0 {
			_, _ = w.client.Delete(ctx, spaces, "", ns, metav1.DeleteOptions{}) // it may be gone already
		}
	case 1, 2:
		res := []client.Resource{maps_, secrets, pods, roles}[w.rand.Intn(4)]
		if res == roles {
			ns = ""
		}
		policy := []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan}[w.rand.Intn(3)]
		_, _ = w.client.Delete(ctx, res, ns, name, metav1.DeleteOptions{PropagationPolicy: &policy}) // it may not be there
	default:
		w.create(ctx)
	}
}

// end lets pods end, as the node would, and holders let go.
func (w *world) end(ctx context.Context) error {
	for _, res := range []client.Resource{maps_, secrets, pods, roles} {
		if err := controllertest.Free(ctx, w.client, res); err != nil {
			return err
		}
	}
	view, err := w.client.View(ctx)
	if err != nil {
		return err
	}
	for pod := range view.List(pods, "") {
		if pod.GetDeletionTimestamp() == nil {
			continue
		}
		now := int64(0)
		if _, err := w.client.Delete(ctx, pods, pod.GetNamespace(), pod.GetName(), metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
			return fmt.Errorf("end pod %s: %w", pod.GetName(), err)
		}
	}
	return nil
}

// tidy reports what must not be left when everybody is done.
func (w *world) tidy(ctx context.Context) {
	view, err := w.client.View(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	for ns := range view.List(spaces, "") {
		if ns.GetDeletionTimestamp() != nil {
			w.t.Errorf("namespace %s is half deleted: %+v", ns.GetName(), ns.(*corev1.Namespace).Status)
		}
	}
	for _, res := range []client.Resource{maps_, secrets, pods, roles} {
		for obj := range view.List(res, "") {
			what := fmt.Sprintf("%s %s/%s of %s", res.Resource, obj.GetNamespace(), obj.GetName(), uidsOf(obj))
			if obj.GetNamespace() != "" && view.Get(spaces, "", obj.GetNamespace()) == nil {
				w.t.Errorf("%s is in no namespace", what)
			}
			if obj.GetDeletionTimestamp() != nil {
				if w.heldByMisplaced(view, obj) {
					continue
				}
				w.t.Errorf("%s is half deleted: %v", what, obj.GetFinalizers())
				continue
			}
			found := map[string]int{}
			for _, ref := range obj.GetOwnerReferences() {
				found[w.owned(obj, ref)]++
			}
			if found["misplaced"] == 0 && found["absent"]+found["waits"] > 0 {
				w.t.Errorf("%s is an orphan: owners %v", what, found)
			}
		}
	}
}

// heldByMisplaced: an object that waits for one that is left alone waits with it, as upstream's does.
func (w *world) heldByMisplaced(view client.View, owner kinds.Object) bool {
	for role := range view.List(roles, "") {
		refs := role.GetOwnerReferences()
		if slices.Contains(uidsOf(role), owner.GetUID()) && slices.ContainsFunc(refs, func(r metav1.OwnerReference) bool { return w.owned(role, r) == "misplaced" }) {
			return true
		}
	}
	return false
}

func uidsOf(obj kinds.Object) (list []types.UID) {
	for _, ref := range obj.GetOwnerReferences() {
		list = append(list, ref.UID)
	}
	return list
}

// TestRandomRuns: whatever users do, and wherever controllers stop, see old states, lose writes and begin anew: nothing that has an owner is deleted, and
// in the end no orphan is left and no namespace is half deleted.
func TestRandomRuns(t *testing.T) {
	first, last := int64(1), int64(*runs)
	if *seed != 0 {
		first, last = *seed, *seed
	}
	for n := first; n <= last; n++ {
		t.Run(fmt.Sprintf("seed=%d", n), func(t *testing.T) {
			w, ctx := newWorld(t, n), t.Context()
			for range 600 {
				if w.rand.Intn(3) == 0 {
					w.act(ctx)
				} else if err := w.sim.Step(ctx); err != nil {
					t.Fatal(err)
				}
			}
			for range 4 { // what goes when others let go may itself be held
				if err := w.sim.Settle(ctx); err != nil {
					t.Fatal(err)
				}
				if err := w.end(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.sim.Settle(ctx); err != nil {
				t.Fatal(err)
			}
			w.tidy(ctx)
		})
	}
}
