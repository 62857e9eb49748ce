// Package resourcequota is the admission plug-in ResourceQuota: what a namespace's objects use together stays within its quotas.
//
// # Vocabulary
//
// A quota has hard limits and says in its status what is used of them; package kinds/quota measures what an object takes. A charge is a quota with more used.
//
// # Laws
//
//   - Exact: the charge is committed in one transaction with the object, on condition that the quota stands as it was read. Of writes that race, one
//     succeeds and the others are measured again, so that the limit is never passed and nothing is charged for what was not written.
//   - Nothing is ever given back here. What becomes free is found by the controller, which counts anew; so what is used may be said too high for a moment, never
//     too low.
//   - A quota is in force from when the controller has first counted, as upstream's: its limits are those of its status.
//
// # What it leaves to others
//
// Counting belongs to controller/resourcequota.
package resourcequota

import (
	"context"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/quota"
)

var quotas = corev1.SchemeGroupVersion.WithResource("resourcequotas")

// New returns the plug-in. Of what limited names a namespace may use only as much as a quota of it allows; nil: what no quota limits may be used.
func New(limited []Limited) admission.Plugin {
	return admission.Plugin{Name: "ResourceQuota", Charge: func(_ context.Context, a *admission.Attributes) ([]kinds.Write, error) {
		return charge(a, limited)
	}}
}

// write is what is measured.
type write struct {
	*admission.Attributes
	meter    quota.Meter
	at       quota.At
	obj, old kinds.Object
	used     corev1.ResourceList // by obj
}

func charge(a *admission.Attributes, limited []Limited) ([]kinds.Write, error) {
	obj, ok := a.Object.(kinds.Object)
	old, _ := a.Old.(kinds.Object)
	group := a.Resource().GroupResource()
	if !ok || a.Namespace == "" || a.Is("", "namespaces", "") || a.Type != a.Kind.GVK || a.Kind.Answered {
		return nil, nil
	}
	meter, ok := quota.For(group)
	if !ok || !meter.ChargedFor(a.Subresource, obj, old) {
		return nil, nil
	}
	w := &write{Attributes: a, meter: meter, at: quota.At{Now: a.Env.Now, See: a.See}, obj: obj, old: old}
	var list []*corev1.ResourceQuota
	a.See.Each(quotas, a.Namespace, func(seen kinds.Object) bool {
		if q, ok := a.See.Get(quotas, a.Namespace, seen.GetName()).(*corev1.ResourceQuota); ok { // its newest state
			list = append(list, q)
		}
		return true
	})
	if len(list) == 0 && len(limited) == 0 {
		return nil, nil
	}
	return w.check(list, group, limited)
}

// covering is a quota that covers the object, and what of it more is used by the write.
type covering struct {
	quota *corev1.ResourceQuota
	more  corev1.ResourceList
}

// check returns the charges, or refuses the write.
func (w *write) check(list []*corev1.ResourceQuota, group schema.GroupResource, limited []Limited) ([]kinds.Write, error) {
	var found []covering
	var covered []corev1.ResourceName
	var scopes []corev1.ScopedResourceSelectorRequirement
	for _, q := range list {
		for _, s := range quota.Scopes(q) {
			if w.meter.InScope(s, w.obj) {
				scopes = append(scopes, s)
			}
		}
		names := w.meter.Names(quota.Names(q.Status.Hard), w.at)
		if len(names) == 0 || !w.meter.Within(q, w.obj) {
			continue
		}
		if w.meter.Demand != nil {
			if err := w.meter.Demand(names, w.obj); err != nil {
				return nil, w.Forbidf("failed quota: %s: %w", q.Name, err)
			}
		}
		if slices.ContainsFunc(names, func(name corev1.ResourceName) bool { _, known := q.Status.Used[name]; return !known }) {
			return nil, w.Forbidf("status unknown for quota: %s, resources: %s", q.Name, join(names))
		}
		found, covered = append(found, covering{quota: q}), append(covered, names...)
	}
	w.used = w.meter.Usage(w.obj, w.at)
	if below := negative(w.used); len(below) > 0 {
		return nil, w.Forbidf("quota usage is negative for resource(s): %s", join(below))
	}
	more := w.used
	if w.old != nil {
		more = quota.More(w.used, w.meter.Usage(w.old, w.at))
	}
	found, any := w.measure(found, more)
	if !any {
		return nil, nil
	}
	if err := w.uncovered(limited, group, covered, scopes); err != nil {
		return nil, err
	}
	return w.take(found)
}

// measure says what each quota is charged, and leaves out those that are charged nothing; any is whether anything more is used at all.
func (w *write) measure(found []covering, more corev1.ResourceList) (charged []covering, any bool) {
	if len(found) == 0 {
		return nil, hasSome(more)
	}
	for _, c := range found {
		c.more = more
		if w.old != nil && !w.meter.Within(c.quota, w.old) { // it was in no scope of this one before
			c.more = w.used
		}
		if hasSome(c.more) {
			charged = append(charged, c)
		}
	}
	return charged, len(charged) > 0
}

// take returns the quotas with what is taken of them; the first whose limit that passes refuses.
func (w *write) take(found []covering) (writes []kinds.Write, err error) {
	for _, c := range found {
		hard := c.quota.Status.Hard
		asked := quota.Only(c.more, quota.Names(hard))
		for name, q := range asked {
			if q.IsZero() {
				delete(asked, name)
			}
		}
		next := c.quota.DeepCopy()
		next.Status.Used = quota.Add(c.quota.Status.Used, asked)
		var over []corev1.ResourceName
		for _, name := range quota.Names(asked) {
			sum, limit := next.Status.Used[name], hard[name]
			if sum.Cmp(limit) > 0 {
				over = append(over, name)
			}
		}
		if len(over) > 0 && w.Subresource != "status" {
			return nil, w.Forbidf("exceeded quota: %s, requested: %s, used: %s, limited: %s", c.quota.Name,
				show(asked, over), show(c.quota.Status.Used, over), show(hard, over))
		}
		if !quota.Same(next.Status.Used, c.quota.Status.Used) {
			writes = append(writes, kinds.Write{Resource: quotas, Namespace: next.Namespace, Name: next.Name, Subresource: "status", Object: next})
		}
	}
	return writes, nil
}

func hasSome(list corev1.ResourceList) bool {
	for _, q := range list {
		if !q.IsZero() {
			return true
		}
	}
	return false
}

func negative(list corev1.ResourceList) (out []corev1.ResourceName) {
	for _, name := range quota.Names(list) {
		if q := list[name]; q.Sign() < 0 {
			out = append(out, name)
		}
	}
	return out
}

// show prints some amounts of a list: "pods=1,requests.cpu=2".
func show(list corev1.ResourceList, names []corev1.ResourceName) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(quota.Only(list, names))) {
		q := list[name]
		parts = append(parts, string(name)+"="+q.String())
	}
	return strings.Join(parts, ",")
}

func join[T ~string](names []T) string {
	parts := make([]string, 0, len(names))
	for _, name := range names {
		parts = append(parts, string(name))
	}
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), ",")
}
