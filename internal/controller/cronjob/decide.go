package cronjob

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/job"
	"github.com/floe-k8s/floe/internal/kinds/batch/cron"
)

// Input is what a decision rests on.
type Input struct {
	CronJob *batchv1.CronJob
	Jobs    []*batchv1.Job                 // those that it controls
	Named   func(name string) *batchv1.Job // any job of its namespace; nil: there is none
}

// Decision is what to do about a cron job now, in this order.
type Decision struct {
	Replace []*batchv1.Job // to delete, since a new one takes their place
	Create  *batchv1.Job   // to make; nil: none
	Status  *batchv1.CronJobStatus
	Forget  []*batchv1.Job // to delete, since there are enough younger ones
	Events  []engine.Event // about the cron job
	After   time.Duration  // when to look again without a change; 0: never
}

// round is one look at a cron job.
type round struct {
	Input
	cj  *batchv1.CronJob // a copy, whose status becomes the new one
	now time.Time
	d   Decision
}

// Decide is the core.
func Decide(in Input, now time.Time) Decision {
	r := &round{Input: in, cj: in.CronJob.DeepCopy(), now: now}
	if !r.record() { // else the status wakes us again
		r.forget()
		r.see()
		r.miss()
		r.schedule()
	}
	if !reflect.DeepEqual(r.cj.Status, in.CronJob.Status) {
		r.d.Status = &r.cj.Status
	}
	return r.d
}

func (r *round) tell(kind, reason, format string, args ...any) {
	r.d.Events = append(r.d.Events, engine.Event{Type: kind, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// record puts the jobs that were made since the status was written last into it, and says whether there are any.
func (r *round) record() bool {
	type made struct {
		job *batchv1.Job
		at  time.Time
	}
	var list []made
	for _, job := range r.Jobs {
		at, err := time.Parse(time.RFC3339, job.Annotations[batchv1.CronJobScheduledTimestampAnnotation])
		last := r.cj.Status.LastScheduleTime
		if err == nil && job.Name == jobName(r.cj, at) && (last == nil || at.After(last.Time)) && !r.listed(job.UID) {
			list = append(list, made{job, at})
		}
	}
	slices.SortFunc(list, func(a, b made) int { return a.at.Compare(b.at) })
	for _, m := range list {
		r.list(m.job, m.at.Local())
	}
	return len(list) > 0
}

func (r *round) list(job *batchv1.Job, at time.Time) {
	st := &r.cj.Status
	st.Active = append(st.Active, engine.Refer("batch/v1", "Job", job))
	st.LastScheduleTime = &metav1.Time{Time: at}
}

func (r *round) listed(uid types.UID) bool {
	return slices.ContainsFunc(r.cj.Status.Active, func(ref corev1.ObjectReference) bool { return ref.UID == uid })
}

func (r *round) unlist(uid types.UID) {
	st := &r.cj.Status
	if st.Active = slices.DeleteFunc(st.Active, func(ref corev1.ObjectReference) bool { return ref.UID == uid }); len(st.Active) == 0 {
		st.Active = nil
	}
}

// ended is how a job ended; "" when it has not.
func ended(j *batchv1.Job) batchv1.JobConditionType {
	if end := job.End(j); end != nil {
		return end.Type
	}
	return ""
}

// forget finds the jobs of the past that are too many, those that began first.
func (r *round) forget() {
	for _, limit := range []struct {
		how  batchv1.JobConditionType
		most *int32
	}{{batchv1.JobComplete, r.cj.Spec.SuccessfulJobsHistoryLimit}, {batchv1.JobFailed, r.cj.Spec.FailedJobsHistoryLimit}} {
		list := slices.DeleteFunc(slices.Clone(r.Jobs), func(job *batchv1.Job) bool { return ended(job) != limit.how })
		if limit.most == nil || len(list) <= int(*limit.most) {
			continue
		}
		slices.SortFunc(list, byStart)
		for _, job := range list[:len(list)-int(*limit.most)] {
			r.unlist(job.UID)
			if job.DeletionTimestamp == nil {
				r.d.Forget = append(r.d.Forget, job)
			}
		}
	}
}

// byStart sorts jobs by when they began, those that never did last.
func byStart(a, b *batchv1.Job) int {
	switch sa, sb := a.Status.StartTime, b.Status.StartTime; {
	case sa == nil && sb != nil:
		return 1
	case sa != nil && sb == nil:
		return -1
	case sa != nil:
		if c := sa.Compare(sb.Time); c != 0 {
			return c
		}
	}
	return cmp.Compare(a.Name, b.Name)
}

// see compares the jobs that there are with those that are listed.
func (r *round) see() {
	st := &r.cj.Status
	for _, job := range r.Jobs {
		how, listed := ended(job), r.listed(job.UID)
		switch {
		case how == "" && !listed:
			r.tell(corev1.EventTypeWarning, "UnexpectedJob", "Saw a job that the controller did not create or forgot: %s", job.Name)
		case how != "" && listed:
			r.unlist(job.UID)
			r.tell(corev1.EventTypeNormal, "SawCompletedJob", "Saw completed job: %s, condition: %v", job.Name, how)
		}
		at := job.Status.CompletionTime
		if how == batchv1.JobComplete && at != nil && (st.LastSuccessfulTime == nil || at.After(st.LastSuccessfulTime.Time)) {
			st.LastSuccessfulTime = at.DeepCopy()
		}
	}
}

// miss takes from the list what is gone.
func (r *round) miss() {
	for _, ref := range slices.Clone(r.cj.Status.Active) {
		ours := slices.ContainsFunc(r.Jobs, func(job *batchv1.Job) bool { return job.UID == ref.UID })
		if !ours && r.Named(ref.Name) == nil {
			r.tell(corev1.EventTypeNormal, "MissingJob", "Active job went missing: %v", ref.Name)
			r.unlist(ref.UID)
		}
	}
}

// schedule makes the job that is due, if any, and finds when to look again.
func (r *round) schedule() {
	spec := &r.cj.Spec
	if r.cj.DeletionTimestamp != nil {
		return
	}
	if spec.TimeZone != nil {
		if _, err := time.LoadLocation(*spec.TimeZone); err != nil {
			r.tell(corev1.EventTypeWarning, "UnknownTimeZone", "invalid timeZone: %q: %s", *spec.TimeZone, err)
			return
		}
	}
	if spec.Suspend != nil && *spec.Suspend {
		return
	}
	times, err := cron.Parse(r.text())
	if err != nil {
		r.tell(corev1.EventTypeWarning, "UnparseableSchedule", "unparseable schedule: %q : %s", spec.Schedule, err)
		return
	}
	due, err := r.due(times)
	if err != nil {
		r.tell(corev1.EventTypeWarning, "InvalidSchedule", "invalid schedule: %s : %s", spec.Schedule, err)
		return
	}
	if !due.IsZero() {
		r.start(due)
	}
	r.d.After = r.next(times)
}

// text is the schedule with its zone.
func (r *round) text() string {
	spec := &r.cj.Spec
	if strings.Contains(spec.Schedule, "TZ") {
		r.tell(corev1.EventTypeWarning, "UnsupportedSchedule", "CRON_TZ or TZ used in schedule %q is not officially supported, see "+
			"https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details", spec.Schedule)
		return spec.Schedule
	}
	if spec.TimeZone != nil {
		return "TZ=" + *spec.TimeZone + " " + spec.Schedule
	}
	return spec.Schedule
}

// start makes the job of a time, unless it is too late, was made, or must not run beside others.
func (r *round) start(due time.Time) {
	spec, st, name := &r.cj.Spec, &r.cj.Status, jobName(r.cj, due)
	if limit := spec.StartingDeadlineSeconds; limit != nil && due.Add(time.Duration(*limit)*time.Second).Before(r.now) {
		r.tell(corev1.EventTypeWarning, "MissSchedule", "Missed scheduled time to start a job: %s", due.UTC().Format(time.RFC1123Z))
		return
	}
	if st.LastScheduleTime != nil && st.LastScheduleTime.Time.Equal(due) ||
		slices.ContainsFunc(st.Active, func(ref corev1.ObjectReference) bool { return ref.Name == name }) {
		return
	}
	if spec.ConcurrencyPolicy == batchv1.ForbidConcurrent && len(st.Active) > 0 {
		r.tell(corev1.EventTypeNormal, "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid")
		return
	}
	if spec.ConcurrencyPolicy == batchv1.ReplaceConcurrent {
		for _, ref := range st.Active {
			if job := r.Named(ref.Name); job != nil {
				r.d.Replace = append(r.d.Replace, job)
			}
		}
		st.Active = nil
	}
	switch there := r.Named(name); {
	case there == nil:
		r.d.Create = r.job(due)
	case metav1.IsControlledBy(there, r.cj):
		r.list(there, due)
	}
}

// jobName names the job of a time.
func jobName(cj *batchv1.CronJob, at time.Time) string {
	return fmt.Sprintf("%s-%d", cj.Name, at.Unix()/60)
}

// job is the job of a time.
func (r *round) job(due time.Time) *batchv1.Job {
	t := r.cj.Spec.JobTemplate.DeepCopy()
	zone := time.UTC
	if r.cj.Spec.TimeZone != nil {
		if named, err := time.LoadLocation(*r.cj.Spec.TimeZone); err == nil { // schedule has looked before
			zone = named
		}
	}
	notes := maps.Clone(t.Annotations)
	if notes == nil {
		notes = map[string]string{}
	}
	notes[batchv1.CronJobScheduledTimestampAnnotation] = due.In(zone).Format(time.RFC3339)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.cj.Namespace, Name: jobName(r.cj, due), Labels: t.Labels, Annotations: notes,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(r.cj, kind())}},
		Spec: t.Spec,
	}
}
