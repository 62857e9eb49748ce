// Package record writes v1 Events for components: what happened to an object, why, and how often.
//
// An event is told once; the same one about the same object again raises the first one's count, as upstream's recorders do. Events
// are never worth a retry: one that cannot be written is logged and dropped. What the reasons and messages are belongs to the
// components, since clients read them.
package record

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
)

// remembered bounds how many events a recorder can count up rather than create anew, as upstream's.
const remembered = 4096

// Event is something worth telling about an object.
type Event struct {
	About corev1.ObjectReference
	// Type is corev1.EventTypeNormal or corev1.EventTypeWarning.
	Type, Reason, Message string
}

// Recorder writes events in one component's name. It is safe for concurrent use; its lock is a leaf and not held during I/O.
type Recorder struct {
	client    client.Writer
	clock     clock.PassiveClock
	log       *slog.Logger
	component string

	mu    sync.Mutex // guards all below
	known map[Event]*corev1.Event
	order []Event // of known, oldest first
	last  int64   // nanoseconds in the newest name; only rises, so names differ under a coarse clock
}

// New returns a recorder that writes through c; component is the events' source and reporting controller.
func New(c client.Writer, clk clock.PassiveClock, log *slog.Logger, component string) *Recorder {
	return &Recorder{client: c, clock: clk, log: log, component: component, known: map[Event]*corev1.Event{}}
}

func eventResource() client.Resource { return corev1.SchemeGroupVersion.WithResource("events") }

// Record writes ev, or counts it up. It returns when that is done or has failed.
func (r *Recorder) Record(ctx context.Context, ev Event) {
	same := ev
	same.About.ResourceVersion = ""
	now := r.clock.Now()
	r.mu.Lock()
	known := r.known[same]
	r.mu.Unlock()
	var stored any
	var err error
	if known != nil {
		next := known.DeepCopy()
		next.Count++
		next.LastTimestamp = metav1.NewTime(now)
		next.ResourceVersion = ""
		stored, err = r.client.Update(ctx, eventResource(), next, "")
	}
	if known == nil || apierrors.IsNotFound(err) {
		stored, err = r.client.Create(ctx, eventResource(), r.first(ev), metav1.CreateOptions{})
	}
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return // nobody will read it
	}
	if err != nil {
		r.log.Warn("event not recorded", "object", ev.About.Name, "reason", ev.Reason, "err", err)
		return
	}
	r.remember(same, stored.(*corev1.Event))
}

// first is the event as it is created.
func (r *Recorder) first(ev Event) *corev1.Event {
	now := metav1.NewTime(r.clock.Now())
	r.mu.Lock()
	r.last = max(r.last+1, now.UnixNano())
	stamp := r.last
	r.mu.Unlock()
	ns := ev.About.Namespace
	if ns == "" {
		ns = metav1.NamespaceDefault
	}
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprintf("%s.%x", ev.About.Name, stamp)},
		InvolvedObject: ev.About, Reason: ev.Reason, Message: ev.Message, Type: ev.Type,
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		Source: corev1.EventSource{Component: r.component}, ReportingController: r.component,
	}
}

func (r *Recorder) remember(same Event, stored *corev1.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.known[same]; !ok {
		r.order = append(r.order, same)
		if len(r.order) > remembered {
			delete(r.known, r.order[0])
			r.order = r.order[1:]
		}
	}
	r.known[same] = stored
}
