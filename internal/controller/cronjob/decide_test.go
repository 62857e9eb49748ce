package cronjob

import (
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// noon is a minute at which hourly jobs are due.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// hourly is a cron job of two hours before noon that made its last job one hour before.
func hourly(change func(*batchv1.CronJob)) *batchv1.CronJob {
	cj := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "tidy", UID: "cj", CreationTimestamp: metav1.NewTime(noon.Add(-2 * time.Hour))},
		Spec: batchv1.CronJobSpec{Schedule: "0 * * * *", ConcurrencyPolicy: batchv1.AllowConcurrent,
			JobTemplate: batchv1.JobTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"l": "v"}, Annotations: map[string]string{"a": "v"}}}},
		Status: batchv1.CronJobStatus{LastScheduleTime: &metav1.Time{Time: noon.Add(-time.Hour)}}}
	if change != nil {
		change(cj)
	}
	return cj
}

// child is one that hourly's cron job controls. how says how it ended, half an hour before noon; "": it runs.
func child(name string, how batchv1.JobConditionType) *batchv1.Job {
	j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name),
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(hourly(nil), kind())}}}
	if how != "" {
		j.Status.Conditions = []batchv1.JobCondition{{Type: how, Status: corev1.ConditionTrue}}
	}
	if how == batchv1.JobComplete {
		j.Status.CompletionTime = &metav1.Time{Time: noon.Add(-30 * time.Minute)}
	}
	return j
}

// due is a job whose time is so long before noon.
func due(before time.Duration, how batchv1.JobConditionType) *batchv1.Job {
	at := noon.Add(-before)
	j := child(jobName(hourly(nil), at), how)
	j.Annotations = map[string]string{batchv1.CronJobScheduledTimestampAnnotation: at.Format(time.RFC3339)}
	return j
}

func active(names ...string) (refs []corev1.ObjectReference) {
	for _, n := range names {
		refs = append(refs, corev1.ObjectReference{Name: n, Namespace: "default", UID: types.UID(n)})
	}
	return refs
}

func (d Decision) text() string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	for _, j := range d.Replace {
		add("replace %s", j.Name)
	}
	if d.Create != nil {
		add("create %s", d.Create.Name)
	}
	if d.Status != nil {
		var names []string
		for _, ref := range d.Status.Active {
			names = append(names, ref.Name)
		}
		add("active [%s]", strings.Join(names, " "))
		if at := d.Status.LastScheduleTime; at != nil {
			add("last %s", at.UTC().Format(time.TimeOnly))
		}
		if at := d.Status.LastSuccessfulTime; at != nil {
			add("success %s", at.UTC().Format(time.TimeOnly))
		}
	}
	for _, j := range d.Forget {
		add("forget %s", j.Name)
	}
	for _, e := range d.Events {
		add("%s: %s", e.Reason, e.Message)
	}
	if d.After != 0 {
		add("after %v", d.After)
	}
	return strings.Join(parts, "; ")
}

func TestDecide(t *testing.T) {
	at := jobName(hourly(nil), noon)
	before := jobName(hourly(nil), noon.Add(-time.Hour))
	if at != "tidy-29455920" {
		t.Fatalf("the job of noon is %s", at)
	}
	for name, c := range map[string]struct {
		change func(*batchv1.CronJob)
		jobs   []*batchv1.Job
		now    time.Duration // since noon
		want   string
	}{
		"not yet":     {nil, nil, -time.Minute, "after 1m0.1s"},
		"due":         {nil, nil, time.Second, "create " + at + "; after 59m59.1s"},
		"first":       {func(c *batchv1.CronJob) { c.Status.LastScheduleTime = nil }, nil, time.Second, "create " + at + "; after 59m59.1s"},
		"made":        {nil, []*batchv1.Job{due(0, "")}, time.Second, "active [" + at + "]; last 12:00:00"},
		"made, ended": {nil, []*batchv1.Job{due(0, batchv1.JobComplete)}, time.Second, "active [" + at + "]; last 12:00:00"},
		"recorded": {func(c *batchv1.CronJob) {
			c.Status = batchv1.CronJobStatus{Active: active(at), LastScheduleTime: &metav1.Time{Time: noon}}
		}, []*batchv1.Job{due(0, "")}, time.Second, "after 59m59.1s"},
		"ended": {func(c *batchv1.CronJob) {
			c.Status = batchv1.CronJobStatus{Active: active(at), LastScheduleTime: &metav1.Time{Time: noon}}
		}, []*batchv1.Job{due(0, batchv1.JobFailed)}, time.Second,
			"active []; last 12:00:00; SawCompletedJob: Saw completed job: " + at + ", condition: Failed; after 59m59.1s"},
		"succeeded": {func(c *batchv1.CronJob) { c.Status.Active = active(before) }, []*batchv1.Job{due(time.Hour, batchv1.JobComplete)}, -time.Minute,
			"active []; last 11:00:00; success 11:30:00; SawCompletedJob: Saw completed job: " + before + ", condition: Complete; after 1m0.1s"},
		"gone": {func(c *batchv1.CronJob) { c.Status.Active = active(before) }, nil, -time.Minute,
			"active []; last 11:00:00; MissingJob: Active job went missing: " + before + "; after 1m0.1s"},
		"not ours": {nil, []*batchv1.Job{child("by-hand", "")}, -time.Minute,
			"UnexpectedJob: Saw a job that the controller did not create or forgot: by-hand; after 1m0.1s"},
		"suspended":  {func(c *batchv1.CronJob) { c.Spec.Suspend = ptr.To(true) }, nil, time.Second, ""},
		"going":      {func(c *batchv1.CronJob) { c.DeletionTimestamp = &metav1.Time{Time: noon} }, nil, time.Second, ""},
		"too late":   {func(c *batchv1.CronJob) { c.Spec.StartingDeadlineSeconds = ptr.To[int64](10) }, nil, 11 * time.Second, "after 59m49.1s"},
		"just right": {func(c *batchv1.CronJob) { c.Spec.StartingDeadlineSeconds = ptr.To[int64](10) }, nil, 9 * time.Second, "create " + at + "; after 59m51.1s"},
		"many missed": {func(c *batchv1.CronJob) { c.Status.LastScheduleTime.Time = noon.Add(-200 * time.Hour) }, nil, time.Second,
			"create " + at + "; TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew; after 59m59.1s"},
		"few missed": {func(c *batchv1.CronJob) { c.Status.LastScheduleTime.Time = noon.Add(-90 * time.Hour) }, nil, time.Second, "create " + at + "; after 59m59.1s"},
		"forbidden": {func(c *batchv1.CronJob) {
			c.Spec.ConcurrencyPolicy, c.Status.Active = batchv1.ForbidConcurrent, active(before)
		},
			[]*batchv1.Job{due(time.Hour, "")}, time.Second,
			"JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid; after 59m59.1s"},
		"replaced": {func(c *batchv1.CronJob) {
			c.Spec.ConcurrencyPolicy, c.Status.Active = batchv1.ReplaceConcurrent, active(before)
		},
			[]*batchv1.Job{due(time.Hour, "")}, time.Second, "replace " + before + "; create " + at + "; active []; last 11:00:00; after 59m59.1s"},
		"beside": {func(c *batchv1.CronJob) { c.Status.Active = active(before) }, []*batchv1.Job{due(time.Hour, "")}, time.Second,
			"create " + at + "; after 59m59.1s"},
		"never": {func(c *batchv1.CronJob) { c.Spec.Schedule = "0 0 31 2 *" }, nil, time.Second,
			"InvalidSchedule: invalid schedule: 0 0 31 2 * : time difference between two schedules is less than 1 second"},
		"unreadable": {func(c *batchv1.CronJob) { c.Spec.Schedule = "x" }, nil, time.Second,
			`UnparseableSchedule: unparseable schedule: "x" : expected exactly 5 fields, found 1: [x]`},
		"no zone": {func(c *batchv1.CronJob) { c.Spec.TimeZone = ptr.To("No/Such") }, nil, time.Second,
			`UnknownTimeZone: invalid timeZone: "No/Such": unknown time zone No/Such`},
		"zone": {func(c *batchv1.CronJob) { c.Spec.Schedule, c.Spec.TimeZone = "30 17 * * *", ptr.To("Asia/Kolkata") }, nil, time.Second,
			"create " + at + "; after 23h59m59.1s"},
		"zone in the schedule": {func(c *batchv1.CronJob) { c.Spec.Schedule = "TZ=Asia/Kolkata 30 17 * * *" }, nil, -time.Hour,
			`UnsupportedSchedule: CRON_TZ or TZ used in schedule "TZ=Asia/Kolkata 30 17 * * *" is not officially supported, see ` +
				"https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details; after 1h0m0.1s"},
		"history": {func(c *batchv1.CronJob) {
			c.Spec.SuccessfulJobsHistoryLimit, c.Spec.FailedJobsHistoryLimit = ptr.To[int32](1), ptr.To[int32](0)
			c.Status.LastSuccessfulTime = &metav1.Time{Time: noon}
		}, []*batchv1.Job{child("b", batchv1.JobComplete), child("a", batchv1.JobComplete), child("c", batchv1.JobFailed)}, -time.Minute, "forget a; forget c; after 1m0.1s"},
	} {
		cj := hourly(c.change)
		in := Input{CronJob: cj, Jobs: c.jobs, Named: func(name string) *batchv1.Job {
			for _, j := range c.jobs {
				if j.Name == name {
					return j
				}
			}
			return nil
		}}
		if got := Decide(in, noon.Add(c.now)).text(); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, c.want)
		}
	}
}

// TestTaken: a job that somebody else made in the name of a time is left alone; one that is ours and says no time is listed.
func TestTaken(t *testing.T) {
	mine := due(0, "")
	mine.Annotations = nil
	other := mine.DeepCopy()
	other.OwnerReferences = nil
	in := Input{CronJob: hourly(nil), Named: func(string) *batchv1.Job { return other }}
	if got := Decide(in, noon.Add(time.Second)).text(); got != "after 59m59.1s" {
		t.Errorf("got %s", got)
	}
	in.Named = func(string) *batchv1.Job { return mine }
	if got := Decide(in, noon.Add(time.Second)).text(); got != "active [tidy-29455920]; last 12:00:00; after 59m59.1s" {
		t.Errorf("got %s", got)
	}
}

func TestJobOfATime(t *testing.T) {
	cj := hourly(func(c *batchv1.CronJob) {
		c.Spec.TimeZone, c.Spec.JobTemplate.Spec.Parallelism = ptr.To("Asia/Kolkata"), ptr.To[int32](3)
		c.Spec.Schedule = "30 17 * * *"
	})
	d := Decide(Input{CronJob: cj, Named: func(string) *batchv1.Job { return nil }}, noon)
	j := d.Create
	if j == nil || j.Labels["l"] != "v" || j.Annotations["a"] != "v" || *j.Spec.Parallelism != 3 || !metav1.IsControlledBy(j, cj) || j.Namespace != "default" ||
		j.Annotations[batchv1.CronJobScheduledTimestampAnnotation] != "2026-01-02T17:30:00+05:30" {
		t.Errorf("got %+v", j)
	}
	if len(cj.Spec.JobTemplate.Annotations) != 1 {
		t.Errorf("the cron job was changed: %v", cj.Spec.JobTemplate.Annotations)
	}
}
