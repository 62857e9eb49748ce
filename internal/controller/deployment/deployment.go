// Package deployment rolls pod templates out by scaling replica sets.
//
// # Vocabulary
//
// The new set is the oldest whose template is the deployment's; all others are old. A rollout moves replicas from old
// sets to the new one. Surge is how many pods above the wanted number may exist, unavailable how many below it may
// be missing.
//
// # Laws
//
//   - Decide is pure: the same objects and time give the same decision.
//   - During a rolling update the sets together ask for at most replicas + surge pods, and an available pod is
//     taken away only while more than replicas - unavailable are available.
//   - While paused nothing rolls; scaling is spread over the sets in proportion.
//   - The deployment's revision is written with its status, which raises no generation. Writes rest on what was seen: a user's annotations are never undone.
//
// # Files
//
// decide.go chooses what is done, revisions.go knows the sets' numbers and makes the new one, roll.go sizes them, status.go tells of it.
//
// # What it leaves to others
//
// Pods belong to replicaset, removing the sets of a deleted deployment to garbage.
package deployment

import (
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/claim"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

func deployments() client.Resource  { return appsv1.SchemeGroupVersion.WithResource("deployments") }
func sets() client.Resource         { return appsv1.SchemeGroupVersion.WithResource("replicasets") }
func kind() schema.GroupVersionKind { return appsv1.SchemeGroupVersion.WithKind("Deployment") }

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "deployment", Component: "deployment-controller",
		User: "system:serviceaccount:kube-system:deployment-controller",
		Inputs: []engine.Input{
			{Resource: deployments(), Keys: func(_ client.View, c client.Change) []engine.Key {
				obj := c.Newest()
				return []engine.Key{key(obj.GetNamespace(), obj.GetName())}
			}},
			{Resource: sets(), Keys: claim.Keys(deployments(), kind(), selectorOf)},
			{Resource: pods.Resource(), Keys: podKeys},
		},
		Outputs: []engine.Output{
			{Resource: deployments(), Fields: []string{"status", "metadata.annotations", "spec.template"}}, // the latter to roll back
			{Resource: sets(), Fields: []string{"spec.replicas", "metadata.annotations", "metadata.ownerReferences[Deployment]"}},
		},
		Workers: 5, Reconcile: reconcile,
	}
}

func key(namespace, name string) engine.Key {
	return engine.Key{Resource: deployments(), Namespace: namespace, Name: name}
}

// selectorOf is what a deployment claims sets by.
func selectorOf(d kinds.Object) labels.Selector {
	return claim.Selector(d.(*appsv1.Deployment).Spec.Selector)
}

// podKeys wakes the deployment whose pod has gone or ended: Recreate waits for that. Other pod changes reach it through
// the status of the set.
func podKeys(view client.View, c client.Change) []engine.Key {
	if c.New != nil && !pods.Ended(c.New.(*corev1.Pod)) {
		return nil
	}
	obj := c.Newest()
	ref := metav1.GetControllerOf(obj)
	if ref == nil || ref.Kind != "ReplicaSet" {
		return nil
	}
	if set := view.Get(sets(), obj.GetNamespace(), ref.Name); set != nil {
		if d := metav1.GetControllerOf(set); d != nil && d.Kind == "Deployment" {
			return []engine.Key{key(obj.GetNamespace(), d.Name)}
		}
	}
	return nil
}

func reconcile(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
	d, ok := view.Get(deployments(), k.Namespace, k.Name).(*appsv1.Deployment)
	if !ok {
		return engine.Plan{}, nil
	}
	sel := selectorOf(d)
	if sel == nil {
		return engine.Plan{}, nil // nothing that validation lets in
	}
	owned, writes := claim.Objects[*appsv1.ReplicaSet](claim.Owner{Object: d, GVK: kind(), Selector: sel}, view, sets(), nil)
	if len(writes) > 0 {
		return engine.Plan{Writes: writes}, nil // and again, when they show
	}
	in := Input{Deployment: d, Sets: owned, Running: map[string]int{}}
	for _, rs := range owned {
		for p := range view.Lookup(pods.Resource(), client.OwnerIndex, string(rs.UID)) {
			if !pods.Ended(p.(*corev1.Pod)) {
				in.Running[rs.Name]++
			}
		}
	}
	return plan(view, in, Decide(in, now)), nil
}

// plan turns a decision into writes and events.
func plan(view client.View, in Input, dec Decision) engine.Plan {
	d := in.Deployment
	p := engine.Plan{After: dec.After, Waiting: dec.Waiting, Events: dec.Events}
	about := engine.Refer("apps/v1", "Deployment", d)
	for i := range p.Events {
		p.Events[i].About = about
	}
	if dec.Create != nil {
		p.Writes = append(p.Writes, engine.NewCreate(sets(), dec.Create))
		p.OnFailure = func(err error) []engine.Write { return failed(view, d, dec, err) }
		p.FailureEvents = func(err error) []engine.Event {
			if !notMade(err) || apierrors.IsAlreadyExists(err) {
				return nil
			}
			return []engine.Event{{About: about, Type: corev1.EventTypeWarning, Reason: reasonNotMade, Message: notMadeText(dec.Create, err)}}
		}
	}
	for _, rs := range dec.Update {
		p.Writes = append(p.Writes, engine.NewUpdate(sets(), rs, ""))
	}
	for _, rs := range dec.Delete {
		p.Writes = append(p.Writes, engine.NewDelete(sets(), rs, ""))
	}
	if dec.Return != nil {
		p.Writes = append(p.Writes, engine.NewUpdate(deployments(), dec.Return, ""))
		return p
	}
	revised := dec.Revision != "" && d.Annotations[revisionKey] != dec.Revision
	if !revised && dec.Status == nil {
		return p
	}
	// One write for both: the annotation comes with the status, so that it raises no generation.
	next := d.DeepCopy()
	if revised {
		if next.Annotations == nil {
			next.Annotations = map[string]string{}
		}
		next.Annotations[revisionKey] = dec.Revision
	}
	if dec.Status != nil {
		next.Status = *dec.Status
	}
	p.Writes = append(p.Writes, engine.NewUpdate(deployments(), next, "status"))
	return p
}

// notMade says that what failed was making the new set, for a reason to tell of: not because its namespace goes.
func notMade(err error) bool {
	var write *engine.WriteError
	return errors.As(err, &write) && write.Resource == sets() && write.Verb == engine.Create.String() && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

func notMadeText(rs *appsv1.ReplicaSet, err error) string {
	var write *engine.WriteError
	if errors.As(err, &write) {
		err = write.Err // the API's words alone
	}
	return fmt.Sprintf("Failed to create new replica set %q: %v", rs.Name, err)
}

// failed says why the new set could not be made; when its name belongs to another template, the next hash takes one
// more collision into account.
func failed(view client.View, d *appsv1.Deployment, dec Decision, err error) []engine.Write {
	next := d.DeepCopy()
	switch {
	case !notMade(err):
		return nil
	case apierrors.IsAlreadyExists(err):
		rs, ok := view.Get(sets(), d.Namespace, dec.Create.Name).(*appsv1.ReplicaSet)
		if !ok || (metav1.IsControlledBy(rs, d) && sameTemplate(&rs.Spec.Template, &d.Spec.Template)) {
			return nil // ours; the next view shows it
		}
		var n int32
		if d.Status.CollisionCount != nil {
			n = *d.Status.CollisionCount
		}
		n++
		next.Status.CollisionCount = &n
	case !hasDeadline(d):
		return nil
	default:
		setCondition(&next.Status, condition(appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonNotMade, notMadeText(dec.Create, err), metav1.NewTime(dec.now)))
	}
	return []engine.Write{engine.NewUpdate(deployments(), next, "status")}
}
