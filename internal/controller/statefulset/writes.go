package statefulset

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/revision"
	"github.com/floe-k8s/floe/internal/kinds"
)

// teller makes the events of a set.
type teller struct {
	about corev1.ObjectReference
	set   string
}

// write is a step with what is told of it.
func (t teller) write(s Step) engine.Write {
	w := engine.Write{Verb: s.Verb, Resource: resourceOf(s.Object), Object: s.Object, Batch: s.Batch}
	if s.Verb == engine.Delete {
		w = engine.NewDelete(w.Resource, s.Object, "")
		w.Batch = s.Batch
	}
	switch w.Resource {
	case pods.Resource():
		w.Event = func(_ kinds.Object, err error) *engine.Event { return t.pod(s, err) }
	case claims():
		if s.Verb == engine.Create {
			w.Event = func(_ kinds.Object, err error) *engine.Event { return t.claim(s, err) }
		}
	}
	return w
}

func resourceOf(obj kinds.Object) client.Resource {
	switch obj.(type) {
	case *corev1.Pod:
		return pods.Resource()
	case *corev1.PersistentVolumeClaim:
		return claims()
	case *appsv1.ControllerRevision:
		return revision.Resource()
	}
	panic(fmt.Sprintf("statefulset: a step for a %T", obj))
}

// pod tells of a pod that was made, changed or deleted, or was not. One that is there already is nobody's failure.
func (t teller) pod(s Step, err error) *engine.Event {
	switch {
	case err == nil:
		return &engine.Event{About: t.about, Type: corev1.EventTypeNormal, Reason: "Successful" + s.Aim,
			Message: fmt.Sprintf("%s Pod %s in StatefulSet %s successful", s.Aim, s.Pod.Name, t.set)}
	case s.Verb == engine.Create && apierrors.IsAlreadyExists(err):
		return nil
	}
	ev := t.failed(Failure{s.Pod.Name, s.Aim, err})
	return &ev
}

func (t teller) failed(f Failure) engine.Event {
	return engine.Event{About: t.about, Type: corev1.EventTypeWarning, Reason: "Failed" + f.Aim,
		Message: fmt.Sprintf("%s Pod %s in StatefulSet %s failed error: %s", f.Aim, f.Pod, t.set, f.Err)}
}

// claim tells of a claim that was made, or was not.
func (t teller) claim(s Step, err error) *engine.Event {
	name := s.Object.GetName()
	switch {
	case err == nil:
		return &engine.Event{About: t.about, Type: corev1.EventTypeNormal, Reason: "SuccessfulCreate",
			Message: fmt.Sprintf("Create Claim %s Pod %s in StatefulSet %s success", name, s.Pod.Name, t.set)}
	case apierrors.IsAlreadyExists(err):
		return nil
	}
	return &engine.Event{About: t.about, Type: corev1.EventTypeWarning, Reason: "FailedCreate",
		Message: fmt.Sprintf("Create Claim %s for Pod %s in StatefulSet %s failed error: %s", name, s.Pod.Name, t.set, err)}
}

func (t teller) conflict(claim string) engine.Event {
	return engine.Event{About: t.about, Type: corev1.EventTypeWarning, Reason: "ConflictingController",
		Message: fmt.Sprintf("PersistentVolumeClaim %s has a conflicting OwnerReference that acts as a manging controller, the retention policy is ignored for this claim", claim)}
}

// claimFailures tells of the pods whose claims could not be made or changed, in the order of the steps: of all that could not be made, and of the first that
// could not be changed.
func (t teller) claimFailures(steps []Step, err error) (events []engine.Event) {
	failed := map[string]error{} // by claim
	for _, one := range engine.WriteErrors(err) {
		if one.Object != nil && one.Resource == claims() {
			failed[one.Object.GetName()] = one.Err
		}
	}
	var list []Failure
	for _, s := range steps {
		err := failed[s.Object.GetName()]
		if resourceOf(s.Object) != claims() || err == nil || s.Aim == "" {
			continue
		}
		i := slices.IndexFunc(list, func(f Failure) bool { return f.Pod == s.Pod.Name })
		switch {
		case s.Verb == engine.Create:
			err = fmt.Errorf("failed to create PVC %s: %w", s.Object.GetName(), err)
		case i < 0:
			err = fmt.Errorf("could not update claim %s for delete policy ownerRefs: %w", s.Object.GetName(), err)
		default:
			continue
		}
		if i < 0 {
			list = append(list, Failure{s.Pod.Name, s.Aim, err})
		} else {
			list[i].Err = utilerrors.NewAggregate(append(utilerrors.Flatten(utilerrors.NewAggregate([]error{list[i].Err})).Errors(), err))
		}
	}
	for _, f := range list {
		events = append(events, t.failed(f))
	}
	return events
}
