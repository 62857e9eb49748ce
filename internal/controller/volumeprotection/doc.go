// Package volumeprotection lets volumes, claims and classes of volume attributes go only when nobody uses them any more.
//
// # Vocabulary
//
// Each of the three kinds has a finalizer, which admission gives to new objects. A volume is in use while it is bound; a claim while a pod that has a node
// names it, whether it runs or has ended, or has made it for an ephemeral volume and may still have it; a class while a volume or a claim names it.
//
// # Laws
//
//   - The finalizer is removed from an object that is being deleted, on a view that shows no use of it, and from no other.
//   - An object that is not being deleted has its finalizer: one from before, or from which it was taken, gets it.
//
// # What it leaves to others
//
// That nothing begins to use a claim that is being deleted is the scheduler's. Binding and making volumes belong to the controllers of storage. The condition
// Unused of claims is behind a feature gate that is off by default in v1.36, and is not kept.
package volumeprotection

import (
	"slices"
	"time"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// guard is the protection of one kind.
type guard struct {
	res       client.Resource
	finalizer string
	used      func(view client.View, obj kinds.Object) bool
}

// going says that obj is being deleted and waits for the guard.
func (g guard) going(obj kinds.Object) bool {
	return obj != nil && obj.GetDeletionTimestamp() != nil && slices.Contains(obj.GetFinalizers(), g.finalizer)
}

// bare says that obj lacks what protects it.
func (g guard) bare(obj kinds.Object) bool {
	return obj != nil && obj.GetDeletionTimestamp() == nil && !slices.Contains(obj.GetFinalizers(), g.finalizer)
}

func (g guard) key(obj kinds.Object) engine.Key {
	return engine.Key{Resource: g.res, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// own is the input of the guarded kind itself.
func (g guard) own() engine.Input {
	return engine.Input{Resource: g.res, Keys: func(_ client.View, c client.Change) []engine.Key {
		if c.New == nil || !g.going(c.New) && !g.bare(c.New) {
			return nil
		}
		return []engine.Key{g.key(c.New)}
	}}
}

// waiting are the keys of those among the named objects that wait for the guard.
func (g guard) waiting(view client.View, namespace string, names ...string) (keys []engine.Key) {
	for _, name := range names {
		if obj := view.Get(g.res, namespace, name); obj != nil && g.going(obj) {
			keys = append(keys, g.key(obj))
		}
	}
	return keys
}

func (g guard) controller(name, user string, more ...engine.Input) engine.Controller {
	return engine.Controller{
		Name: name, Component: name + "-controller", User: "system:serviceaccount:kube-system:" + user, Queue: name,
		Inputs:  append([]engine.Input{g.own()}, more...),
		Outputs: []engine.Output{{Resource: g.res, Fields: []string{"metadata.finalizers[" + g.finalizer + "]"}}},
		Reconcile: func(view client.View, k engine.Key, _ time.Time) (engine.Plan, error) {
			return g.judge(view, view.Get(g.res, k.Namespace, k.Name)), nil
		},
	}
}

// judge gives or takes the finalizer; obj may be nil.
func (g guard) judge(view client.View, obj kinds.Object) engine.Plan {
	var list []string
	switch {
	case g.bare(obj):
		list = append(slices.Clone(obj.GetFinalizers()), g.finalizer)
	case !g.going(obj):
		return engine.Plan{}
	case g.used(view, obj):
		return engine.Plan{Waiting: "users to let go"}
	default:
		list = slices.DeleteFunc(slices.Clone(obj.GetFinalizers()), func(f string) bool { return f == g.finalizer })
	}
	next := obj.DeepCopyObject().(kinds.Object)
	next.SetFinalizers(list)
	return engine.Plan{Writes: []engine.Write{engine.NewUpdate(g.res, next, "")}}
}
