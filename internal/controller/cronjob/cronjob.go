// Package cronjob makes Jobs at the times that CronJobs set.
//
// # Vocabulary
//
// A job's time is when it was due, which its name ends in (minutes of the Unix epoch) and its annotation batch.kubernetes.io/cronjob-scheduled-timestamp tells. A
// job is recorded once the status has its time and lists it as active.
//
// # Laws
//
//   - Decide is pure: the same objects and time give the same decision.
//   - A time has one job: its name is a lock, and nothing else is done before a job that was made is recorded. So the controller may stop between any two writes
//     without making a job twice, forgetting one that runs, or running two that must not run together.
//   - Of several times that were missed only the last is made up for.
//   - A job is listed before it is told to have completed, also when it is quicker than its recording.
//
// # What it leaves to others
//
// Running the jobs belongs to job, and what is left of deleted ones to garbage. When a schedule changes, what it would have asked for since the last time counts as missed and is
// made up for at once; upstream's controller waits for the next time, unless anything else wakes it.
package cronjob

import (
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

func cronJobs() client.Resource     { return batchv1.SchemeGroupVersion.WithResource("cronjobs") }
func jobs() client.Resource         { return batchv1.SchemeGroupVersion.WithResource("jobs") }
func kind() schema.GroupVersionKind { return batchv1.SchemeGroupVersion.WithKind("CronJob") }

// retryMost is how long a write that failed is not tried again at most: less than the shortest time between two times.
const retryMost = 30 * time.Second

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "cronjob", Component: "cronjob-controller", User: "system:serviceaccount:kube-system:cronjob-controller",
		Inputs: []engine.Input{
			{Resource: cronJobs(), Keys: func(_ client.View, c client.Change) []engine.Key {
				return []engine.Key{keyOf(c.Newest(), c.Newest().GetName())}
			}},
			{Resource: jobs(), Keys: jobKeys},
		},
		Outputs: []engine.Output{
			{Resource: cronJobs(), Fields: []string{"status"}},
			{Resource: jobs()},
		},
		Workers: 5, RetryMost: retryMost, Reconcile: reconcile,
	}
}

func keyOf(obj kinds.Object, name string) engine.Key {
	return engine.Key{Resource: cronJobs(), Namespace: obj.GetNamespace(), Name: name}
}

// jobKeys wakes the cron job that controls a job, and the one that did.
func jobKeys(_ client.View, c client.Change) (keys []engine.Key) {
	for _, obj := range []kinds.Object{c.New, c.Old} {
		if obj == nil {
			continue
		}
		if ref := metav1.GetControllerOf(obj); ref != nil && ref.Kind == kind().Kind && ref.APIVersion == kind().GroupVersion().String() {
			keys = append(keys, keyOf(obj, ref.Name))
		}
	}
	return keys
}

func reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	cj, ok := view.Get(cronJobs(), key.Namespace, key.Name).(*batchv1.CronJob)
	if !ok {
		return engine.Plan{}, nil
	}
	in := Input{CronJob: cj, Named: func(name string) *batchv1.Job {
		job, _ := view.Get(jobs(), cj.Namespace, name).(*batchv1.Job)
		return job
	}}
	for obj := range view.Lookup(jobs(), client.OwnerIndex, string(cj.UID)) {
		if metav1.IsControlledBy(obj, cj) {
			in.Jobs = append(in.Jobs, obj.(*batchv1.Job))
		}
	}
	return plan(cj, Decide(in, now)), nil
}

// plan turns a decision into writes and events. Jobs of the past are deleted last: what cannot be deleted hinders nothing.
func plan(cj *batchv1.CronJob, d Decision) engine.Plan {
	about := engine.Refer("batch/v1", "CronJob", cj)
	p := engine.Plan{After: d.After}
	for _, e := range d.Events {
		e.About = about
		p.Events = append(p.Events, e)
	}
	for _, job := range d.Replace {
		p.Writes = append(p.Writes, deletion(about, job))
	}
	if d.Create != nil {
		p.Writes = append(p.Writes, creation(about, d.Create))
	}
	if d.Status != nil {
		next := cj.DeepCopy()
		next.Status = *d.Status
		p.Writes = append(p.Writes, engine.NewUpdate(cronJobs(), next, "status"))
	}
	for _, job := range d.Forget {
		p.Writes = append(p.Writes, deletion(about, job))
	}
	return p
}

func creation(about corev1.ObjectReference, job *batchv1.Job) engine.Write {
	w := engine.NewCreate(jobs(), job)
	w.Event = func(stored kinds.Object, err error) *engine.Event {
		switch {
		case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsAlreadyExists(err):
			return nil
		case err != nil:
			return &engine.Event{About: about, Type: corev1.EventTypeWarning, Reason: "FailedCreate", Message: "Error creating job: " + err.Error()}
		}
		return &engine.Event{About: about, Type: corev1.EventTypeNormal, Reason: "SuccessfulCreate", Message: "Created job " + stored.GetName()}
	}
	return w
}

func deletion(about corev1.ObjectReference, job *batchv1.Job) engine.Write {
	w := engine.NewDelete(jobs(), job, metav1.DeletePropagationBackground)
	w.Event = func(_ kinds.Object, err error) *engine.Event {
		if err != nil {
			return &engine.Event{About: about, Type: corev1.EventTypeWarning, Reason: "FailedDelete", Message: "Deleted job: " + err.Error()}
		}
		return &engine.Event{About: about, Type: corev1.EventTypeNormal, Reason: "SuccessfulDelete", Message: "Deleted job " + job.Name}
	}
	return w
}
