// Package garbage deletes what has lost its owners, and finishes deletions that orphan or wait for dependents.
//
// # Vocabulary
//
// A dependent names its owners in ownerReferences. Deletion is in the background (owner first), in the foreground
// (dependents first, held by the finalizer foregroundDeletion) or orphaning (references removed, held by the finalizer orphan).
//
// # Laws
//
//   - An object is deleted only when none of its owners exists with the UID that it names, and only if it is
//     still the same object (UID precondition).
//   - An owner of a resource that is not among those given cannot be judged: it counts as existing.
//   - A foreground deletion waits for dependents that set blockOwnerDeletion only.
//
// # What it leaves to others
//
// Adding the finalizers on a delete request belongs to api, the content of namespaces to namespace.
package garbage

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Resource is what the collector must know of a resource: its name, its kind as owner references give it, and
// whether its objects have a namespace.
type Resource struct {
	Resource   client.Resource
	Kind       string
	Namespaced bool
}

type collector struct {
	resources []Resource
	byKind    map[schema.GroupKind]Resource
}

// New returns the controller; it judges objects of resources only, whatever version references name.
func New(resources []Resource) engine.Controller {
	c := collector{resources: slices.Clone(resources), byKind: map[schema.GroupKind]Resource{}}
	ctl := engine.Controller{Name: "garbage", Component: "garbage-collector-controller",
		User: "system:serviceaccount:kube-system:generic-garbage-collector", Workers: 4, Reconcile: c.reconcile}
	for _, r := range resources {
		c.byKind[schema.GroupKind{Group: r.Resource.Group, Kind: r.Kind}] = r
		ctl.Inputs = append(ctl.Inputs, engine.Input{Resource: r.Resource, Keys: func(v client.View, ch client.Change) []engine.Key {
			return c.keys(r.Resource, v, ch)
		}})
		ctl.Outputs = append(ctl.Outputs, engine.Output{Resource: r.Resource, Fields: []string{"metadata.finalizers[orphan,foregroundDeletion]"}})
	}
	return ctl
}

func keyOf(res client.Resource, obj kinds.Object) engine.Key {
	return engine.Key{Resource: res, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// keys wakes an object with owners or one being deleted; when one goes, what it held up: its dependents, and the
// owners that may wait for it.
func (c collector) keys(res client.Resource, view client.View, ch client.Change) []engine.Key {
	if ch.New != nil {
		obj := ch.New
		keys := []engine.Key{}
		if len(obj.GetOwnerReferences()) > 0 || obj.GetDeletionTimestamp() != nil {
			keys = append(keys, keyOf(res, obj))
		}
		if ch.Old != nil && len(ch.Old.GetOwnerReferences()) > len(obj.GetOwnerReferences()) {
			keys = append(keys, c.owners(ch.Old)...)
		}
		if obj.GetDeletionTimestamp() != nil {
			keys = append(keys, c.dependentKeys(view, obj.GetUID())...)
		}
		return keys
	}
	return append(c.dependentKeys(view, ch.Old.GetUID()), c.owners(ch.Old)...)
}

func (c collector) dependentKeys(view client.View, uid types.UID) []engine.Key {
	var keys []engine.Key
	for _, d := range c.dependents(view, uid) {
		keys = append(keys, keyOf(d.res, d.obj))
	}
	return keys
}

func (c collector) owners(obj kinds.Object) []engine.Key {
	var keys []engine.Key
	for _, ref := range obj.GetOwnerReferences() {
		if r, ok := c.resource(ref); ok {
			key := engine.Key{Resource: r.Resource, Name: ref.Name}
			if r.Namespaced {
				key.Namespace = obj.GetNamespace()
			}
			keys = append(keys, key)
		}
	}
	return keys
}

func (c collector) resource(ref metav1.OwnerReference) (Resource, bool) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return Resource{}, false // nothing of this name can be known
	}
	r, ok := c.byKind[schema.GroupKind{Group: gv.Group, Kind: ref.Kind}]
	return r, ok
}

type dependent struct {
	res client.Resource
	obj kinds.Object
}

func (c collector) dependents(view client.View, uid types.UID) []dependent {
	var all []dependent
	for _, r := range c.resources {
		for obj := range view.Lookup(r.Resource, "owner", string(uid)) {
			all = append(all, dependent{r.Resource, obj})
		}
	}
	return all
}

func (c collector) reconcile(view client.View, key engine.Key, _ time.Time) (engine.Plan, error) {
	obj := view.Get(key.Resource, key.Namespace, key.Name)
	if obj == nil {
		return engine.Plan{}, nil
	}
	if obj.GetDeletionTimestamp() != nil {
		switch {
		case slices.Contains(obj.GetFinalizers(), metav1.FinalizerOrphanDependents):
			return c.orphan(view, key.Resource, obj), nil
		case slices.Contains(obj.GetFinalizers(), metav1.FinalizerDeleteDependents):
			return c.foreground(view, key.Resource, obj), nil
		}
		return engine.Plan{}, nil
	}
	return c.judge(view, key.Resource, obj), nil
}

// orphan takes the owner's reference from every dependent, then lets the owner go.
func (c collector) orphan(view client.View, res client.Resource, owner kinds.Object) engine.Plan {
	var plan engine.Plan
	for _, d := range c.dependents(view, owner.GetUID()) {
		plan.Writes = append(plan.Writes, without(d, func(ref metav1.OwnerReference) bool { return ref.UID == owner.GetUID() }))
	}
	plan.Writes = append(plan.Writes, unhold(res, owner, metav1.FinalizerOrphanDependents))
	return plan
}

// foreground deletes the dependents and lets the owner go when none blocks it.
func (c collector) foreground(view client.View, res client.Resource, owner kinds.Object) engine.Plan {
	plan := engine.Plan{}
	for _, d := range c.dependents(view, owner.GetUID()) {
		for _, ref := range d.obj.GetOwnerReferences() {
			if ref.UID == owner.GetUID() && ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion {
				plan.Waiting = "dependents that block the deletion"
			}
		}
	}
	if plan.Waiting == "" {
		plan.Writes = []engine.Write{unhold(res, owner, metav1.FinalizerDeleteDependents)}
	}
	return plan
}

// judge looks at an object that has owners and is not being deleted.
func (c collector) judge(view client.View, res client.Resource, obj kinds.Object) engine.Plan {
	var solid, waiting, gone int
	lost := map[types.UID]bool{}
	for _, ref := range obj.GetOwnerReferences() {
		switch c.state(view, obj, ref) {
		case ownerThere:
			solid++
		case ownerWaits:
			waiting++
			lost[ref.UID] = true
		case ownerGone:
			gone++
			lost[ref.UID] = true
		}
	}
	switch {
	case len(lost) == 0:
		return engine.Plan{}
	case solid > 0: // it stays, without those
		return engine.Plan{Writes: []engine.Write{without(dependent{res, obj}, func(ref metav1.OwnerReference) bool { return lost[ref.UID] })}}
	}
	policy := metav1.DeletePropagationBackground
	switch {
	case slices.Contains(obj.GetFinalizers(), metav1.FinalizerOrphanDependents):
		policy = metav1.DeletePropagationOrphan
	case waiting > 0 && len(c.dependents(view, obj.GetUID())) > 0, slices.Contains(obj.GetFinalizers(), metav1.FinalizerDeleteDependents):
		policy = metav1.DeletePropagationForeground
	}
	return engine.Plan{Writes: []engine.Write{engine.NewDelete(res, obj, policy)}}
}

type ownerState int

const (
	ownerThere ownerState = iota
	ownerWaits            // being deleted in the foreground
	ownerGone
)

func (c collector) state(view client.View, obj kinds.Object, ref metav1.OwnerReference) ownerState {
	r, ok := c.resource(ref)
	if !ok {
		return ownerThere
	}
	ns := ""
	if r.Namespaced {
		ns = obj.GetNamespace()
	}
	owner := view.Get(r.Resource, ns, ref.Name)
	if owner == nil || owner.GetUID() != ref.UID {
		return ownerGone
	}
	if owner.GetDeletionTimestamp() != nil && slices.Contains(owner.GetFinalizers(), metav1.FinalizerDeleteDependents) {
		return ownerWaits
	}
	return ownerThere
}

func without(d dependent, drop func(metav1.OwnerReference) bool) engine.Write {
	next := d.obj.DeepCopyObject().(kinds.Object)
	next.SetOwnerReferences(slices.DeleteFunc(next.GetOwnerReferences(), drop))
	return engine.NewUpdate(d.res, next, "")
}

func unhold(res client.Resource, obj kinds.Object, finalizer string) engine.Write {
	next := obj.DeepCopyObject().(kinds.Object)
	next.SetFinalizers(slices.DeleteFunc(next.GetFinalizers(), func(f string) bool { return f == finalizer }))
	return engine.NewUpdate(res, next, "")
}
