package core

import (
	"fmt"
	"reflect"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// EventView is events.k8s.io/v1 Event, as clients of the newer of the two groups see the events of hub. More is asked of what they write.
func EventView(hub *kinds.Kind) *kinds.Kind {
	k := kinds.ViewOf(eventsv1.SchemeGroupVersion.WithKind("Event"), kinds.View{
		Hub:  hub,
		To:   func(hub kinds.Object) (kinds.Object, error) { return shownEvent(hub.(*corev1.Event)), nil },
		From: func(obj kinds.Object) kinds.Object { return storedEvent(obj.(*eventsv1.Event)) },
		Fields: map[string]string{
			"metadata.name": "metadata.name", "metadata.namespace": "metadata.namespace", "reason": "reason", "type": "type",
			"regarding.kind": "involvedObject.kind", "regarding.namespace": "involvedObject.namespace", "regarding.name": "involvedObject.name",
			"regarding.uid": "involvedObject.uid", "regarding.apiVersion": "involvedObject.apiVersion",
			"regarding.resourceVersion": "involvedObject.resourceVersion", "regarding.fieldPath": "involvedObject.fieldPath",
			"reportingController": "reportingComponent",
		},
	}, func() kinds.Object { return &eventsv1.Event{} }, func() runtime.Object { return &eventsv1.EventList{} })
	k.ValidName = validation.NameIsDNSSubdomain
	k.Validate = func(obj kinds.Object) field.ErrorList { return legacyEvent(obj, "reportingController") }
	k.ValidateCreate, k.ValidateUpdate = newEvent, changedEvent
	k.MetaAgain, k.MetaLate, k.PlainFinalizers = kinds.MetaChange, true, false
	return k
}

// shownEvent shares what in holds.
func shownEvent(in *corev1.Event) *eventsv1.Event {
	out := &eventsv1.Event{
		TypeMeta: viewType(in.TypeMeta, eventsv1.SchemeGroupVersion.String()), ObjectMeta: in.ObjectMeta, EventTime: in.EventTime,
		ReportingController: in.ReportingController, ReportingInstance: in.ReportingInstance, Action: in.Action, Reason: in.Reason,
		Regarding: in.InvolvedObject, Related: in.Related, Note: in.Message, Type: in.Type, DeprecatedSource: in.Source,
		DeprecatedFirstTimestamp: in.FirstTimestamp, DeprecatedLastTimestamp: in.LastTimestamp, DeprecatedCount: in.Count,
	}
	if s := in.Series; s != nil {
		out.Series = &eventsv1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
	}
	return out
}

// storedEvent shares what in holds.
func storedEvent(in *eventsv1.Event) *corev1.Event {
	out := &corev1.Event{
		TypeMeta: viewType(in.TypeMeta, corev1.SchemeGroupVersion.String()), ObjectMeta: in.ObjectMeta, EventTime: in.EventTime,
		ReportingController: in.ReportingController, ReportingInstance: in.ReportingInstance, Action: in.Action, Reason: in.Reason,
		InvolvedObject: in.Regarding, Related: in.Related, Message: in.Note, Type: in.Type, Source: in.DeprecatedSource,
		FirstTimestamp: in.DeprecatedFirstTimestamp, LastTimestamp: in.DeprecatedLastTimestamp, Count: in.DeprecatedCount,
	}
	if s := in.Series; s != nil {
		out.Series = &corev1.EventSeries{Count: s.Count, LastObservedTime: s.LastObservedTime}
	}
	return out
}

// viewType is an object's type in another version; one that does not say it still does not.
func viewType(meta metav1.TypeMeta, version string) metav1.TypeMeta {
	if meta.APIVersion != "" {
		meta.APIVersion = version
	}
	return meta
}

// newEvent is what upstream asks of events that are created in the newer group, besides what it asks of all.
func newEvent(obj kinds.Object) field.ErrorList {
	e := obj.(*corev1.Event)
	errs := validateSeries(e)
	if e.EventTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("eventTime"), ""))
	}
	if e.Type != corev1.EventTypeNormal && e.Type != corev1.EventTypeWarning {
		errs = append(errs, field.Invalid(field.NewPath("type"), "", fmt.Sprintf("has invalid value: %v", e.Type)))
	}
	for _, old := range []struct {
		name string
		set  bool
	}{
		{"firstTimestamp", !e.FirstTimestamp.IsZero()}, {"lastTimestamp", !e.LastTimestamp.IsZero()}, {"count", e.Count != 0},
		{"source", e.Source != corev1.EventSource{}},
	} {
		if old.set {
			errs = append(errs, field.Invalid(field.NewPath(old.name), "", "needs to be unset"))
		}
	}
	return errs
}

// changedEvent is what upstream asks of updates in the newer group: an event says what happened, and only how often may change.
func changedEvent(obj, was kinds.Object) field.ErrorList {
	e, old := obj.(*corev1.Event), was.(*corev1.Event)
	var errs field.ErrorList
	if !reflect.DeepEqual(e.Series, old.Series) {
		errs = append(errs, validateSeries(e)...)
	}
	fixed := func(name string, now, before any) {
		errs = append(errs, validation.ValidateImmutableField(now, before, field.NewPath(name))...)
	}
	changes := func(name string, now, before any) { // of types that refusals show as upstream's own
		if changed(now, before) {
			errs = append(errs, field.Invalid(field.NewPath(name), untagged.Value(now), validation.FieldImmutableErrorMsg))
		}
	}
	changes("involvedObject", e.InvolvedObject, old.InvolvedObject)
	fixed("reason", e.Reason, old.Reason)
	fixed("message", e.Message, old.Message)
	changes("source", e.Source, old.Source)
	fixed("firstTimestamp", e.FirstTimestamp, old.FirstTimestamp)
	fixed("lastTimestamp", e.LastTimestamp, old.LastTimestamp)
	fixed("count", e.Count, old.Count)
	fixed("reason", e.Reason, old.Reason) // upstream asks twice
	fixed("type", e.Type, old.Type)
	// Protobuf of some clients keeps nanoseconds and JSON keeps microseconds, so that less than these is no change.
	if !e.EventTime.Truncate(time.Microsecond).Equal(old.EventTime.Truncate(time.Microsecond)) {
		fixed("eventTime", e.EventTime, old.EventTime)
	}
	fixed("action", e.Action, old.Action)
	changes("related", e.Related, old.Related)
	fixed("reportingController", e.ReportingController, old.ReportingController)
	fixed("reportingInstance", e.ReportingInstance, old.ReportingInstance)
	return errs
}

func validateSeries(e *corev1.Event) (errs field.ErrorList) {
	if e.Series == nil {
		return nil
	}
	if e.Series.Count < 2 {
		errs = append(errs, field.Invalid(field.NewPath("series.count"), "", "should be at least 2"))
	}
	if e.Series.LastObservedTime.IsZero() {
		errs = append(errs, field.Required(field.NewPath("series.lastObservedTime"), ""))
	}
	return errs
}
