package scheduler

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
)

const (
	seriesMost  = 1024            // events that a lane can go on counting
	seriesLasts = 6 * time.Minute // after which the same event begins a new series, as upstream's recorder has it
	nameTries   = 3
)

// happening is what makes two events of one pod the same, for the recorder of events.k8s.io: the note does not count.
type happening struct {
	reason    string
	regarding corev1.ObjectReference
}

// series is an event that may come again.
type series struct {
	event *eventsv1.Event
	count int32
	last  time.Time
}

// lane writes the reports of some pods, one after another.
type lane struct {
	cfg    Config
	number int64
	newest int64 // nanoseconds in the newest name; only rises, so names differ under a coarse clock
	told   map[happening]*series
	order  []happening // of told, eldest first
}

func newLane(cfg Config, number int) *lane {
	return &lane{cfg: cfg, number: int64(number), told: map[happening]*series{}}
}

func (l *lane) run(ctx context.Context, in <-chan report) {
	for rep := range in {
		if ctx.Err() != nil {
			continue // the next session, or the next leader, tells of what it finds
		}
		if rep.condition != nil {
			l.write(ctx, rep)
		}
		l.tell(ctx, rep)
	}
}

func eventResource() client.Resource { return eventsv1.SchemeGroupVersion.WithResource("events") }

// tell writes an event, or counts it: the second time as a series, then whenever the count has doubled.
func (l *lane) tell(ctx context.Context, rep report) {
	now := l.cfg.Clock.Now()
	what := happening{rep.event.Reason, refer(rep.pod)}
	s := l.told[what]
	if s != nil && now.Sub(s.last) <= seriesLasts {
		s.count++
		s.last = now
		if bits.OnesCount32(uint32(s.count)) == 1 {
			l.count(ctx, s)
		}
		return
	}
	ev := l.first(rep, now)
	_, err := l.cfg.Client.Create(ctx, eventResource(), ev, metav1.CreateOptions{})
	for i := 0; i < nameTries && apierrors.IsAlreadyExists(err); i++ { // of an earlier session, under a coarse clock
		ev = l.first(rep, now)
		_, err = l.cfg.Client.Create(ctx, eventResource(), ev, metav1.CreateOptions{})
	}
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) || apierrors.IsNotFound(err):
		return // nobody will read it
	case err != nil:
		if ctx.Err() == nil {
			l.cfg.Log.Warn("event not recorded", "pod", rep.pod.Namespace+"/"+rep.pod.Name, "reason", ev.Reason, "err", err)
		}
		return
	}
	if rep.event.Type != corev1.EventTypeNormal { // a pod is bound once
		l.remember(what, &series{event: ev, count: 1, last: now})
	}
}

// count writes how often an event has come.
func (l *lane) count(ctx context.Context, s *series) {
	next := s.event.DeepCopy()
	next.ResourceVersion = ""
	next.Series = &eventsv1.EventSeries{Count: s.count, LastObservedTime: metav1.NewMicroTime(s.last)}
	if _, err := l.cfg.Client.Update(ctx, eventResource(), next, ""); err != nil && ctx.Err() == nil {
		l.cfg.Log.Debug("event not counted", "event", next.Namespace+"/"+next.Name, "err", err) // it has expired, or its namespace goes
	}
}

func (l *lane) first(rep report, now time.Time) *eventsv1.Event {
	stamp := now.UnixNano()
	stamp -= (stamp%lanes - l.number + lanes) % lanes // lanes share no name
	for stamp <= l.newest {
		stamp += lanes
	}
	l.newest = stamp
	ev := rep.event
	ev.Namespace, ev.Name = rep.pod.Namespace, fmt.Sprintf("%s.%x", rep.pod.Name, stamp)
	ev.EventTime, ev.Regarding = metav1.NewMicroTime(now), refer(rep.pod)
	ev.ReportingController = rep.pod.Spec.SchedulerName
	if rep.related != nil {
		ev.ReportingController = rep.related.Spec.SchedulerName
		ev.Related = new(refer(rep.related))
	}
	ev.ReportingInstance = ev.ReportingController + "-" + l.cfg.Host
	return &ev
}

func (l *lane) remember(what happening, s *series) {
	if l.told[what] == nil {
		l.order = append(l.order, what)
		if len(l.order) > seriesMost {
			delete(l.told, l.order[0])
			l.order = l.order[1:]
		}
	}
	l.told[what] = s
}

// refer names a pod as events do.
func refer(pod *corev1.Pod) corev1.ObjectReference {
	return corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion}
}
