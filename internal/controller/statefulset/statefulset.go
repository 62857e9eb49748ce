// Package statefulset keeps pods that are not alike: each has a number, a name that stays, and claims of its own.
//
// # Vocabulary
//
// A replica is a pod whose ordinal is in the set's range, which begins at the start ordinal; every other pod of the set is condemned. The update revision records
// the set's template as it is, the current revision the one that the last complete rollout reached. An ordered set does one thing at a
// time; a parallel one goes through its pods in waves of 1, 2, 4, … so that a cluster that refuses them is asked little.
//
// # A round
//
//	revisions → replicas, upwards: replace what has ended, make what is missing, keep identity and claims
//	          → condemned, downwards: who owns their claims, then delete them
//	          → rolling update, downwards to the partition: delete what is of another revision
//	          → status → history
//
// An ordered set's round ends at the first thing that is to be waited for, a parallel set's after a wave in which something failed.
//
// # Laws
//
//   - Decide is pure: the same objects and time give the same decision.
//   - There is at most one pod of each ordinal, and none is made before the API has forgotten the one before it.
//   - In an ordered set a pod is made only when all replicas below are available, and one is deleted, to scale or to roll, only when all others are, save for
//     the lowest condemned one that is not.
//   - Replicas below the partition are made of the current revision.
//   - Claims are never deleted here. By the set's retention policy they get owners, with which they go.
//   - Events and what a status says are upstream's, word for word.
//
// # What it leaves to others
//
// Deleting claims and the pods of a deleted set belongs to garbage, binding of claims to volumes to the volume controllers; the history's form is package revision's.
package statefulset

import (
	"errors"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/claim"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/revision"
	"github.com/floe-k8s/floe/internal/kinds"
)

func sets() client.Resource { return appsv1.SchemeGroupVersion.WithResource("statefulsets") }
func claims() client.Resource {
	return corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
}
func kind() schema.GroupVersionKind { return appsv1.SchemeGroupVersion.WithKind("StatefulSet") }

// New returns the controller. severalUnavailable says whether sets may name how many of their pods a rolling update may take away at once
// (upstream's gate MaxUnavailableStatefulSet); otherwise it is one.
func New(severalUnavailable bool) engine.Controller {
	return engine.Controller{
		Name: "statefulset", Component: "statefulset-controller",
		User: "system:serviceaccount:kube-system:statefulset-controller",
		Inputs: []engine.Input{
			{Resource: sets(), Keys: func(_ client.View, c client.Change) []engine.Key { return []engine.Key{keyOf(c.Newest())} }},
			{Resource: pods.Resource(), Keys: claim.Keys(sets(), kind(), selectorOf)},
			{Resource: claims(), Keys: claimKeys},
			{Resource: revision.Resource()},
		},
		Outputs: []engine.Output{
			{Resource: sets(), Fields: []string{"status"}},
			{Resource: pods.Resource(), Fields: []string{"metadata.ownerReferences[StatefulSet]",
				"metadata.labels[" + appsv1.StatefulSetPodNameLabel + "," + appsv1.PodIndexLabel + "]"}},
			{Resource: claims(), Fields: []string{"metadata.ownerReferences[StatefulSet,Pod]"}},
			{Resource: revision.Resource(), Fields: []string{"revision[StatefulSet]", "metadata.ownerReferences[StatefulSet]"}},
		},
		Workers: 5,
		Reconcile: func(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
			return reconcile(view, key, now, severalUnavailable)
		},
	}
}

func keyOf(obj kinds.Object) engine.Key {
	return engine.Key{Resource: sets(), Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// selectorOf is what a set claims pods and revisions by.
func selectorOf(obj kinds.Object) labels.Selector {
	return claim.Selector(obj.(*appsv1.StatefulSet).Spec.Selector)
}

// claimKeys are the sets that may wait for a claim that is gone now: those whose pods' claims have such a name. Upstream looks again when anything else happens.
func claimKeys(view client.View, c client.Change) (keys []engine.Key) {
	if c.New != nil {
		return nil
	}
	whole, _ := parent(c.Old.GetName())
	for i := range whole {
		if whole[i] != '-' {
			continue
		}
		if set, ok := view.Get(sets(), c.Old.GetNamespace(), whole[i+1:]).(*appsv1.StatefulSet); ok && hasTemplate(set, whole[:i]) {
			keys = append(keys, keyOf(set))
		}
	}
	return keys
}

func reconcile(view client.View, key engine.Key, now time.Time, severalUnavailable bool) (engine.Plan, error) {
	set, ok := view.Get(sets(), key.Namespace, key.Name).(*appsv1.StatefulSet)
	if !ok {
		return engine.Plan{}, nil
	}
	sel := selectorOf(set)
	if sel == nil {
		return engine.Plan{}, nil // nothing that validation lets in
	}
	owner := claim.Owner{Object: set, GVK: kind(), Selector: sel}
	orphan := func(r *appsv1.ControllerRevision) bool { return metav1.GetControllerOf(r) == nil } // none is released
	history, writes := claim.Objects(owner, view, revision.Resource(), orphan)
	owner.Also = func(obj kinds.Object) bool { return member(set, obj) }
	list, more := claim.Objects[*corev1.Pod](owner, view, pods.Resource(), nil)
	in := Input{
		Set: set, Pods: list, Revisions: history, SeveralUnavailable: severalUnavailable,
		Claim: func(name string) *corev1.PersistentVolumeClaim {
			c, _ := view.Get(claims(), set.Namespace, name).(*corev1.PersistentVolumeClaim)
			return c
		},
		Taken: func(name string) *appsv1.ControllerRevision {
			r, _ := view.Get(revision.Resource(), set.Namespace, name).(*appsv1.ControllerRevision)
			return r
		},
	}
	dec, err := Decide(in, now)
	if err != nil {
		return engine.Plan{}, err
	}
	return plan(set, append(writes, more...), dec), nil
}

// plan turns a decision into writes and events.
func plan(set *appsv1.StatefulSet, first []engine.Write, dec Decision) engine.Plan {
	p := engine.Plan{Writes: first, After: dec.After, Waiting: dec.Waiting, Failed: dec.Failed}
	t := teller{engine.Refer("apps/v1", "StatefulSet", set), set.Name}
	for _, s := range dec.Steps {
		p.Writes = append(p.Writes, t.write(s))
	}
	p.Writes = append(p.Writes, dec.last(set, dec.Status)...)
	for _, f := range dec.Failures {
		p.Events = append(p.Events, t.failed(f))
	}
	for _, name := range dec.Conflicts {
		p.Events = append(p.Events, t.conflict(name))
	}
	p.OnFailure = func(err error) []engine.Write {
		if !aboutPods(err) {
			return nil
		}
		return dec.last(set, dec.StatusOnFailure)
	}
	p.FailureEvents = func(err error) []engine.Event { return t.claimFailures(dec.Steps, err) }
	return p
}

// last are the writes that end a round: the status, and the history's end.
func (dec Decision) last(set *appsv1.StatefulSet, status *appsv1.StatefulSetStatus) (writes []engine.Write) {
	if status != nil {
		next := set.DeepCopy()
		next.Status = *status
		writes = append(writes, engine.NewUpdate(sets(), next, "status"))
	}
	for _, r := range dec.Forget {
		writes = append(writes, engine.NewDelete(revision.Resource(), r, ""))
	}
	return writes
}

// aboutPods says whether what failed was about pods and their claims, after which the status still tells what there is.
func aboutPods(err error) bool {
	var write *engine.WriteError
	return errors.As(err, &write) && (write.Resource == pods.Resource() || write.Resource == claims())
}

// parent is the name of the set that a pod or a claim belongs to by its own name, and its ordinal: "" and -1 for another name, an ordinal of -1 for a number
// that is none.
func parent(name string) (set string, ordinal int) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 || i == len(name)-1 || strings.Trim(name[i+1:], "0123456789") != "" {
		return "", -1
	}
	return name[:i], number(name[i+1:])
}
