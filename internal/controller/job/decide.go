package job

import (
	"reflect"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
)

// Decision is what to do about a job now, in this order.
type Decision struct {
	Unneeded []*corev1.Pod      // to free and delete: their ends do not count
	Delete   []*corev1.Pod      // to delete; their ends count
	Create   []*corev1.Pod      // to make
	Status   *batchv1.JobStatus // to write; nil: it is as it should be
	Free     []*corev1.Pod      // to free, once the status is written
	Events   []engine.Event     // about the job
	After    time.Duration      // when to look again without a change; 0: never
	Waiting  string             // for what the job waits; "" for nothing
}

// round is one look at a job.
type round struct {
	job  *batchv1.Job // a copy, whose status becomes the new one
	pods []*corev1.Pod
	now  time.Time
	d    Decision

	listed map[types.UID]bool // tracked or not: whose ends are in the lists of the status
	active []*corev1.Pod
	// How many there are, those that this round makes and deletes included.
	running, ready, terminating int32
	// How many have ended: those in the counters, in the lists, and tracked ones that are in neither yet.
	succeeded, failed int32
	// Of an indexed job: what has succeeded by the status, and by the pods too.
	before, done indexes
	lost         indexes             // failed for good, with a limit per index
	replaced     map[int]*corev1.Pod // with a limit per index: the failed pod that a new one is to take the counts of
	end          *batchv1.JobCondition
}

// Decide is the core: mine are the job's pods. The job is neither over nor another controller's.
func Decide(job *batchv1.Job, mine []*corev1.Pod, now time.Time) Decision {
	r := look(job, mine, now)
	r.judge()
	r.manage()
	return r.count(job)
}

// standstill is what to do when pods can be neither made nor deleted: their ends are counted all the same.
func standstill(job *batchv1.Job, mine []*corev1.Pod, now time.Time) Decision {
	r := look(job, mine, now)
	r.judge()
	if r.running > 0 {
		r.end = nil // pods that are there may yet end in their own way
	}
	return r.count(job)
}

func look(job *batchv1.Job, mine []*corev1.Pod, now time.Time) *round {
	r := &round{job: job.DeepCopy(), pods: slices.Clone(mine), now: now, listed: map[types.UID]bool{}, replaced: map[int]*corev1.Pod{}}
	st := &r.job.Status
	if st.UncountedTerminatedPods == nil {
		st.UncountedTerminatedPods = &batchv1.UncountedTerminatedPods{}
	}
	lists := st.UncountedTerminatedPods
	for _, uid := range slices.Concat(lists.Succeeded, lists.Failed) {
		r.listed[uid] = true
	}
	if st.StartTime == nil && !suspended(job) {
		st.StartTime = &metav1.Time{Time: now}
	}
	r.succeeded = st.Succeeded + int32(len(lists.Succeeded))
	r.failed = st.Failed + int32(len(lists.Failed))
	for _, p := range r.pods {
		switch {
		case pods.Active(p):
			r.active = append(r.active, p)
			if pods.Ready(p) {
				r.ready++
			}
		case !pods.Ended(p):
			r.terminating++
		}
		if !tracked(p) || r.listed[p.UID] || !r.inRange(p) {
			continue
		}
		if p.Status.Phase == corev1.PodSucceeded {
			r.succeeded++
		} else if failed(job, p) && judge(job.Spec.PodFailurePolicy, p).counts() {
			r.failed++
		}
	}
	r.running = int32(len(r.active))
	if indexed(job) {
		r.lookAtIndexes()
	}
	return r
}

// lookAtIndexes finds what has succeeded and failed, and which failed pods new ones are to follow.
func (r *round) lookAtIndexes() {
	st, below := &r.job.Status, int(*r.job.Spec.Completions)
	r.before = parseIndexes(st.CompletedIndexes, below)
	var succeeded, lost []int
	for _, p := range r.pods {
		switch {
		case !tracked(p) || !r.inRange(p):
		case p.Status.Phase == corev1.PodSucceeded && !slices.Contains(st.UncountedTerminatedPods.Failed, p.UID):
			succeeded = append(succeeded, indexOf(p))
		case perIndex(r.job) && indexLost(r.job, p):
			lost = append(lost, indexOf(p))
		}
	}
	r.done = r.before.with(succeeded...)
	r.succeeded = int32(r.done.count())
	if !perIndex(r.job) {
		return
	}
	if st.FailedIndexes != nil {
		r.lost = parseIndexes(*st.FailedIndexes, below)
	}
	r.lost = r.lost.with(lost...)
	settled := r.done.union(r.lost).union(indexesOf(r.active))
	for _, p := range r.pods {
		if tracked(p) && r.inRange(p) && failed(r.job, p) && !settled.has(indexOf(p)) && follows(p, r.replaced[indexOf(p)]) {
			r.replaced[indexOf(p)] = p
		}
	}
}

// judge finds whether and how the job ends by what has happened so far.
func (r *round) judge() {
	spec, st := &r.job.Spec, &r.job.Status
	if r.end = condition(st, batchv1.JobSuccessCriteriaMet); r.end != nil {
		return
	}
	if c := condition(st, batchv1.JobFailureTarget); c != nil {
		r.ends(batchv1.JobFailed, c.Reason, c.Message)
		return
	}
	for _, p := range r.pods {
		if v := judge(spec.PodFailurePolicy, p); v.fails != "" && failed(r.job, p) {
			r.ends(batchv1.JobFailureTarget, batchv1.JobReasonPodFailurePolicy, v.fails)
			return
		}
	}
	if r.failed > *spec.BackoffLimit || r.restartedTooOften() {
		r.ends(batchv1.JobFailureTarget, batchv1.JobReasonBackoffLimitExceeded, "Job has reached the specified backoff limit")
		return
	}
	if spec.ActiveDeadlineSeconds != nil && !suspended(r.job) {
		left := time.Duration(*spec.ActiveDeadlineSeconds)*time.Second - r.now.Sub(st.StartTime.Time)
		if left <= 0 {
			r.ends(batchv1.JobFailureTarget, batchv1.JobReasonDeadlineExceeded, "Job was active longer than specified deadline")
			return
		}
		r.again(left)
	}
	if indexed(r.job) {
		r.judgeIndexes()
	}
}

func (r *round) judgeIndexes() {
	spec := &r.job.Spec
	switch n := r.lost.count(); {
	case spec.MaxFailedIndexes != nil && perIndex(r.job) && n > int(*spec.MaxFailedIndexes):
		r.ends(batchv1.JobFailureTarget, batchv1.JobReasonMaxFailedIndexesExceeded, "Job has exceeded the specified maximal number of failed indexes")
		return
	case n > 0 && n+r.done.count() >= int(*spec.Completions):
		r.ends(batchv1.JobFailureTarget, batchv1.JobReasonFailedIndexes, "Job has failed indexes")
		return
	}
	if message, met := success(spec.SuccessPolicy, int(*spec.Completions), r.done); met {
		r.ends(batchv1.JobSuccessCriteriaMet, batchv1.JobReasonSuccessPolicy, message)
	}
}

// restartedTooOften says that containers that are restarted in place were so often enough to fail the job.
func (r *round) restartedTooOften() bool {
	if r.job.Spec.Template.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		return false
	}
	var n int32
	for _, p := range r.pods {
		if p.Status.Phase != corev1.PodRunning && p.Status.Phase != corev1.PodPending {
			continue
		}
		for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			n += c.RestartCount
		}
	}
	return n >= max(1, *r.job.Spec.BackoffLimit)
}

func (r *round) ends(how batchv1.JobConditionType, reason, message string) {
	r.end = &batchv1.JobCondition{Type: how, Status: corev1.ConditionTrue, Reason: reason, Message: message,
		LastProbeTime: metav1.NewTime(r.now), LastTransitionTime: metav1.NewTime(r.now)}
}

// again asks for another look after d, or sooner.
func (r *round) again(d time.Duration) {
	if r.d.After == 0 || d < r.d.After {
		r.d.After = d
	}
}

func (r *round) tell(kind, reason, message string) {
	r.d.Events = append(r.d.Events, engine.Event{Type: kind, Reason: reason, Message: message})
}

// result is the decision, with the status when it is another one than before.
func (r *round) result(was *batchv1.Job) Decision {
	st := &r.job.Status
	ready, terminating := r.ready, r.terminating
	st.Active, st.Ready, st.Terminating = r.running, &ready, &terminating
	if !reflect.DeepEqual(was.Status, *st) {
		r.d.Status = st
	}
	return r.d
}

// inRange says that a pod of an indexed job has one of its indexes; pods of others always are.
func (r *round) inRange(p *corev1.Pod) bool {
	if !indexed(r.job) {
		return true
	}
	i := indexOf(p)
	return i >= 0 && i < int(*r.job.Spec.Completions)
}

// failed says that a pod counts as failed. One that is being deleted does as soon as it is, unless only pods that have really failed are replaced.
func failed(job *batchv1.Job, p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodFailed || p.DeletionTimestamp != nil && p.Status.Phase != corev1.PodSucceeded && !replacesFailedOnly(job)
}

func replacesFailedOnly(job *batchv1.Job) bool {
	return job.Spec.PodReplacementPolicy != nil && *job.Spec.PodReplacementPolicy == batchv1.Failed || job.Spec.PodFailurePolicy != nil
}

func suspended(job *batchv1.Job) bool { return job.Spec.Suspend != nil && *job.Spec.Suspend }

func indexed(job *batchv1.Job) bool {
	return job.Spec.CompletionMode != nil && *job.Spec.CompletionMode == batchv1.IndexedCompletion
}

// perIndex says that failures are limited for each index.
func perIndex(job *batchv1.Job) bool { return indexed(job) && job.Spec.BackoffLimitPerIndex != nil }

// End is a copy of the condition that says that a job is over, Complete or Failed; nil: it is not.
func End(job *batchv1.Job) *batchv1.JobCondition {
	if c := condition(&job.Status, batchv1.JobComplete); c != nil {
		return c
	}
	return condition(&job.Status, batchv1.JobFailed)
}

func over(job *batchv1.Job) bool { return End(job) != nil }

// condition is the condition of a type when it is true, a copy; else nil.
func condition(st *batchv1.JobStatus, of batchv1.JobConditionType) *batchv1.JobCondition {
	for _, c := range st.Conditions {
		if c.Type == of && c.Status == corev1.ConditionTrue {
			return &c
		}
	}
	return nil
}
