package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/auth"
)

type recordKey struct{}

// From is the record of the request that ctx is of; nil: none is kept.
func From(ctx context.Context) *Record {
	r, _ := ctx.Value(recordKey{}).(*Record)
	return r
}

// Record is one request that is told of. All methods do nothing on a nil Record, and are safe for concurrent use.
type Record struct {
	trail *Trail
	treatment
	long bool

	mu      sync.Mutex
	event   auditv1.Event        // guarded by mu
	started bool                 // guarded by mu: the answer has begun
	took    [parts]time.Duration // guarded by mu
}

// The annotations of authorization.
const (
	decisionKey = "authorization.k8s.io/decision"
	reasonKey   = "authorization.k8s.io/reason"
)

// Decide notes the first decision of authorization: whether the request may, and why.
func (r *Record) Decide(allowed bool, reason string, err error) {
	if r == nil {
		return
	}
	switch {
	case allowed:
		r.Annotate(decisionKey, "allow")
	case err != nil:
		reason = "internal error"
	default:
		r.Annotate(decisionKey, "forbid")
	}
	r.Annotate(reasonKey, reason)
}

// Annotate adds an annotation. One that is there already is kept, so that nobody can change what was said of the request before.
func (r *Record) Annotate(key, value string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.event.Annotations[key]; there {
		return
	}
	if r.event.Annotations == nil {
		r.event.Annotations = map[string]string{}
	}
	r.event.Annotations[key] = value
}

// Impersonate notes as whom the request is served; constraint says by which rule it may, "" when by the old verb impersonate.
func (r *Record) Impersonate(user auth.User, constraint string) {
	if r == nil {
		return
	}
	info := userInfo(user)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.event.ImpersonatedUser = &info
	if constraint != "" {
		r.event.AuthenticationMetadata = &auditv1.AuthenticationMetadata{ImpersonationConstraint: constraint}
	}
}

// TellsRequests says whether the objects of requests are told, TellsAnswers those of answers: making them costs something.
func (r *Record) TellsRequests() bool { return r != nil && r.at(auditv1.LevelRequest) }

// TellsAnswers says whether the objects of answers are told.
func (r *Record) TellsAnswers() bool { return r != nil && r.at(auditv1.LevelRequestResponse) }

// Request notes the object that was sent. meta, which may be nil, completes which object the request is about; doc returns the object in JSON and is called
// when objects of requests are told.
func (r *Record) Request(meta metav1.Object, doc func() ([]byte, error)) {
	if r == nil {
		return
	}
	var object *runtime.Unknown
	if r.TellsRequests() {
		object = r.object("request", doc)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if meta != nil && r.event.ObjectRef != nil {
		ref := *r.event.ObjectRef
		set(&ref.Namespace, meta.GetNamespace())
		set(&ref.Name, meta.GetName())
		set(&ref.UID, meta.GetUID())
		set(&ref.ResourceVersion, meta.GetResourceVersion())
		r.event.ObjectRef = &ref
	}
	r.event.RequestObject = object
}

func set[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}

// Patch notes the patch that was sent, in JSON or YAML. Upstream loses the event when it is YAML; here it is told in JSON.
func (r *Record) Patch(data []byte) {
	r.Request(nil, func() ([]byte, error) {
		if json.Valid(data) {
			return data, nil
		}
		return yaml.YAMLToJSON(data)
	})
}

// Response notes the object of the answer, as Request does.
func (r *Record) Response(doc func() ([]byte, error)) {
	if !r.TellsAnswers() {
		return
	}
	object := r.object("response", doc)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.event.ResponseObject = object
}

// Status notes the Status that the answer is.
func (r *Record) Status(status *metav1.Status) {
	if r == nil {
		return
	}
	r.Response(func() ([]byte, error) { return json.Marshal(status) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.event.ResponseStatus = &metav1.Status{Status: status.Status, Message: status.Message, Reason: status.Reason, Details: status.Details, Code: status.Code}
}

// Started notes with which code the answer begins, the first time it is called. Of a long request that is told at once.
func (r *Record) Started(code int) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.started {
		return
	}
	r.started = true
	status := metav1.Status{}
	if r.event.ResponseStatus != nil {
		status = *r.event.ResponseStatus
	}
	status.Code = int32(code)
	r.event.ResponseStatus = &status
	if r.long {
		r.stageLocked(auditv1.StageResponseStarted, r.trail.clock.Now())
	}
}

// End tells that the request is over. panicked is what it failed by, when that is a broken law; nil: it ended by itself.
func (r *Record) End(panicked any) {
	if r == nil {
		return
	}
	now := r.trail.clock.Now()
	if panicked == nil {
		r.tellLatency(now)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if panicked != nil {
		r.event.ResponseStatus = &metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusInternalServerError, Reason: metav1.StatusReasonInternalError,
			Message: fmt.Sprintf("APIServer panic'd: %v", panicked),
		}
		r.stageLocked(auditv1.StagePanic, now)
		return
	}
	if r.event.ResponseStatus == nil {
		r.event.ResponseStatus = &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusOK, Message: "Connection closed early"}
		if r.long {
			r.stageLocked(auditv1.StageResponseStarted, now)
		}
	}
	r.stageLocked(auditv1.StageResponseComplete, now)
}

func (r *Record) stage(stage auditv1.Stage, at time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stageLocked(stage, at)
}

// stageLocked makes an event of the record. What it points to is not changed afterwards but for annotations, which the event has a copy of.
func (r *Record) stageLocked(stage auditv1.Stage, at time.Time) bool {
	if r.omits(stage) {
		return true
	}
	e := r.event
	e.Stage, e.StageTimestamp, e.Annotations = stage, metav1.NewMicroTime(at), maps.Clone(e.Annotations)
	return r.trail.give(&e)
}

// object makes an object in JSON what is told of it; nil when it cannot be made.
func (r *Record) object(which string, doc func() ([]byte, error)) *runtime.Unknown {
	data, err := doc()
	if err == nil && r.unmanaged {
		data, err = withoutManagedFields(data)
	}
	if err != nil {
		r.trail.log.Error("an object could not be told to the audit trail", "which", which, "auditID", r.event.AuditID, "err", err)
		return nil
	}
	return &runtime.Unknown{Raw: bytes.TrimSpace(data), ContentType: runtime.ContentTypeJSON}
}

// withoutManagedFields leaves managedFields out of an object, or out of those of a list or a Table.
func withoutManagedFields(doc []byte) ([]byte, error) {
	if !bytes.Contains(doc, []byte(`"managedFields"`)) {
		return doc, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(doc))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		return nil, err
	}
	strip(object)
	for _, part := range []string{"items", "rows"} {
		list, _ := object[part].([]any)
		for _, one := range list {
			item, _ := one.(map[string]any)
			if row, ok := item["object"].(map[string]any); ok && part == "rows" {
				item = row
			}
			strip(item)
		}
	}
	return json.Marshal(object)
}

func strip(object map[string]any) {
	if meta, ok := object["metadata"].(map[string]any); ok {
		delete(meta, "managedFields")
	}
}

// Document is an object in JSON with its type, which typed objects do not carry. obj is not changed.
func Document(obj runtime.Object, gvk schema.GroupVersionKind) ([]byte, error) {
	if obj.GetObjectKind().GroupVersionKind().Empty() {
		obj = obj.DeepCopyObject()
		obj.GetObjectKind().SetGroupVersionKind(gvk)
	}
	return json.Marshal(obj)
}
