package ttlafterfinished

import (
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

func TestReconcile(t *testing.T) {
	ended := time.Unix(1000, 0)
	condition := func(of batchv1.JobConditionType, at time.Time) []batchv1.JobCondition {
		return []batchv1.JobCondition{{Type: of, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(at)}}
	}
	for name, c := range map[string]struct {
		change func(*batchv1.Job)
		now    time.Duration // since it ended
		wakes  bool
		after  time.Duration
		goes   bool
	}{
		"early":         {func(*batchv1.Job) {}, time.Second, true, 9 * time.Second, false},
		"due":           {func(*batchv1.Job) {}, 10 * time.Second, true, 0, true},
		"failed":        {func(j *batchv1.Job) { j.Status.Conditions = condition(batchv1.JobFailed, ended) }, time.Minute, true, 0, true},
		"at once":       {func(j *batchv1.Job) { j.Spec.TTLSecondsAfterFinished = ptr.To[int32](0) }, 0, true, 0, true},
		"runs":          {func(j *batchv1.Job) { j.Status.Conditions = nil }, time.Hour, false, 0, false},
		"announced":     {func(j *batchv1.Job) { j.Status.Conditions = condition(batchv1.JobFailureTarget, ended) }, time.Hour, false, 0, false},
		"stays":         {func(j *batchv1.Job) { j.Spec.TTLSecondsAfterFinished = nil }, time.Hour, false, 0, false},
		"goes already":  {func(j *batchv1.Job) { j.DeletionTimestamp, j.Finalizers = &metav1.Time{Time: ended}, []string{"x/y"} }, time.Hour, false, 0, false},
		"in the future": {func(*batchv1.Job) {}, -time.Minute, true, 70 * time.Second, false},
	} {
		cluster := controllertest.New(clocktesting.NewFakePassiveClock(ended))
		j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "j"}, Spec: batchv1.JobSpec{TTLSecondsAfterFinished: ptr.To[int32](10)},
			Status: batchv1.JobStatus{Conditions: condition(batchv1.JobComplete, ended)}}
		c.change(j)
		stored, err := cluster.Create(t.Context(), jobs(), j, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		view, err := cluster.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := keys(view, client.Change{New: stored}); (len(got) == 1) != c.wakes {
			t.Errorf("%s: wakes %v", name, got)
		}
		p, err := reconcile(view, engine.Key{Resource: jobs(), Namespace: "default", Name: "j"}, ended.Add(c.now))
		if err != nil || p.After != c.after || (len(p.Writes) == 1) != c.goes {
			t.Errorf("%s: %v, after %v, %d writes", name, err, p.After, len(p.Writes))
			continue
		}
		if c.goes {
			if o := p.Writes[0].Options; *o.PropagationPolicy != metav1.DeletePropagationForeground || *o.Preconditions.ResourceVersion != stored.GetResourceVersion() {
				t.Errorf("%s: deleted with %+v", name, o)
			}
		}
	}
}

func TestNoTime(t *testing.T) {
	cluster := controllertest.New(clocktesting.NewFakePassiveClock(time.Unix(1, 0)))
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "j"}, Spec: batchv1.JobSpec{TTLSecondsAfterFinished: ptr.To[int32](1)},
		Status: batchv1.JobStatus{Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}}}
	if _, err := cluster.Create(t.Context(), jobs(), j, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, _, err := controllertest.Step(t.Context(), cluster, New(), engine.Key{Resource: jobs(), Namespace: "default", Name: "j"}, time.Unix(9, 0))
	if err == nil || err.Error() != "unable to find the time when the Job default/j finished" {
		t.Errorf("got %v", err)
	}
}
