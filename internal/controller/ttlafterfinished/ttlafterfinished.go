// Package ttlafterfinished deletes Jobs that have been over for as long as their spec.ttlSecondsAfterFinished says.
//
// Law: what is deleted is the job that was read, and only as it was read: one whose time was made longer meanwhile stays.
//
// Its pods go before it (foreground deletion), which belongs to garbage.
package ttlafterfinished

import (
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/job"
)

func jobs() client.Resource { return batchv1.SchemeGroupVersion.WithResource("jobs") }

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "ttl-after-finished", Component: "ttl-after-finished-controller", User: "system:serviceaccount:kube-system:ttl-after-finished-controller",
		Inputs:  []engine.Input{{Resource: jobs(), Keys: keys}},
		Outputs: []engine.Output{{Resource: jobs()}},
		Workers: 5, Queue: "ttl_jobs_to_delete", Reconcile: reconcile,
	}
}

func keys(_ client.View, c client.Change) []engine.Key {
	j, ok := c.New.(*batchv1.Job)
	if !ok || !concerned(j) {
		return nil
	}
	return []engine.Key{{Resource: jobs(), Namespace: j.Namespace, Name: j.Name}}
}

// concerned says that a job is over and asks to be deleted.
func concerned(j *batchv1.Job) bool {
	return j.DeletionTimestamp == nil && j.Spec.TTLSecondsAfterFinished != nil && job.End(j) != nil
}

func reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	j, ok := view.Get(jobs(), key.Namespace, key.Name).(*batchv1.Job)
	if !ok || !concerned(j) {
		return engine.Plan{}, nil
	}
	at := job.End(j).LastTransitionTime
	if at.IsZero() {
		return engine.Plan{}, fmt.Errorf("unable to find the time when the Job %s/%s finished", j.Namespace, j.Name)
	}
	if left := at.Add(time.Duration(*j.Spec.TTLSecondsAfterFinished) * time.Second).Sub(now); left > 0 {
		return engine.Plan{After: left}, nil
	}
	return engine.Plan{Writes: []engine.Write{engine.NewDelete(jobs(), j, metav1.DeletePropagationForeground).AsSeen(j)}}, nil
}
