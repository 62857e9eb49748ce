package audit

import (
	"encoding/json"
	"errors"
	"maps"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// truncating takes the objects out of events that are too large, and hands on as much at once as may be.
type truncating struct {
	trail *Trail
	to    sink
	limit Truncate
}

// take implements sink.
func (t *truncating) take(events ...*auditv1.Event) bool {
	ok := true
	var batch []*auditv1.Event
	total := int64(0)
	for _, e := range events {
		e, size, err := t.fit(e)
		if err != nil {
			t.trail.lost("truncate", err, e)
			continue
		}
		if len(batch) > 0 && total+size > t.limit.MaxBatchSize {
			ok = t.to.take(batch...) && ok
			batch, total = nil, 0
		}
		batch, total = append(batch, e), total+size
	}
	if len(batch) > 0 {
		ok = t.to.take(batch...) && ok
	}
	return ok
}

// fit returns an event that is not too large, and its size.
func (t *truncating) fit(e *auditv1.Event) (*auditv1.Event, int64, error) {
	size, err := sizeOf(e)
	if err == nil && size > t.limit.MaxEventSize && (e.Level == auditv1.LevelRequest || e.Level == auditv1.LevelRequestResponse) {
		short := *e
		short.RequestObject, short.ResponseObject, short.Annotations = nil, nil, maps.Clone(e.Annotations)
		if short.Annotations == nil {
			short.Annotations = map[string]string{}
		}
		short.Annotations["audit.k8s.io/truncated"] = "true"
		e = &short
		size, err = sizeOf(e)
	}
	if err == nil && size > t.limit.MaxEventSize {
		err = errors.New("event is too large even after truncating")
	}
	return e, size, err
}

// sizeOf is how many bytes a line of an event has.
func sizeOf(e *auditv1.Event) (int64, error) {
	data, err := json.Marshal(e)
	return int64(len(data)) + 1, err
}
