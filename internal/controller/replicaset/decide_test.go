package replicaset

import (
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/controller/engine"
)

var now = time.Unix(100_000, 0)

func pod(name string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "web"},
		CreationTimestamp: metav1.NewTime(now.Add(-time.Hour))}, Spec: corev1.PodSpec{NodeName: "n"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-time.Hour))}}}}
	if change != nil {
		change(p)
	}
	return p
}

func set(replicas, minReady int32) *appsv1.ReplicaSet {
	l := map[string]string{"app": "web"}
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "set", Generation: 3}, Spec: appsv1.ReplicaSetSpec{Replicas: &replicas,
		MinReadySeconds: minReady, Selector: &metav1.LabelSelector{MatchLabels: l}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}}}}
}

// Each pod must be deleted before "plain".
func TestRank(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){
		"unassigned": func(p *corev1.Pod) { p.Spec.NodeName = "" },
		"pending":    func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending },
		"unready":    func(p *corev1.Pod) { p.Status.Conditions = nil },
		"cheap":      func(p *corev1.Pod) { p.Annotations = map[string]string{corev1.PodDeletionCost: "-5"} },
		"crowded":    func(p *corev1.Pod) { p.Spec.NodeName = "crowded" },
		"fresh":      func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = metav1.NewTime(now.Add(-time.Second)) },
		"restarted":  func(p *corev1.Pod) { p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 2}} },
		"young":      func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(now.Add(-time.Minute)) },
	} {
		for _, order := range [][]*corev1.Pod{{pod("plain", nil), pod(name, change)}, {pod(name, change), pod("plain", nil)}} {
			d := Decide(set(1, 0), order, map[string]int{"n": 1, "crowded": 2}, now)
			if len(d.Delete) != 1 || d.Delete[0].Name != name {
				t.Errorf("%s: deleted %v first", name, d.Delete[0].Name)
			}
		}
	}
}

func TestDecide(t *testing.T) {
	going := pod("going", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} })
	for _, c := range []struct {
		name           string
		replicas       int32
		pods           []*corev1.Pod
		create, delete int
	}{
		{"none yet", 3, nil, 3, 0},
		{"enough", 1, []*corev1.Pod{pod("a", nil)}, 0, 0},
		{"going does not count", 1, []*corev1.Pod{going}, 1, 0},
		{"down to none", 0, []*corev1.Pod{pod("a", nil), pod("b", nil)}, 0, 2},
		{"burst", 9000, nil, 500, 0},
	} {
		d := Decide(set(c.replicas, 0), c.pods, nil, now)
		if d.Create != c.create || len(d.Delete) != c.delete {
			t.Errorf("%s: create %d delete %d, want %d and %d", c.name, d.Create, len(d.Delete), c.create, c.delete)
		}
	}
}

func TestStatus(t *testing.T) {
	s := set(2, 3600+60)
	list := []*corev1.Pod{pod("a", nil), pod("b", func(p *corev1.Pod) { p.Status.Conditions = nil }), pod("going", func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: now} })}
	st, changed := status(s, list, errors.New("quota"), -1, now, true)
	if !changed || st.Replicas != 2 || st.ReadyReplicas != 1 || st.AvailableReplicas != 0 || st.ObservedGeneration != 3 || st.FullyLabeledReplicas != 2 || *st.TerminatingReplicas != 1 {
		t.Errorf("status %+v", st)
	}
	if len(st.Conditions) != 1 || st.Conditions[0].Reason != "FailedCreate" {
		t.Errorf("conditions %+v", st.Conditions)
	}
	if d := Decide(s, list, nil, now); d.After != time.Minute {
		t.Errorf("looks again after %v, want 1m", d.After)
	}
	if st, _ := status(s, list, nil, 0, now.Add(time.Minute), false); st.AvailableReplicas != 1 || st.TerminatingReplicas != nil {
		t.Errorf("status %+v, want one available, none counted that go", st)
	}
	s.Status = st
	if again, changed := status(s, list, errors.New("another"), 1, now, true); changed {
		t.Errorf("a second failure changed the first: %+v", again.Conditions)
	}
	if st, changed := status(s, list, nil, 0, now, true); !changed || st.Conditions != nil {
		t.Errorf("conditions %+v after the failure was over", st.Conditions)
	}
}

// TestPodFailure: a condition tells of the API's first refusal, in its own words, and of nothing else that fails.
func TestPodFailure(t *testing.T) {
	refused := apierrors.NewForbidden(corev1.Resource("pods"), "web-x", errors.New("exceeded quota: q"))
	leaving := apierrors.NewForbidden(corev1.Resource("pods"), "web-x", errors.New("it is being terminated"))
	leaving.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	of := func(verb string, res schema.GroupVersionResource, err error) error {
		return &engine.WriteError{Verb: verb, Resource: res, Err: err}
	}
	things := corev1.SchemeGroupVersion.WithResource("pods")
	for name, c := range map[string]struct {
		err  error
		want string
		told bool
	}{
		"one":              {of("create", things, refused), `pods "web-x" is forbidden: exceeded quota: q`, true},
		"first of a batch": {errors.Join(of("create", things, leaving), of("create", things, refused)), `pods "web-x" is forbidden: exceeded quota: q`, true},
		"namespace goes":   {of("create", things, leaving), "", true},
		"deletion":         {of("delete", things, refused), `unable to delete pods: pods "web-x" is forbidden: exceeded quota: q`, true},
		"adoption":         {of("patch", things, refused), "", false},
		"status":           {of("update", sets(), refused), "", false},
		"unknown":          {errors.New("lost"), "", false},
	} {
		failure, told := podFailure(c.err)
		got := ""
		if failure != nil {
			got = failure.Error()
		}
		if got != c.want || told != c.told {
			t.Errorf("%s: got %q, %v, want %q, %v", name, got, told, c.want, c.told)
		}
	}
}

func TestSlowStart(t *testing.T) {
	var got []int
	for _, w := range (Kind{}).changes(set(8, 0), set(8, 0), Decision{Create: 8}) {
		got = append(got, w.Batch)
	}
	want := []int{1, 2, 2, 3, 3, 3, 3, 4}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("batches %v, want %v", got, want)
		}
	}
}
