package job_test

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/pods"
)

func spec() batchv1.JobSpec {
	return batchv1.JobSpec{Parallelism: ptr.To[int32](2), Completions: ptr.To[int32](2)}
}

// TestOrphans: pods that no job counts any more are freed, whatever became of it, and those of another controller's jobs are not.
func TestOrphans(t *testing.T) {
	for name, c := range map[string]struct {
		what func(w *world)
		held int // pods that stay tracked
	}{
		"goes on": {func(*world) {}, 2},
		"deleted": {func(w *world) { w.Remove(jobs(), "default", "j") }, 0},
		"let go": {func(w *world) {
			for _, p := range w.pods() {
				bed.Change(w.Bed, pods.Resource(), "default", p.Name, "", func(p *corev1.Pod) { p.OwnerReferences, p.Labels = nil, nil })
			}
			bed.Change(w.Bed, jobs(), "default", "j", "", func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(true) })
		}, 0},
		"another kind's": {func(w *world) {
			for _, p := range w.pods() {
				bed.Change(w.Bed, pods.Resource(), "default", p.Name, "", func(p *corev1.Pod) {
					p.OwnerReferences, p.Labels = []metav1.OwnerReference{{APIVersion: "x/v1", Kind: "Job", Name: "j", UID: "x", Controller: ptr.To(true)}}, nil
				})
			}
			bed.Change(w.Bed, jobs(), "default", "j", "", func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(true) })
		}, 2},
	} {
		w := newWorld(t, 1, spec())
		w.Settle()
		c.what(w)
		w.Settle()
		held := 0
		for _, p := range w.pods() {
			if tracked(p) {
				held++
			}
		}
		if held != c.held {
			t.Errorf("%s: %d pods are tracked", name, held)
		}
	}
}

// TestAdoption: an orphan that a job selects counts as one of its pods, and one that it no longer selects does not.
func TestAdoption(t *testing.T) {
	w := newWorld(t, 1, spec())
	w.Settle()
	p := w.pods()[0]
	selected := p.Labels
	bed.Change(w.Bed, pods.Resource(), "default", p.Name, "", func(p *corev1.Pod) { p.Labels = nil })
	w.Settle()
	if p = bed.Get[*corev1.Pod](w.Bed, pods.Resource(), "default", p.Name); tracked(p) || metav1.GetControllerOf(p) != nil || len(w.pods()) != 3 {
		t.Fatalf("it is not let go, or not replaced: %+v", p)
	}
	for _, other := range w.pods() {
		if other.Name != p.Name {
			w.Remove(pods.Resource(), "default", other.Name)
			break
		}
	}
	bed.Change(w.Bed, pods.Resource(), "default", p.Name, "", func(p *corev1.Pod) { p.Labels = selected })
	w.Settle()
	if p = bed.Get[*corev1.Pod](w.Bed, pods.Resource(), "default", p.Name); !tracked(p) || !metav1.IsControlledBy(p, w.job()) {
		t.Errorf("it is not adopted: %+v", p)
	}
}

// TestManagedBy: a job of another controller is left alone.
func TestManagedBy(t *testing.T) {
	s := spec()
	s.ManagedBy = ptr.To("example.com/other")
	w := newWorld(t, 1, s)
	w.Settle()
	if list := w.pods(); len(list) > 0 || w.job().Status.StartTime != nil {
		t.Errorf("%d pods, status %+v", len(list), w.job().Status)
	}
}

// TestSuspensionCountsNothing: pods that a suspension deletes have not failed.
func TestSuspensionCountsNothing(t *testing.T) {
	w := newWorld(t, 1, spec())
	w.Settle()
	for _, p := range w.pods() {
		to := corev1.ObjectReference{Kind: "Node", Name: "n"}
		if errs := w.Client.Bind(t.Context(), []*corev1.Binding{{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, Target: to}}); errs[0] != nil {
			t.Fatal(errs[0])
		}
	}
	bed.Change(w.Bed, jobs(), "default", "j", "", func(j *batchv1.Job) { j.Spec.Suspend = ptr.To(true) })
	w.Settle()
	if st := w.job().Status; st.Failed != 0 || st.Active != 0 || st.StartTime != nil || *st.Terminating != 2 {
		t.Errorf("got %+v", st)
	}
}
