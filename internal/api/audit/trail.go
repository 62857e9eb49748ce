package audit

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"time"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/auth"

	authnv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// sink takes events, which it may keep and must not change. false: at least one of them is lost, and counted.
type sink interface {
	take(events ...*auditv1.Event) bool
}

// Trail records requests as its policy says. A nil Trail records nothing. It is safe for concurrent use.
type Trail struct {
	policy  *Policy
	sinks   []sink
	strict  []bool // of each sink: its losses refuse requests
	run     []func(ctx context.Context) error
	clock   clock.PassiveClock
	metrics *Metrics
	log     *slog.Logger
	ended   context.Context // ends with Run: nobody waits for a webhook then
	stop    context.CancelFunc
}

// Request is what a record begins with.
type Request struct {
	ID         string
	Received   time.Time
	Known      time.Duration // how long it took to know the user
	User       auth.User
	Attributes auth.Attributes
	URI        string // path and query, as it was sent
	UserAgent  string
	SourceIPs  []string
	Long       bool // it lasts as long as the client wishes, and has a stage more
}

// ErrNotStored is why a request is refused that Begin could not tell of.
var ErrNotStored = errors.New("failed to store audit event")

// maxAgent is how many bytes of a user agent are told, as upstream.
const maxAgent = 1024

// Begin starts the record of a request, and tells that it was received. The record is nil when the policy wants none. ok is false when the
// request must be refused, since it cannot be told.
func (t *Trail) Begin(ctx context.Context, req *Request) (_ context.Context, r *Record, ok bool) {
	if t == nil {
		return ctx, nil, true
	}
	treat := t.policy.of(req.User, req.Attributes)
	t.metrics.levels.WithLabelValues(string(treat.level)).Inc()
	if treat.level == auditv1.LevelNone {
		return ctx, nil, true
	}
	r = &Record{trail: t, treatment: treat, long: req.Long, event: t.event(req, treat.level)}
	r.took[Authentication] = req.Known
	if !r.stage(auditv1.StageRequestReceived, req.Received) {
		t.metrics.rejected.Inc()
		return ctx, nil, false
	}
	return context.WithValue(ctx, recordKey{}, r), r, true
}

// Unauthenticated tells of a request whose credentials were refused: it has no user, and only the end is told.
func (t *Trail) Unauthenticated(req *Request, message string) {
	if t == nil {
		return
	}
	treat := t.policy.of(req.User, req.Attributes)
	t.metrics.levels.WithLabelValues(string(treat.level)).Inc()
	if treat.level == auditv1.LevelNone {
		return
	}
	r := &Record{trail: t, treatment: treat, event: t.event(req, treat.level)}
	r.event.User = authnv1.UserInfo{}
	r.event.ResponseStatus = &metav1.Status{Code: 401, Message: message}
	r.stage(auditv1.StageResponseStarted, t.clock.Now())
}

// event is what is known of a request when it comes.
func (t *Trail) event(req *Request, level auditv1.Level) auditv1.Event {
	agent := req.UserAgent
	if len(agent) > maxAgent {
		agent = agent[:maxAgent] + "...TRUNCATED"
	}
	a := &req.Attributes
	e := auditv1.Event{
		TypeMeta: metav1.TypeMeta{Kind: "Event", APIVersion: Version}, Level: level, AuditID: types.UID(req.ID), RequestURI: req.URI, Verb: a.Verb,
		User: userInfo(req.User), SourceIPs: req.SourceIPs, UserAgent: agent, RequestReceivedTimestamp: metav1.NewMicroTime(req.Received),
	}
	if said := req.User.Remarks; said != nil {
		e.Annotations = maps.Clone(said.Annotations)
	}
	if a.Path == "" {
		e.ObjectRef = &auditv1.ObjectReference{
			Namespace: a.Namespace, Name: a.Name, Resource: a.Resource, Subresource: a.Subresource, APIGroup: a.Group, APIVersion: a.Version,
		}
	}
	return e
}

func userInfo(u auth.User) authnv1.UserInfo {
	info := authnv1.UserInfo{Username: u.Name, UID: u.UID, Groups: u.Groups}
	for key, values := range u.Extra {
		if info.Extra == nil {
			info.Extra = map[string]authnv1.ExtraValue{}
		}
		info.Extra[key] = values
	}
	return info
}

// give hands an event to all sinks. ok is false when a strict one has lost it.
func (t *Trail) give(e *auditv1.Event) (ok bool) {
	t.metrics.events.Inc()
	ok = true
	for i, s := range t.sinks {
		if !s.take(e) && t.strict[i] {
			ok = false
		}
	}
	return ok
}

// lost counts events that a plug-in could not record, and says why.
func (t *Trail) lost(plugin string, err error, events ...*auditv1.Event) {
	t.metrics.errors.WithLabelValues(plugin).Add(float64(len(events)))
	for _, e := range events {
		t.log.Error("an audit event was lost", "plugin", plugin, "err", err, "event", legacy(e))
	}
}
