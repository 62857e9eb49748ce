package core

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// How long an event is kept after it was last seen.
const (
	EventTTL      = time.Hour // upstream's default of --event-ttl
	EventsForEver = time.Duration(-1)
)

// Event is v1 Event, as clients of the older of its two groups see it. ttl is how long one is kept; 0 is EventTTL.
func Event(ttl time.Duration) *kinds.Kind {
	if ttl == 0 {
		ttl = EventTTL
	}
	return &kinds.Kind{
		GVK: corev1.SchemeGroupVersion.WithKind("Event"), Resource: "events", Singular: "event", ShortNames: []string{"ev"}, Namespaced: true, Dependents: kinds.DependentsNone, Uncached: true,
		CreateOnUpdate: true, MetaAgain: kinds.MetaNone, PlainFinalizers: true,
		New:       func() kinds.Object { return &corev1.Event{} },
		NewList:   func() runtime.Object { return &corev1.EventList{} },
		ValidName: kinds.PathSegment, // recorders put the name of any object into that of an event
		Validate:  func(obj kinds.Object) field.ErrorList { return legacyEvent(obj, "reportingComponent") },
		Expires: func(obj kinds.Object) time.Time {
			if ttl == EventsForEver {
				return time.Time{}
			}
			e := obj.(*corev1.Event)
			_, last := eventTimes(e)
			if made := e.CreationTimestamp.Time; last.Before(made) {
				last = made
			}
			return last.Add(ttl)
		},
		Columns: eventColumns(),
		Fields: func(obj kinds.Object) fields.Set {
			e := obj.(*corev1.Event)
			source := e.Source.Component
			if source == "" {
				source = e.ReportingController
			}
			return fields.Set{
				"involvedObject.kind": e.InvolvedObject.Kind, "involvedObject.namespace": e.InvolvedObject.Namespace, "involvedObject.name": e.InvolvedObject.Name,
				"involvedObject.uid": string(e.InvolvedObject.UID), "involvedObject.apiVersion": e.InvolvedObject.APIVersion,
				"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion, "involvedObject.fieldPath": e.InvolvedObject.FieldPath,
				"reason": e.Reason, "reportingComponent": e.ReportingController, "source": source, "type": e.Type,
			}
		},
		Minor: func(_, _ kinds.Object) bool { return true },
		Facts: []kinds.Fact{
			{Name: "involvedObject.uid", Path: []int32{2, 4}, Index: true}, {Name: "involvedObject.kind", Path: []int32{2, 1}},
			{Name: "involvedObject.namespace", Path: []int32{2, 2}}, {Name: "involvedObject.name", Path: []int32{2, 3}},
			{Name: "reason", Path: []int32{3}}, {Name: "type", Path: []int32{9}},
		},
	}
}

// The most bytes that the texts of an event with an eventTime may have, as upstream has it.
const (
	eventWordBytes    = 128
	eventMessageBytes = 1024
)

// legacyEvent is asked of the events of both groups. It takes an event without an eventTime for one of an older client, of which little is asked. reporter is
// the name of the reporting controller's field in the version of the request.
func legacyEvent(obj kinds.Object, reporter string) (errs field.ErrorList) {
	e := obj.(*corev1.Event)
	about := e.InvolvedObject.Namespace
	astray := about != e.Namespace
	switch {
	case about == "" && e.EventTime.IsZero():
		astray = e.Namespace != metav1.NamespaceNone && e.Namespace != metav1.NamespaceDefault
	case about == "":
		astray = e.Namespace != metav1.NamespaceDefault && e.Namespace != metav1.NamespaceSystem
	case !e.EventTime.IsZero():
		astray = false
	}
	if astray {
		errs = append(errs, field.Invalid(field.NewPath("involvedObject", "namespace"), about, "does not match event.namespace"))
	}
	if !e.EventTime.IsZero() {
		errs = append(errs, validateEventTexts(e, reporter)...)
	}
	for _, msg := range utilvalidation.IsDNS1123Subdomain(e.Namespace) {
		errs = append(errs, field.Invalid(field.NewPath("namespace"), e.Namespace, msg))
	}
	return errs
}

func validateEventTexts(e *corev1.Event, reporter string) (errs field.ErrorList) {
	required := func(name, value string) {
		if value == "" {
			errs = append(errs, field.Required(field.NewPath(name), ""))
		}
	}
	atMost := func(name, value string, limit int) {
		if len(value) > limit {
			errs = append(errs, field.Invalid(field.NewPath(name), "", fmt.Sprintf("can have at most %d characters", limit)))
		}
	}
	required(reporter, e.ReportingController)
	for _, msg := range utilvalidation.IsQualifiedName(e.ReportingController) {
		errs = append(errs, field.Invalid(field.NewPath(reporter), e.ReportingController, msg))
	}
	for _, text := range []struct{ name, value string }{
		{"reportingInstance", e.ReportingInstance}, {"action", e.Action}, {"reason", e.Reason},
	} {
		required(text.name, text.value)
		atMost(text.name, text.value, eventWordBytes)
	}
	atMost("message", e.Message, eventMessageBytes)
	return errs
}

func eventColumns() []kinds.Column {
	cell := func(name, doc string, priority int32, f func(kinds.Env, *corev1.Event) any) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Priority: priority, Cell: func(env kinds.Env, obj kinds.Object) any { return f(env, obj.(*corev1.Event)) }}
	}
	doc := corev1.Event{}.SwaggerDoc()
	count := cell("Count", doc["count"], 1, func(_ kinds.Env, e *corev1.Event) any { n, _ := eventTimes(e); return n })
	name := kinds.NameColumn()
	name.Priority = 1
	return []kinds.Column{
		cell("Last Seen", doc["lastTimestamp"], 0, func(env kinds.Env, e *corev1.Event) any { _, last := eventTimes(e); return kinds.Age(env, last) }),
		cell("Type", doc["type"], 0, func(_ kinds.Env, e *corev1.Event) any { return e.Type }),
		cell("Reason", doc["reason"], 0, func(_ kinds.Env, e *corev1.Event) any { return e.Reason }),
		cell("Object", doc["involvedObject"], 0, func(_ kinds.Env, e *corev1.Event) any {
			if e.InvolvedObject.Name == "" {
				return lower(e.InvolvedObject.Kind)
			}
			return lower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name
		}),
		cell("Subobject", corev1.ObjectReference{}.SwaggerDoc()["fieldPath"], 1, func(_ kinds.Env, e *corev1.Event) any { return e.InvolvedObject.FieldPath }),
		cell("Source", doc["source"], 1, func(_ kinds.Env, e *corev1.Event) any { return eventSource(e) }),
		cell("Message", doc["message"], 0, func(_ kinds.Env, e *corev1.Event) any { return trimmed(e.Message) }),
		cell("First Seen", doc["firstTimestamp"], 1, func(env kinds.Env, e *corev1.Event) any { return kinds.Age(env, eventBegan(e)) }),
		count,
		name,
	}
}

// eventBegan is when an event was seen first.
func eventBegan(e *corev1.Event) time.Time {
	if !e.FirstTimestamp.IsZero() {
		return e.FirstTimestamp.Time
	}
	return e.EventTime.Time
}

// eventTimes is how often an event was seen, and when last.
func eventTimes(e *corev1.Event) (count int64, last time.Time) {
	switch {
	case e.Series != nil:
		return int64(e.Series.Count), e.Series.LastObservedTime.Time
	case e.LastTimestamp.IsZero():
		last = eventBegan(e)
	default:
		last = e.LastTimestamp.Time
	}
	if e.Count == 0 { // seen once: clients of the newer group count series only
		return 1, last
	}
	return int64(e.Count), last
}

func eventSource(e *corev1.Event) string {
	component, host := e.Source.Component, e.Source.Host
	if component == "" {
		component = e.ReportingController
	}
	if host == "" {
		host = e.ReportingInstance
	}
	if host == "" {
		return component
	}
	return fmt.Sprintf("%s, %s", component, host)
}
