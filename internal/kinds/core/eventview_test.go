package core_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func TestEventViewIsLossless(t *testing.T) {
	kindtest.Lossless(t, core.EventView(core.Event(0)), kindtest.Filler(time.Now().UnixNano()))
}

// TestEventViewAsksMore: what upstream's validation asks by the version of the request.
func TestEventViewAsksMore(t *testing.T) {
	k := core.EventView(core.Event(0))
	at := metav1.NewTime(env().Now)
	normal := func(e *corev1.Event) { e.Type = corev1.EventTypeNormal }
	for name, c := range map[string]struct {
		change func(*corev1.Event)
		want   []string
	}{
		"good":      {func(*corev1.Event) {}, nil},
		"of a kind": {func(e *corev1.Event) { e.Type = "Odd" }, []string{`type: Invalid value: "": has invalid value: Odd`}},
		"nobody's": {func(e *corev1.Event) { e.ReportingController = "" }, []string{
			"reportingController: Required value", `reportingController: Invalid value: "": name part must be non-empty`,
			`reportingController: Invalid value: "": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric ` +
				`character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
		}},
		"series of one": {func(e *corev1.Event) { e.Series = &corev1.EventSeries{Count: 1} }, []string{
			`series.count: Invalid value: "": should be at least 2`, "series.lastObservedTime: Required value",
		}},
		"older fields": {func(e *corev1.Event) {
			e.FirstTimestamp, e.LastTimestamp, e.Count, e.Source.Host = at, at, 1, "h"
		}, []string{
			`firstTimestamp: Invalid value: "": needs to be unset`, `lastTimestamp: Invalid value: "": needs to be unset`,
			`count: Invalid value: "": needs to be unset`, `source: Invalid value: "": needs to be unset`,
		}},
		"no time": {func(e *corev1.Event) { e.EventTime = metav1.MicroTime{} }, []string{"eventTime: Required value"}},
	} {
		e := event(true, normal)
		c.change(e)
		var got []string
		for _, err := range append(k.Validate(e), k.ValidateCreate(e)...) {
			got = append(got, err.Error())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, c.want)
		}
	}
	for name, c := range map[string]struct {
		change func(*corev1.Event)
		want   []string
	}{
		"less than a microsecond": {func(e *corev1.Event) { e.EventTime.Time = e.EventTime.Add(time.Nanosecond) }, nil},
		"series":                  {func(e *corev1.Event) { e.Series = &corev1.EventSeries{Count: 2, LastObservedTime: e.EventTime} }, nil},
		"other reason": {func(e *corev1.Event) { e.Reason = "Other" }, []string{
			`reason: Invalid value: "Other": field is immutable`, `reason: Invalid value: "Other": field is immutable`,
		}},
	} {
		e := event(true, normal)
		c.change(e)
		kindtest.Same(t, name, kindtest.Update(k, e, event(true, normal)), c.want)
	}
}
