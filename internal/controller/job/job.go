package job

import (
	"errors"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/claim"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Batches of a plan's writes. Creations come after deletions in name only: a plan has one of the two.
const (
	stripping = 1 + iota
	deleting
	freeing
	creating // and those after it
)

func jobs() client.Resource         { return batchv1.SchemeGroupVersion.WithResource("jobs") }
func kind() schema.GroupVersionKind { return batchv1.SchemeGroupVersion.WithKind("Job") }

// New returns the controller.
func New() engine.Controller {
	ofOwner := claim.Keys(jobs(), kind(), selectorOf)
	return engine.Controller{
		Name: "job", Component: "job-controller", User: "system:serviceaccount:kube-system:job-controller",
		Inputs: []engine.Input{
			{Resource: jobs(), Keys: jobKeys},
			{Resource: pods.Resource(), Keys: func(view client.View, c client.Change) []engine.Key {
				keys := ofOwner(view, c)
				if p, ok := c.New.(*corev1.Pod); ok && stranded(view, p) {
					keys = append(keys, keyOf(pods.Resource(), p))
				}
				return keys
			}},
		},
		Outputs: []engine.Output{
			{Resource: jobs(), Fields: []string{"status"}},
			{Resource: pods.Resource(), Fields: []string{"metadata.ownerReferences[Job]", "metadata.finalizers[" + batchv1.JobTrackingFinalizer + "]"}},
		},
		Workers: 5, RetryMost: time.Minute, Reconcile: reconcile,
	}
}

func keyOf(res client.Resource, obj kinds.Object) engine.Key {
	return engine.Key{Resource: res, Namespace: obj.GetNamespace(), Name: obj.GetName()}
}

// selectorOf is what a job claims pods by.
func selectorOf(job kinds.Object) labels.Selector {
	return claim.Selector(job.(*batchv1.Job).Spec.Selector)
}

// jobKeys wakes a job, and the pods that one which is over or gone has left tracked.
func jobKeys(view client.View, c client.Change) []engine.Key {
	job := c.Newest().(*batchv1.Job)
	keys := []engine.Key{keyOf(jobs(), job)}
	if c.New != nil && !over(job) {
		return keys
	}
	for obj := range view.Lookup(pods.Resource(), client.OwnerIndex, string(job.UID)) {
		if p := obj.(*corev1.Pod); stranded(view, p) {
			keys = append(keys, keyOf(pods.Resource(), p))
		}
	}
	return keys
}

// stranded says that nobody is going to count the end of a tracked pod: no job controls it, or none that goes on.
func stranded(view client.View, p *corev1.Pod) bool {
	if !tracked(p) {
		return false
	}
	ref := metav1.GetControllerOf(p)
	if ref == nil {
		return true
	}
	if ref.Kind != kind().Kind || ref.APIVersion != batchv1.SchemeGroupVersion.String() {
		return false
	}
	job, ok := view.Get(jobs(), p.Namespace, ref.Name).(*batchv1.Job)
	if !ok || job.UID != ref.UID {
		return true
	}
	return over(job) && !managedElsewhere(job)
}

func tracked(p *corev1.Pod) bool { return slices.Contains(p.Finalizers, batchv1.JobTrackingFinalizer) }

func managedElsewhere(job *batchv1.Job) bool {
	return job.Spec.ManagedBy != nil && *job.Spec.ManagedBy != batchv1.JobControllerName
}

// free takes the finalizer from a pod that is as it was read.
func free(p *corev1.Pod, batch int) engine.Write {
	rest := slices.DeleteFunc(slices.Clone(p.Finalizers), func(f string) bool { return f == batchv1.JobTrackingFinalizer })
	w := engine.NewPatch(pods.Resource(), p, map[string]any{"metadata": map[string]any{"finalizers": rest, "resourceVersion": p.ResourceVersion}})
	w.Batch = batch
	return w
}

func reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	if key.Resource == pods.Resource() {
		if p, ok := view.Get(pods.Resource(), key.Namespace, key.Name).(*corev1.Pod); ok && stranded(view, p) {
			return engine.Plan{Writes: []engine.Write{free(p, 0)}}, nil
		}
		return engine.Plan{}, nil
	}
	job, ok := view.Get(jobs(), key.Namespace, key.Name).(*batchv1.Job)
	if !ok || managedElsewhere(job) || over(job) {
		return engine.Plan{}, nil
	}
	sel := selectorOf(job)
	if sel == nil {
		return engine.Plan{}, nil // nothing that validation lets in
	}
	owner := claim.Owner{Object: job, GVK: kind(), Selector: sel, Finalizer: batchv1.JobTrackingFinalizer}
	mine, writes := claim.Objects[*corev1.Pod](owner, view, pods.Resource(), nil)
	if len(writes) > 0 {
		return engine.Plan{Writes: writes}, nil // and again, when they show
	}
	return plan(job, mine, now), nil
}

// plan turns a decision into writes and events.
func plan(job *batchv1.Job, mine []*corev1.Pod, now time.Time) engine.Plan {
	d := Decide(job, mine, now)
	about := engine.Refer("batch/v1", "Job", job)
	p := engine.Plan{After: d.After, Waiting: d.Waiting}
	for _, pod := range d.Unneeded {
		if tracked(pod) {
			p.Writes = append(p.Writes, free(pod, stripping))
		}
	}
	p.Writes = append(p.Writes, pods.Deletions(about, append(d.Unneeded, d.Delete...), deleting)...)
	p.Writes = append(p.Writes, pods.Creations(about, d.Create, creating)...)
	if len(p.Writes) > 0 {
		p.OnFailure = func(err error) []engine.Write {
			var failed *engine.WriteError
			if !errors.As(err, &failed) || failed.Resource != pods.Resource() {
				return nil
			}
			return counting(job, standstill(job, mine, now))
		}
	}
	p.Writes = append(p.Writes, counting(job, d)...)
	for _, e := range d.Events {
		e.About = about
		p.Events = append(p.Events, e)
	}
	return p
}

// counting writes the status, and frees the pods that it counts.
func counting(job *batchv1.Job, d Decision) (writes []engine.Write) {
	if d.Status != nil {
		next := job.DeepCopy()
		next.Status = *d.Status
		writes = append(writes, engine.NewUpdate(jobs(), next, "status"))
	}
	for _, p := range d.Free {
		writes = append(writes, free(p, freeing))
	}
	return writes
}
