// Package resourcequota counts what the objects of a namespace use of its resource quotas.
//
// # Vocabulary
//
// A quota wants limits; its status repeats those that are in force and says what is used. To count is to measure all objects that a quota covers, as package
// kinds/quota does. To replenish is to count again because something became free.
//
// # Laws
//
//   - A count rests on one view, and is written on condition that the quota is still as that view shows it. Admission charges every object in one transaction
//     with its quota, so nothing that a count has not seen can have been charged: what is written is never too low.
//   - New limits are counted at once, and once more when they are in force: what was written between the first count and that moment was not charged.
//   - Whatever frees something wakes the quotas of its namespace: deletions, and changes that use less. What only time frees (a pod that should long be
//     gone) is found by counting every five minutes, as upstream does.
//   - A quota on what is not served, or not measured, keeps its limit and says nothing of its use.
//
// # What it leaves to others
//
// Refusing what would pass a limit belongs to the admission plug-in ResourceQuota.
package resourcequota

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/quota"
)

// resync is when a quota is counted again without a cause.
const resync = 5 * time.Minute

var quotas = corev1.SchemeGroupVersion.WithResource("resourcequotas")

// New returns the controller; it counts objects of the kinds that catalog names at the time.
func New(catalog engine.Catalog) engine.Controller {
	return engine.Controller{
		Name: "resourcequota", Component: "resourcequota-controller", Queue: "resourcequota_primary",
		User: "system:serviceaccount:kube-system:resourcequota-controller", Workers: 5,
		Every: func(k *kinds.Kind) func(client.View, client.Change) []engine.Key {
			if k.GVR() == quotas {
				return func(_ client.View, ch client.Change) []engine.Key { return changed(ch) }
			}
			meter, ok := quota.For(k.GVR().GroupResource())
			if !ok || !k.Namespaced {
				return nil
			}
			return func(view client.View, ch client.Change) []engine.Key { return replenished(meter, view, ch) }
		},
		Outputs: []engine.Output{{Resource: quotas, Fields: []string{"status"}}},
		Reconcile: func(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
			q, ok := view.Get(quotas, key.Namespace, key.Name).(*corev1.ResourceQuota)
			if !ok {
				return engine.Plan{}, nil
			}
			return recount(q, measured(catalog), quota.At{Now: now, See: reader{view}}), nil
		},
	}
}

// measured are the resources that have objects in namespaces.
func measured(catalog engine.Catalog) (out []schema.GroupVersionResource) {
	served, _ := catalog()
	for _, k := range served {
		if k.Namespaced && k.Keeps() {
			out = append(out, k.GVR())
		}
	}
	return out
}

// recount writes what is used when that is not what the quota says.
func recount(q *corev1.ResourceQuota, resources []schema.GroupVersionResource, at quota.At) engine.Plan {
	hard := quota.Add(nil, q.Spec.Hard)
	used := quota.Add(nil, q.Status.Used)
	for name, n := range quota.Count(q, resources, at) {
		used[name] = n
	}
	used = quota.Only(used, quota.Names(hard))
	plan := engine.Plan{After: resync}
	fresh := !equality.Semantic.DeepEqual(q.Spec.Hard, q.Status.Hard) || q.Status.Hard == nil || q.Status.Used == nil
	if !fresh && quota.Same(used, q.Status.Used) {
		return plan
	}
	next := q.DeepCopy()
	next.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: used}
	plan.Writes = []engine.Write{engine.NewUpdate(quotas, next, "status")}
	return plan
}

// changed wakes a quota that wants other limits, or has others in force, than before.
func changed(ch client.Change) []engine.Key {
	next, ok := ch.New.(*corev1.ResourceQuota)
	if !ok {
		return nil
	}
	old, ok := ch.Old.(*corev1.ResourceQuota)
	if ok && equality.Semantic.DeepEqual(old.Spec, next.Spec) && equality.Semantic.DeepEqual(old.Status.Hard, next.Status.Hard) {
		return nil
	}
	return []engine.Key{{Resource: quotas, Namespace: next.Namespace, Name: next.Name}}
}

// replenished wakes the quotas of a namespace that measure an object, when it used more before or is gone.
func replenished(meter quota.Meter, view client.View, ch client.Change) (keys []engine.Key) {
	if !limited(view, ch.Newest().GetNamespace()) {
		return nil // to measure every pod for nobody was a thirtieth of what binding it allocated
	}
	at := quota.At{See: reader{view}}
	if ch.Old == nil && (meter.Charged == nil || len(meter.Usage(ch.New, at)) > 1) {
		return nil // admission has charged it
	}
	// A stream that begins anew shows what became of an object in between, not each step: one that is over when it is first seen counts as an object only, and one of another UID
	// stands in the place of one that is gone. What these had is free.
	if ch.New != nil && ch.Old != nil && ch.New.GetUID() == ch.Old.GetUID() {
		if meter.Charged == nil {
			return nil // it counts as one, whatever it says
		}
		if quota.Same(meter.Usage(ch.Old, at), meter.Usage(ch.New, at)) && !scopesDiffer(meter, view, ch) {
			return nil
		}
	}
	for obj := range view.List(quotas, ch.Newest().GetNamespace()) {
		q := obj.(*corev1.ResourceQuota)
		if len(meter.Names(quota.Names(q.Status.Hard), at)) > 0 {
			keys = append(keys, engine.Key{Resource: quotas, Namespace: q.Namespace, Name: q.Name})
		}
	}
	return keys
}

// limited says whether a namespace has quotas.
func limited(view client.View, namespace string) bool {
	for range view.List(quotas, namespace) {
		return true
	}
	return false
}

// scopesDiffer says whether an object has come into or left the scopes of a quota of its namespace.
func scopesDiffer(meter quota.Meter, view client.View, ch client.Change) bool {
	for obj := range view.List(quotas, ch.New.GetNamespace()) {
		if q := obj.(*corev1.ResourceQuota); meter.Within(q, ch.Old) != meter.Within(q, ch.New) {
			return true
		}
	}
	return false
}

// reader shows a view to what is pure.
type reader struct{ view client.View }

var _ kinds.Reader = reader{}

// Get implements kinds.Reader.
func (r reader) Get(res schema.GroupVersionResource, namespace, name string) kinds.Object {
	return r.view.Get(res, namespace, name)
}

// Label implements kinds.Reader.
func (r reader) Label(res schema.GroupVersionResource, namespace, name, key string) (string, bool) {
	return kinds.LabelOf(r.Get(res, namespace, name), key)
}

// Each implements kinds.Reader.
func (r reader) Each(res schema.GroupVersionResource, namespace string, f func(kinds.Object) bool) {
	for obj := range r.view.List(res, namespace) {
		if !f(obj) {
			return
		}
	}
}
