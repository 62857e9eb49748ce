package job_test

import (
	"fmt"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/job"
	"github.com/floe-k8s/floe/internal/controller/pods"
)

func jobs() client.Resource { return batchv1.SchemeGroupVersion.WithResource("jobs") }

// world is a job whose pods run, end and are deleted by chance, and what has been seen of them.
type world struct {
	*bed.Bed
	most              int32              // the highest parallelism so far
	ended             map[types.UID]bool // ended, or deleted, while tracked
	succeeded, failed map[types.UID]bool // have been in the lists
	now               map[types.UID]bool // are
}

func tracked(p *corev1.Pod) bool {
	for _, f := range p.Finalizers {
		if f == batchv1.JobTrackingFinalizer {
			return true
		}
	}
	return false
}

func newWorld(t *testing.T, seed int64, spec batchv1.JobSpec) *world {
	w := &world{Bed: bed.New(t, seed), most: *spec.Parallelism,
		ended: map[types.UID]bool{}, succeeded: map[types.UID]bool{}, failed: map[types.UID]bool{}, now: map[types.UID]bool{}}
	spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "c", Image: "i"}}}
	w.Put(jobs(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "j"}, Spec: spec})
	w.Sim.Add(job.New())
	w.Sim.Writing = func(string, engine.Write) { w.look() }
	return w
}

func (w *world) job() *batchv1.Job { return bed.Get[*batchv1.Job](w.Bed, jobs(), "default", "j") }

func (w *world) pods() (list []*corev1.Pod) {
	view, err := w.Client.View(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	for obj := range view.List(pods.Resource(), "default") {
		list = append(list, obj.(*corev1.Pod))
	}
	return list
}

// look holds the laws that hold at all times.
func (w *world) look() {
	w.Helper()
	var active int32
	indexes := map[string]int{}
	for _, p := range w.pods() {
		if pods.Active(p) {
			active++
			if i, ok := p.Annotations[batchv1.JobCompletionIndexAnnotation]; ok {
				if indexes[i]++; indexes[i] > 1 {
					w.Fatalf("two active pods have index %s", i)
				}
			}
		} else if tracked(p) {
			w.ended[p.UID] = true
		}
	}
	if active > w.most {
		w.Fatalf("%d pods are active with a parallelism of %d", active, w.most)
	}
	st := w.job().Status
	now := map[types.UID]bool{}
	list := func(uids []types.UID, mine, other map[types.UID]bool) {
		for _, uid := range uids {
			if other[uid] || mine[uid] && !w.now[uid] {
				w.Fatalf("the end of %s is counted twice", uid)
			}
			mine[uid], now[uid] = true, true
		}
	}
	if lists := st.UncountedTerminatedPods; lists != nil {
		list(lists.Succeeded, w.succeeded, w.failed)
		list(lists.Failed, w.failed, w.succeeded)
	}
	w.now = now
}

// run lets one pod go on.
func (w *world) run(likely corev1.PodPhase) {
	list := w.pods()
	if len(list) == 0 {
		return
	}
	p := list[w.Rand.Intn(len(list))]
	phase := func(next corev1.PodPhase) {
		bed.Change(w.Bed, pods.Resource(), p.Namespace, p.Name, "status", func(p *corev1.Pod) { p.Status.Phase = next })
	}
	switch {
	case pods.Ended(p) && p.DeletionTimestamp != nil:
		if _, err := w.Client.Delete(w.Context(), pods.Resource(), p.Namespace, p.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
			w.Fatal(err)
		}
	case pods.Ended(p):
	case p.Spec.NodeName == "":
		if errs := w.Client.Bind(w.Context(), []*corev1.Binding{{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Target: corev1.ObjectReference{Kind: "Node", Name: "n"}}}); errs[0] != nil && p.DeletionTimestamp == nil {
			w.Fatal(errs[0])
		}
		if p.DeletionTimestamp != nil {
			phase(corev1.PodFailed)
		}
	case p.Status.Phase == corev1.PodPending:
		phase(corev1.PodRunning)
	case w.Rand.Intn(3) > 0:
		phase(likely)
	default:
		phase(corev1.PodFailed)
	}
}

// meddle deletes a pod, suspends or resumes the job, changes its parallelism or takes the counts of its pods for a while.
func (w *world) meddle() {
	change := func(f func(s *batchv1.JobSpec)) {
		bed.Change(w.Bed, jobs(), "default", "j", "", func(j *batchv1.Job) { f(&j.Spec) })
	}
	switch w.Rand.Intn(6) {
	case 0:
		if list := w.pods(); len(list) > 0 {
			w.Remove(pods.Resource(), "default", list[w.Rand.Intn(len(list))].Name)
		}
	case 1:
		change(func(s *batchv1.JobSpec) { s.Suspend = ptr.To(w.Rand.Intn(3) == 0) })
	case 2:
		n := int32(w.Rand.Intn(4))
		w.most = max(w.most, n)
		change(func(s *batchv1.JobSpec) { s.Parallelism = &n })
	default:
		w.run(corev1.PodSucceeded)
	}
	w.look()
}

func (w *world) chance(n int, act func()) {
	w.Helper()
	for range n {
		if w.Rand.Intn(3) == 0 {
			act()
		} else if err := w.Sim.Step(w.Context()); err != nil {
			w.Fatal(err)
		}
		w.look()
	}
}

// finish lets everything run until the job is over.
func (w *world) finish(likely corev1.PodPhase) *batchv1.Job {
	w.Helper()
	for range 200 {
		for range 10 {
			w.run(likely)
			w.look()
		}
		w.chance(5, func() {})
		w.Settle()
		w.look()
		for _, c := range w.job().Status.Conditions {
			if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
				return w.job()
			}
		}
	}
	w.Fatalf("never over: %+v", w.job().Status)
	return nil
}

// counted holds that each end that there was is counted once.
func (w *world) counted(st *batchv1.JobStatus) {
	w.Helper()
	for uid := range w.ended {
		if !w.succeeded[uid] && !w.failed[uid] {
			w.Errorf("the end of %s is lost", uid)
		}
	}
	if int(st.Succeeded) != len(w.succeeded) || int(st.Failed) != len(w.failed) {
		w.Errorf("%d and %d ends are counted, there were %d and %d", st.Succeeded, st.Failed, len(w.succeeded), len(w.failed))
	}
	for _, p := range w.pods() {
		if tracked(p) {
			w.Errorf("pod %s of a job that is over is tracked", p.Name)
		}
	}
}

func seeds(t *testing.T, f func(t *testing.T, seed int64)) {
	n := int64(12)
	if testing.Short() {
		n = 3
	}
	for seed := range n {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { f(t, seed) })
	}
}

// TestEndsAreCountedOnce: whatever fails, and wherever the controller stops, each end of a pod is counted, and once.
func TestEndsAreCountedOnce(t *testing.T) {
	seeds(t, func(t *testing.T, seed int64) {
		w := newWorld(t, seed, batchv1.JobSpec{Parallelism: ptr.To[int32](2), Completions: ptr.To[int32](12), BackoffLimit: ptr.To[int32](1000)})
		w.chance(250, w.meddle)
		w.most = max(w.most, 3)
		bed.Change(w.Bed, jobs(), "default", "j", "", func(j *batchv1.Job) { j.Spec.Suspend, j.Spec.Parallelism = ptr.To(false), ptr.To[int32](3) })
		st := w.finish(corev1.PodSucceeded).Status
		w.counted(&st)
		if st.Succeeded != 12 || st.CompletionTime == nil || st.Active != 0 || *st.Ready != 0 || *st.Terminating != 0 {
			t.Errorf("got %+v", st)
		}
	})
}

// TestEveryIndexSucceedsOnce: the same for an indexed job with a limit of failures for each index.
func TestEveryIndexSucceedsOnce(t *testing.T) {
	seeds(t, func(t *testing.T, seed int64) {
		w := newWorld(t, seed, batchv1.JobSpec{Parallelism: ptr.To[int32](2), Completions: ptr.To[int32](8), CompletionMode: ptr.To(batchv1.IndexedCompletion),
			BackoffLimitPerIndex: ptr.To[int32](1000)})
		w.chance(250, w.meddle)
		w.most = max(w.most, 3)
		bed.Change(w.Bed, jobs(), "default", "j", "", func(j *batchv1.Job) { j.Spec.Suspend, j.Spec.Parallelism = ptr.To(false), ptr.To[int32](3) })
		st := w.finish(corev1.PodSucceeded).Status
		if st.Succeeded != 8 || st.CompletedIndexes != "0-7" || *st.FailedIndexes != "" || int(st.Failed) != len(w.failed) {
			t.Errorf("got %+v with %d failures", st, len(w.failed))
		}
	})
}

// TestFailuresEndAJob: a job that fails deletes its pods and counts them all.
func TestFailuresEndAJob(t *testing.T) {
	seeds(t, func(t *testing.T, seed int64) {
		w := newWorld(t, seed, batchv1.JobSpec{Parallelism: ptr.To[int32](3), Completions: ptr.To[int32](50), BackoffLimit: ptr.To[int32](4)})
		w.chance(40, w.meddle)
		bed.Change(w.Bed, jobs(), "default", "j", "", func(j *batchv1.Job) { j.Spec.Suspend, j.Spec.Parallelism = ptr.To(false), ptr.To[int32](3) })
		w.most = max(w.most, 3)
		st := w.finish(corev1.PodFailed).Status
		w.counted(&st)
		if st.Failed <= 4 || st.Conditions[len(st.Conditions)-1].Reason != "BackoffLimitExceeded" {
			t.Errorf("got %+v", st)
		}
	})
}
