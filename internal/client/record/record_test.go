package record

import (
	"context"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/observe"
)

// writer keeps events by name; refuse fails every write.
type writer struct {
	client.Writer
	stored map[string]*corev1.Event
	refuse bool
}

func (w *writer) Create(_ context.Context, _ client.Resource, obj kinds.Object, _ metav1.CreateOptions) (kinds.Object, error) {
	if w.refuse {
		return nil, errors.New("refused")
	}
	w.stored[obj.GetName()] = obj.(*corev1.Event)
	return obj, nil
}

func (w *writer) Update(_ context.Context, res client.Resource, obj kinds.Object, _ string) (kinds.Object, error) {
	if _, ok := w.stored[obj.GetName()]; !ok {
		return nil, apierrors.NewNotFound(res.GroupResource(), obj.GetName())
	}
	w.stored[obj.GetName()] = obj.(*corev1.Event)
	return obj, nil
}

func TestTheSameEventIsCounted(t *testing.T) {
	start := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	clk := testclock.NewFakePassiveClock(start)
	w := &writer{stored: map[string]*corev1.Event{}}
	r := New(w, clk, observe.Discard(), "default-scheduler")
	about := corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "web", UID: "u", ResourceVersion: "1"}
	failed := Event{About: about, Type: corev1.EventTypeWarning, Reason: "FailedScheduling", Message: "no nodes"}
	r.Record(t.Context(), failed)
	clk.SetTime(start.Add(time.Minute))
	failed.About.ResourceVersion = "2" // another state of the same object
	r.Record(t.Context(), failed)
	if len(w.stored) != 1 {
		t.Fatalf("%d events are stored, want one counted twice", len(w.stored))
	}
	for _, ev := range w.stored {
		if ev.Count != 2 || !ev.FirstTimestamp.Time.Equal(start) || !ev.LastTimestamp.Time.Equal(start.Add(time.Minute)) || ev.Source.Component != "default-scheduler" {
			t.Errorf("got count %d, first %v, last %v, source %v", ev.Count, ev.FirstTimestamp, ev.LastTimestamp, ev.Source)
		}
	}

	clear(w.stored) // expired
	r.Record(t.Context(), failed)
	for _, ev := range w.stored {
		if ev.Count != 1 {
			t.Errorf("an event made anew has count %d, want 1", ev.Count)
		}
	}
	other := failed
	other.Message = "other"
	r.Record(t.Context(), other)
	if len(w.stored) != 2 {
		t.Errorf("%d events are stored, want two: another message is another event, with a name of its own", len(w.stored))
	}
}

func TestARefusedEventIsDropped(t *testing.T) {
	w := &writer{stored: map[string]*corev1.Event{}, refuse: true}
	r := New(w, testclock.NewFakePassiveClock(time.Unix(0, 0)), observe.Discard(), "kubelet")
	ev := Event{About: corev1.ObjectReference{Kind: "Node", Name: "one"}, Type: corev1.EventTypeNormal, Reason: "Starting"}
	r.Record(t.Context(), ev)
	w.refuse = false
	r.Record(t.Context(), ev)
	for _, stored := range w.stored {
		if stored.Namespace != metav1.NamespaceDefault || stored.Count != 1 {
			t.Errorf("an event of a cluster's object: namespace %q, count %d, want default, 1", stored.Namespace, stored.Count)
		}
	}
	if len(w.stored) != 1 {
		t.Errorf("%d events are stored, want the second one only", len(w.stored))
	}
}
