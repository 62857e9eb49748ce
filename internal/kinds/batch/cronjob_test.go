package batch_test

import (
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/kinds/batch"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func cronJob(change func(*batchv1.CronJob)) *batchv1.CronJob {
	c := &batchv1.CronJob{
		ObjectMeta: metav1.ObjectMeta{Name: "tidy", Namespace: "default"},
		Spec:       batchv1.CronJobSpec{Schedule: "*/5 * * * *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template()}}},
	}
	batch.CronJob().Default(c)
	batch.CronJob().PrepareCreate(kindtest.Env(), c)
	if change != nil {
		change(c)
	}
	return c
}

func TestCronJobDefaults(t *testing.T) {
	s := cronJob(nil).Spec
	if s.ConcurrencyPolicy != "Allow" || *s.Suspend || *s.SuccessfulJobsHistoryLimit != 3 || *s.FailedJobsHistoryLimit != 1 || s.JobTemplate.Spec.Template.Spec.DNSPolicy != "ClusterFirst" {
		t.Errorf("got %+v", s)
	}
	if j := s.JobTemplate.Spec; j.Parallelism != nil || j.BackoffLimit != nil || j.Selector != nil {
		t.Errorf("a template of jobs was given what jobs are given: %+v", j)
	}
}

func TestCronJobValidation(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*batchv1.CronJobSpec)
		want   string
	}{
		"good":             {func(s *batchv1.CronJobSpec) { s.TimeZone = ptr.To("Europe/Berlin") }, ""},
		"no schedule":      {func(s *batchv1.CronJobSpec) { s.Schedule = "" }, "spec.schedule: Required value"},
		"schedule":         {func(s *batchv1.CronJobSpec) { s.Schedule = "* * * *" }, `spec.schedule: Invalid value: "* * * *": expected exactly 5 fields, found 4: [* * * *]`},
		"zone in it":       {func(s *batchv1.CronJobSpec) { s.Schedule = "TZ=UTC 0 * * * *" }, `spec.schedule: Invalid value: "TZ=UTC 0 * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead`},
		"deadline":         {func(s *batchv1.CronJobSpec) { s.StartingDeadlineSeconds = ptr.To[int64](-1) }, "spec.startingDeadlineSeconds: Invalid value: -1: must be greater than or equal to 0"},
		"empty zone":       {func(s *batchv1.CronJobSpec) { s.TimeZone = ptr.To("") }, `spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string`},
		"local zone":       {func(s *batchv1.CronJobSpec) { s.TimeZone = ptr.To("Local") }, `spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones`},
		"zone outside":     {func(s *batchv1.CronJobSpec) { s.TimeZone = ptr.To("../etc/passwd") }, `spec.timeZone: Invalid value: "../etc/passwd": unknown time zone ../etc/passwd`},
		"unknown zone":     {func(s *batchv1.CronJobSpec) { s.TimeZone = ptr.To("No/Such") }, `spec.timeZone: Invalid value: "No/Such": unknown time zone No/Such`},
		"concurrency":      {func(s *batchv1.CronJobSpec) { s.ConcurrencyPolicy = "x" }, `spec.concurrencyPolicy: Unsupported value: "x": supported values: "Allow", "Forbid", "Replace"`},
		"selector":         {func(s *batchv1.CronJobSpec) { s.JobTemplate.Spec.Selector = &metav1.LabelSelector{} }, "spec.jobTemplate.spec.selector: Invalid value: {}: `selector` will be auto-generated"},
		"selector by hand": {func(s *batchv1.CronJobSpec) { s.JobTemplate.Spec.ManualSelector = ptr.To(true) }, `spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"`},
		"history":          {func(s *batchv1.CronJobSpec) { s.FailedJobsHistoryLimit = ptr.To[int32](-1) }, "spec.failedJobsHistoryLimit: Invalid value: -1: must be greater than or equal to 0"},
		"restart":          {func(s *batchv1.CronJobSpec) { s.JobTemplate.Spec.Template.Spec.RestartPolicy = "Always" }, `spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`},
	} {
		if got := first(batch.CronJob().Validate(cronJob(func(j *batchv1.CronJob) { c.change(&j.Spec) }))); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	long := cronJob(func(c *batchv1.CronJob) { c.Name = strings.Repeat("n", 53) })
	if got := first(batch.CronJob().Validate(long)); !strings.HasSuffix(got, "must be no more than 52 characters") {
		t.Errorf("long name: got %s", got)
	}
}

// TestOldCronJobsStayAsTheyAre: what would be refused today is not, where it was there before.
func TestOldCronJobsStayAsTheyAre(t *testing.T) {
	old := cronJob(func(c *batchv1.CronJob) {
		c.Name, c.ResourceVersion = strings.Repeat("n", 60), "1"
		c.Spec.TimeZone, c.Spec.Schedule = ptr.To("Gone/Zone"), "TZ=UTC 0 * * * *"
	})
	next := old.DeepCopy()
	next.Spec.Suspend, next.Status.Active = ptr.To(true), []corev1.ObjectReference{{}}
	k := batch.CronJob()
	k.PrepareUpdate(kindtest.Env(), next, old)
	if next.Generation != 2 || next.Status.Active != nil {
		t.Errorf("generation %d, status %v", next.Generation, next.Status)
	}
	if got := first(append(k.Validate(next), k.ValidateUpdate(next, old)...)); got != `spec.schedule: Invalid value: "TZ=UTC 0 * * * *": cannot use both timeZone field and TZ or CRON_TZ in schedule` {
		t.Errorf("both zones: got %s", got)
	}
	old.Spec.TimeZone, next.Spec.TimeZone = nil, nil
	if errs := append(k.Validate(next), k.ValidateUpdate(next, old)...); len(errs) > 0 {
		t.Errorf("got %v", errs)
	}
	next.Spec.TimeZone = ptr.To("No/Such")
	if got := first(k.ValidateUpdate(next, cronJob(nil))); !strings.Contains(got, "cannot use TZ") {
		t.Errorf("a zone where there was none: got %s", got)
	}
}

func TestCronJobColumns(t *testing.T) {
	if got := row(batch.CronJob(), cronJob(nil), 10); got != "tidy|*/5 * * * *|<none>|False||<none>|<unknown>|c|i:1|<none>" {
		t.Errorf("got %s", got)
	}
	last := metav1.NewTime(kindtest.Env().Now.Add(-5 * time.Minute))
	busy := cronJob(func(c *batchv1.CronJob) {
		c.Spec.TimeZone, c.Spec.Suspend = ptr.To("UTC"), ptr.To(true)
		c.Status = batchv1.CronJobStatus{Active: make([]corev1.ObjectReference, 2), LastScheduleTime: &last}
	})
	if got := row(batch.CronJob(), busy, 7); got != "tidy|*/5 * * * *|UTC|True|##|5m|<unknown>" {
		t.Errorf("got %s", got)
	}
}
