package batch_test

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/kinds/batch"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func TestJobStatus(t *testing.T) {
	now := kindtest.Env().Now
	began, ended := metav1.NewTime(now.Add(-time.Minute)), metav1.NewTime(now)
	done := batchv1.JobStatus{StartTime: &began, CompletionTime: &ended, Succeeded: 1, Conditions: on("SuccessCriteriaMet", "Complete")}
	failed := batchv1.JobStatus{StartTime: &began, Failed: 1, Conditions: on("FailureTarget", "Failed")}
	with := func(s batchv1.JobStatus, change func(*batchv1.JobStatus)) batchv1.JobStatus {
		change(&s)
		return s
	}
	running := batchv1.JobStatus{StartTime: &began, Active: 1}
	for name, c := range map[string]struct {
		old, now batchv1.JobStatus
		want     string
	}{
		"begins":   {batchv1.JobStatus{}, running, ""},
		"ends":     {running, done, ""},
		"fails":    {running, failed, ""},
		"negative": {running, batchv1.JobStatus{StartTime: &began, Active: -1}, "status.active: Invalid value: -1: must be greater than or equal to 0"},
		"both ends": {running, with(done, func(s *batchv1.JobStatus) {
			s.Conditions = on("Complete", "Failed", "FailureTarget", "SuccessCriteriaMet")
		}), "status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions"},
		"no time of ending": {running, with(done, func(s *batchv1.JobStatus) { s.CompletionTime = nil }), "status.completionTime: Required value: completionTime is required for Complete jobs"},
		"ends, unfinished":  {running, with(running, func(s *batchv1.JobStatus) { s.CompletionTime = &ended }), `status.completionTime: Invalid value: "2026-03-01T12:00:00Z": cannot set completionTime when there is no Complete=True condition`},
		"unannounced":       {running, with(failed, func(s *batchv1.JobStatus) { s.Conditions = on("Failed") }), "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition"},
		"pods left":         {running, with(done, func(s *batchv1.JobStatus) { s.Active = 1 }), "status.active: Invalid value: 1: active>0 is invalid for finished job"},
		"pods uncounted": {running, with(done, func(s *batchv1.JobStatus) {
			s.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Failed: []types.UID{"a"}}
		}), `status.uncountedTerminatedPods: Invalid value: {"Succeeded":null,"Failed":["a"]}: must be empty for finished job`},
		"counted twice": {running, with(running, func(s *batchv1.JobStatus) {
			s.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{Succeeded: []types.UID{"a"}, Failed: []types.UID{"a"}}
		}), `status.uncountedTerminatedPods.failed[0]: Duplicate value: "a"`},
		"mended slowly":  {with(done, func(s *batchv1.JobStatus) { s.Active = 1 }), with(done, func(s *batchv1.JobStatus) { s.Active, s.Ready = 1, ptr.To[int32](1) }), ""},
		"undone":         {done, with(done, func(s *batchv1.JobStatus) { s.Conditions, s.CompletionTime = on("SuccessCriteriaMet"), nil }), "status.conditions: Invalid value: cannot disable the terminal Complete=True condition"},
		"fewer failures": {failed, with(failed, func(s *batchv1.JobStatus) { s.Failed = 0 }), "status.failed: Invalid value: 0: cannot decrease the failed counter"},
		"another start":  {running, with(running, func(s *batchv1.JobStatus) { s.StartTime = &ended }), `status.startTime: Invalid value: "2026-03-01T12:00:00Z": field is immutable for unsuspended job once set`},
		"resumed": {with(running, func(s *batchv1.JobStatus) { s.Conditions = on("Suspended") }), batchv1.JobStatus{StartTime: &ended, Conditions: []batchv1.JobCondition{
			{Type: batchv1.JobSuspended, Status: corev1.ConditionFalse},
		}}, ""},
		"indexes":           {running, with(running, func(s *batchv1.JobStatus) { s.CompletedIndexes = "0" }), `status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed completion mode`},
		"more ready":        {running, with(running, func(s *batchv1.JobStatus) { s.Ready = ptr.To[int32](2) }), "status.ready: Invalid value: 2: cannot set more ready pods than active"},
		"success and fails": {running, with(failed, func(s *batchv1.JobStatus) { s.Conditions = on("FailureTarget", "Failed", "SuccessCriteriaMet") }), "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and Failed=true conditions"},
	} {
		old := job(nil, func(j *batchv1.Job) { j.Status = c.old })
		next := job(nil, func(j *batchv1.Job) { j.Status, j.Spec.Parallelism = c.now, ptr.To[int32](9) })
		if got := first(batch.Job().Subresources[0].Update(kindtest.Env(), next, old)); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
		if *next.Spec.Parallelism != 1 {
			t.Errorf("%s: a status changed the specification", name)
		}
	}
}

func TestIndexesOfAnIndexedJob(t *testing.T) {
	for _, c := range []struct{ completed, failed, want string }{
		{"0,2-4", "1", ""},
		{"5", "", `error parsing completedIndexes: too large index: "5"`},
		{"1,1", "", "error parsing completedIndexes: non-increasing order, previous: 1, current: 1"},
		{"1-2-3", "", `error parsing completedIndexes: the fragment "1-2-3" violates the requirement that an index interval can have at most two parts separated by '-'`},
		{"x", "", `error parsing completedIndexes: cannot convert string to integer for index: "x"`},
		{"0-2", "2-3", "failedIndexes and completedIndexes overlap at index: 2"},
		{"0,4", "1,2-4", "failedIndexes and completedIndexes overlap at index: 4"},
	} {
		old := job(func(j *batchv1.Job) {
			j.Spec.CompletionMode, j.Spec.Completions, j.Spec.BackoffLimitPerIndex = ptr.To(batchv1.IndexedCompletion), ptr.To[int32](5), ptr.To[int32](1)
		}, nil)
		next := old.DeepCopy()
		next.Status.CompletedIndexes = c.completed
		if c.failed != "" {
			next.Status.FailedIndexes = &c.failed
		}
		if got := first(batch.Job().Subresources[0].Update(kindtest.Env(), next, old)); !strings.HasSuffix(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%q, %q: got %q, want %q", c.completed, c.failed, got, c.want)
		}
	}
}
