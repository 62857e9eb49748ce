package job

import (
	"maps"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/pods"
)

// burst bounds how many pods one round makes or deletes, and how many ends the status lists.
const burst = 500

// manage makes and deletes pods, and finds whether the job is complete by that.
func (r *round) manage() {
	if r.end != nil {
		r.d.Delete = r.active
		r.removed(r.active)
		r.d.Waiting = "pods to end"
		return
	}
	goesOn := r.job.DeletionTimestamp == nil
	if goesOn {
		r.scale()
	}
	if r.complete() {
		r.ends(batchv1.JobSuccessCriteriaMet, batchv1.JobReasonCompletionsReached, "Reached expected number of succeeded pods")
	} else if goesOn {
		r.suspension()
	}
}

// complete says that enough pods have succeeded, or any has where no number is asked for, and none is active.
func (r *round) complete() bool {
	if r.running > 0 {
		return false
	}
	if want := r.job.Spec.Completions; want != nil {
		return r.succeeded >= *want
	}
	return r.succeeded > 0
}

// suspension says in the status and in an event that the job was suspended or resumed, which also starts its time anew.
func (r *round) suspension() {
	st := &r.job.Status
	if suspended(r.job) {
		if r.set(batchv1.JobSuspended, corev1.ConditionTrue, "JobSuspended", "Job suspended") {
			r.tell(corev1.EventTypeNormal, "Suspended", "Job suspended")
			st.StartTime = nil
		}
	} else if r.set(batchv1.JobSuspended, corev1.ConditionFalse, "JobResumed", "Job resumed") {
		r.tell(corev1.EventTypeNormal, "Resumed", "Job resumed")
		st.StartTime = &metav1.Time{Time: r.now}
	}
}

// set makes a condition so, and says whether it was not. One that there never was is not made false.
func (r *round) set(of batchv1.JobConditionType, status corev1.ConditionStatus, reason, message string) bool {
	list := &r.job.Status.Conditions
	next := batchv1.JobCondition{Type: of, Status: status, Reason: reason, Message: message, LastProbeTime: metav1.NewTime(r.now), LastTransitionTime: metav1.NewTime(r.now)}
	i := slices.IndexFunc(*list, func(c batchv1.JobCondition) bool { return c.Type == of })
	switch {
	case i < 0 && status == corev1.ConditionFalse:
		return false
	case i < 0:
		*list = append(*list, next)
		return true
	case (*list)[i].Status == status && (*list)[i].Reason == reason && (*list)[i].Message == message:
		return false
	}
	(*list)[i] = next
	return true
}

// removed counts active pods as being deleted.
func (r *round) removed(list []*corev1.Pod) {
	for _, p := range list {
		r.running--
		r.terminating++
		if pods.Ready(p) {
			r.ready--
		}
	}
}

// wanted is how many pods should be active.
func (r *round) wanted() int32 {
	switch spec := &r.job.Spec; {
	case suspended(r.job):
		return 0
	case spec.Completions != nil:
		return max(0, min(*spec.Completions-r.succeeded, *spec.Parallelism))
	case r.succeeded > 0:
		return r.running // those that run shall end by themselves
	default:
		return *spec.Parallelism
	}
}

// scale brings the number of active pods towards the wanted one.
func (r *round) scale() {
	want := r.wanted()
	if rest := r.unneeded(int(max(0, r.running-want))); len(rest) > 0 {
		if !suspended(r.job) {
			rest = rest[:min(len(rest), burst)]
		}
		r.d.Unneeded = rest
		r.removed(rest)
		return
	}
	missing := want - r.running
	if replacesFailedOnly(r.job) {
		missing -= r.terminating
	}
	if missing <= 0 {
		return
	}
	if !perIndex(r.job) {
		failures, last := r.failuresInARow()
		if r.waits(backoff(failures, last, r.now)) {
			return
		}
	}
	r.create(min(int(missing), burst))
	r.running += int32(len(r.d.Create))
}

// waits says that nothing may be made for a while, and asks for another look then.
func (r *round) waits(d time.Duration) bool {
	if d > 0 {
		r.again(max(d, backoffLeast))
		r.d.Waiting = "the time after a failure to pass"
	}
	return d > 0
}

// unneeded are the active pods to be deleted, at least so many: those without an index that the job has, all but the last of each index, and then those that
// are missed least.
func (r *round) unneeded(least int) []*corev1.Pod {
	if !indexed(r.job) {
		return pods.Progress(r.active)[:least]
	}
	var rest []*corev1.Pod
	kept := map[int]*corev1.Pod{}
	for _, p := range pods.Progress(r.active) {
		switch last := kept[indexOf(p)]; {
		case !r.inRange(p):
			rest = append(rest, p)
			continue
		case last != nil:
			rest = append(rest, last)
		}
		kept[indexOf(p)] = p
	}
	if len(rest) < least {
		rest = append(rest, pods.Progress(slices.Collect(maps.Values(kept)))[:least-len(rest)]...)
	}
	return rest
}

// create makes up to so many pods, those of the lowest indexes.
func (r *round) create(n int) {
	if !indexed(r.job) {
		for range n {
			r.d.Create = append(r.d.Create, r.pod(-1))
		}
		return
	}
	var soonest time.Duration
	for _, i := range r.pending(n) {
		var wait time.Duration
		if p := r.replaced[i]; p != nil {
			counted, ignored := failuresOf(p)
			wait = backoff(counted+ignored+1, finished(p), r.now)
		}
		if wait == 0 {
			r.d.Create = append(r.d.Create, r.pod(i))
		} else if soonest == 0 || wait < soonest {
			soonest = wait
		}
	}
	r.waits(soonest)
}

// pending are the first so many indexes that still need a pod.
func (r *round) pending(n int) []int {
	taken := r.done.union(r.lost).union(indexesOf(r.active))
	if replacesFailedOnly(r.job) {
		taken = taken.union(indexesOf(slices.DeleteFunc(slices.Clone(r.pods), func(p *corev1.Pod) bool { return pods.Ended(p) || p.DeletionTimestamp == nil })))
	}
	return taken.missing(n, int(*r.job.Spec.Completions))
}

// pod makes the pod of an index; below 0: of none.
func (r *round) pod(index int) *corev1.Pod {
	p := pods.FromTemplate(&r.job.Spec.Template, r.job, *metav1.NewControllerRef(r.job, kind()))
	if !tracked(p) {
		p.Finalizers = append(p.Finalizers, batchv1.JobTrackingFinalizer)
	}
	if index >= 0 {
		r.asIndex(p, index)
	}
	return p
}

// nameMost is how long the generated name's beginning of an indexed pod may be.
const nameMost = 58

// asIndex tells a pod and its containers which index it has.
func (r *round) asIndex(p *corev1.Pod, index int) {
	number := strconv.Itoa(index)
	if p.Annotations == nil {
		p.Annotations = map[string]string{}
	}
	if p.Labels == nil {
		p.Labels = map[string]string{}
	}
	p.Annotations[batchv1.JobCompletionIndexAnnotation], p.Labels[batchv1.JobCompletionIndexAnnotation] = number, number
	if perIndex(r.job) {
		counted, ignored := r.inherited(index)
		p.Annotations[batchv1.JobIndexFailureCountAnnotation] = strconv.Itoa(counted)
		if ignored > 0 {
			p.Annotations[batchv1.JobIndexIgnoredFailureCountAnnotation] = strconv.Itoa(ignored)
		}
	}
	end := "-" + number + "-"
	p.GenerateName = r.job.Name[:min(len(r.job.Name), nameMost-len(end))] + end
	p.Spec.Hostname = r.job.Name + "-" + number
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			list[i].Env = withIndex(list[i].Env)
		}
	}
}

// withIndex adds the variable that names the index, unless there is one.
func withIndex(env []corev1.EnvVar) []corev1.EnvVar {
	const name = "JOB_COMPLETION_INDEX"
	if slices.ContainsFunc(env, func(v corev1.EnvVar) bool { return v.Name == name }) {
		return env
	}
	from := &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['" + batchv1.JobCompletionIndexAnnotation + "']"}
	return append(env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: from}})
}
