package replicaset

import (
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
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
	pods := []*corev1.Pod{pod("a", nil), pod("b", func(p *corev1.Pod) { p.Status.Conditions = nil })}
	st := status(s, pods, errors.New("quota"), -1, now).Status
	if st.Replicas != 2 || st.ReadyReplicas != 1 || st.AvailableReplicas != 0 || st.ObservedGeneration != 3 || st.FullyLabeledReplicas != 2 {
		t.Errorf("status %+v", st)
	}
	if len(st.Conditions) != 1 || st.Conditions[0].Reason != "FailedCreate" {
		t.Errorf("conditions %+v", st.Conditions)
	}
	if d := Decide(s, pods, nil, now); d.After != time.Minute {
		t.Errorf("looks again after %v, want 1m", d.After)
	}
	if st := status(s, pods, nil, 0, now.Add(time.Minute)).Status; st.AvailableReplicas != 1 {
		t.Errorf("available %d, want 1", st.AvailableReplicas)
	}
}

func TestSlowStart(t *testing.T) {
	var got []int
	for _, w := range changes(set(8, 0), Decision{Create: 8}) {
		got = append(got, w.Batch)
	}
	want := []int{1, 2, 2, 3, 3, 3, 3, 4}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("batches %v, want %v", got, want)
		}
	}
}
