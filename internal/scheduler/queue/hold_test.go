package queue

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestHold(t *testing.T) {
	q, now := New(Config{}), time.Unix(1000, 0)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", UID: "p"}}
	q.Set(p, now)
	it := q.Pop(now)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	added, _ := NodeChanged(nil, node)
	if q.Hold("p"); it.Held() {
		t.Error("a pod in flight is held")
	}
	q.Park(it, nil, now)
	q.Hold("p")
	later := now.Add(time.Hour)
	q.Happened(added, later)
	q.Set(p.DeepCopy(), later)
	if got := q.Pop(later); got != nil || !it.Held() || q.Counts(Gated) != 1 {
		t.Fatalf("a held pod was given out: %v", got)
	}
	q.Free("p", later)
	if got := q.Pop(later); got != nil || q.Where("p") != Parked {
		t.Fatalf("a freed pod is %v", q.Where("p"))
	}
	if q.Happened(added, later); q.Pop(later) != it {
		t.Error("a freed pod is not woken")
	}
	q.Park(it, nil, later)
	q.Hold("p")
	if q.Again("p"); q.Pop(later) != it {
		t.Error("a held pod is not tried again")
	}
	q.Park(it, nil, later)
	q.Hold("p")
	if q.Fail(it, later); q.Where("p") != Backoff || it.Held() {
		t.Errorf("a held pod that failed is %v", q.Where("p"))
	}
}

func TestUngated(t *testing.T) {
	q, now := New(Config{Ungated: func(p *corev1.Pod) bool { return p.Name == "free" }}), time.Unix(1000, 0)
	for _, name := range []string{"free", "kept"} {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, UID: types.UID(name)}}
		p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}}
		q.Set(p, now)
	}
	if q.Where("free") != Active || q.Where("kept") != Gated {
		t.Errorf("free is %v, kept %v", q.Where("free"), q.Where("kept"))
	}
}
