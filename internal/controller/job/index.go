package job

import (
	"math"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// indexOf is a pod's completion index; -1 when it has none.
func indexOf(p *corev1.Pod) int {
	n, err := strconv.Atoi(p.Annotations[batchv1.JobCompletionIndexAnnotation])
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// indexesOf are those that pods have.
func indexesOf(list []*corev1.Pod) indexes {
	var all []int
	for _, p := range list {
		if n := indexOf(p); n >= 0 {
			all = append(all, n)
		}
	}
	return indexes(nil).with(all...)
}

// failuresOf says how many pods of its index failed before a pod, those that count and those that do not. What is no such number is 0.
func failuresOf(p *corev1.Pod) (counted, ignored int) {
	number := func(key string) int {
		n, err := strconv.Atoi(p.Annotations[key])
		if err != nil || n < 0 || n > math.MaxInt32 {
			return 0
		}
		return n
	}
	return number(batchv1.JobIndexFailureCountAnnotation), number(batchv1.JobIndexIgnoredFailureCountAnnotation)
}

// inherited are the failures of an index before its next pod.
func (r *round) inherited(index int) (counted, ignored int) {
	p := r.replaced[index]
	if p == nil {
		return 0, 0
	}
	counted, ignored = failuresOf(p)
	if judge(r.job.Spec.PodFailurePolicy, p).counts() {
		return counted + 1, ignored
	}
	return counted, ignored + 1
}

// follows says that p failed after the other pod of its index, which may be nil.
func follows(p, other *corev1.Pod) bool {
	if other == nil {
		return true
	}
	counted, ignored := failuresOf(p)
	before, passed := failuresOf(other)
	return before+passed <= counted+ignored && !finished(p).Before(finished(other))
}

// indexLost says that with this pod its index has failed for good.
func indexLost(job *batchv1.Job, p *corev1.Pod) bool {
	if !failed(job, p) {
		return false
	}
	v := judge(job.Spec.PodFailurePolicy, p)
	counted, _ := failuresOf(p)
	return v.action == batchv1.PodFailurePolicyActionFailIndex || v.counts() && counted >= int(*job.Spec.BackoffLimitPerIndex)
}
