package job

import (
	"cmp"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/controller/pods"
)

// count moves ends on by one state, finds which pods can be freed, and ends the job when nothing is left to count.
func (r *round) count(was *batchv1.Job) Decision {
	st := &r.job.Status
	held := map[types.UID]bool{}
	for _, p := range r.pods {
		if tracked(p) {
			held[p.UID] = true
		}
	}
	lists := st.UncountedTerminatedPods
	lists.Succeeded = r.settle(lists.Succeeded, held, &st.Succeeded)
	lists.Failed = r.settle(lists.Failed, held, &st.Failed)
	if indexed(r.job) {
		// So that what is listed first are low indexes.
		slices.SortStableFunc(r.pods, func(a, b *corev1.Pod) int { return cmp.Compare(indexOf(a), indexOf(b)) })
	}
	r.list()
	if indexed(r.job) {
		st.Succeeded, st.CompletedIndexes = int32(r.done.count()), r.done.String()
		st.FailedIndexes = nil
		if perIndex(r.job) {
			text := r.lost.String()
			st.FailedIndexes = &text
		}
	}
	r.finish()
	return r.result(was)
}

// settle counts those of a list that are free, and returns the others.
func (r *round) settle(list []types.UID, held map[types.UID]bool, counter *int32) []types.UID {
	rest := slices.DeleteFunc(slices.Clone(list), func(uid types.UID) bool { return !held[uid] })
	if len(rest) == len(list) {
		return list
	}
	*counter += int32(len(list) - len(rest))
	if len(rest) == 0 {
		return nil
	}
	return rest
}

// list puts the tracked pods that have ended into the lists, and frees them. Those that this round deletes are freed in the next, which sees them deleted.
func (r *round) list() {
	lists, indexesDone := r.job.Status.UncountedTerminatedPods, 0
	for _, p := range r.pods {
		switch {
		case !tracked(p) || !r.canFree(p):
			continue
		case r.listed[p.UID]:
		case indexesDone+len(lists.Succeeded)+len(lists.Failed) >= burst:
			continue // the next round goes on, when the status and the pods show it
		case p.Status.Phase == corev1.PodSucceeded && indexed(r.job):
			if r.inRange(p) && !r.before.has(indexOf(p)) {
				indexesDone++
			}
		case p.Status.Phase == corev1.PodSucceeded:
			lists.Succeeded = append(lists.Succeeded, p.UID)
		case (failed(r.job, p) || r.fails()) && r.inRange(p) && judge(r.job.Spec.PodFailurePolicy, p).counts():
			lists.Failed = append(lists.Failed, p.UID)
		}
		if len(r.d.Delete) == 0 || !pods.Active(p) {
			r.d.Free = append(r.d.Free, p)
		}
	}
}

// fails says that the job ends as failed. Then every pod that has not ended counts as failed.
func (r *round) fails() bool { return r.end != nil && r.end.Type != batchv1.JobSuccessCriteriaMet }

// canFree says that a pod's end is known, or does not matter any more: the job ends or is being deleted. A failed pod whose counts the next one of its index is to
// take over stays until that is there.
func (r *round) canFree(p *corev1.Pod) bool {
	if r.job.DeletionTimestamp != nil || r.end != nil || p.Status.Phase == corev1.PodSucceeded {
		return true
	}
	next := r.replaced[indexOf(p)]
	return failed(r.job, p) && (next == nil || next.UID != p.UID)
}

// finish announces how the job ends, and in a later round, when nothing is left to count or to wait for, ends it.
func (r *round) finish() {
	st := &r.job.Status
	switch {
	case r.end == nil:
		return
	case r.end.Type == batchv1.JobFailureTarget, r.end.Type == batchv1.JobSuccessCriteriaMet && condition(st, batchv1.JobSuccessCriteriaMet) == nil:
		st.Conditions = append(st.Conditions, *r.end)
		return
	}
	lists := st.UncountedTerminatedPods
	if len(r.d.Free)+len(lists.Succeeded)+len(lists.Failed) > 0 || r.terminating > 0 {
		return
	}
	r.d.Waiting = ""
	reason, message := r.end.Reason, r.end.Message
	if r.end.Type == batchv1.JobFailed {
		r.set(batchv1.JobFailed, corev1.ConditionTrue, reason, message)
		r.tell(corev1.EventTypeWarning, reason, message)
		return
	}
	r.set(batchv1.JobComplete, corev1.ConditionTrue, reason, message)
	st.CompletionTime = &metav1.Time{Time: r.now}
	if want := r.job.Spec.Completions; want != nil && st.Succeeded > *want {
		r.tell(corev1.EventTypeWarning, "TooManySucceededPods", "Too many succeeded pods running after completion count reached")
	}
	r.tell(corev1.EventTypeNormal, "Completed", "Job completed")
}
