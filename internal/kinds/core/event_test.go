package core_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/core"
)

// event is one that upstream takes, of the older or of the newer form, which has an eventTime.
func event(newer bool, change func(*corev1.Event)) *corev1.Event {
	e := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "web.1", Namespace: "a"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "web", Namespace: "a"},
	}
	if newer {
		e.EventTime = metav1.NewMicroTime(env().Now)
		e.ReportingController, e.ReportingInstance, e.Action, e.Reason = "example.com/c", "c-0", "Binding", "Scheduled"
	}
	if change != nil {
		change(e)
	}
	return e
}

func TestEventRefusals(t *testing.T) {
	in := func(own, about string) func(*corev1.Event) {
		return func(e *corev1.Event) { e.Namespace, e.InvolvedObject.Namespace = own, about }
	}
	const astray = "does not match event.namespace"
	for name, c := range map[string]struct {
		newer  bool
		change func(*corev1.Event)
		want   string
	}{
		"good, older":                 {false, nil, ""},
		"good, newer":                 {true, nil, ""},
		"of a node, older":            {false, in("default", ""), ""},
		"of a node, newer":            {true, in("kube-system", ""), ""},
		"of a node, newer, elsewhere": {true, in("a", ""), `involvedObject.namespace: Invalid value: "": ` + astray},
		"of a node, older, elsewhere": {false, in("kube-system", ""), `involvedObject.namespace: Invalid value: "": ` + astray},
		"elsewhere, older":            {false, in("a", "b"), `involvedObject.namespace: Invalid value: "b": ` + astray},
		"elsewhere, newer":            {true, in("a", "b"), ""},
		"nobody's":                    {true, func(e *corev1.Event) { e.ReportingInstance = "" }, "reportingInstance: Required value"},
		"no action":                   {true, func(e *corev1.Event) { e.Action = "" }, "action: Required value"},
		"long reason":                 {true, func(e *corev1.Event) { e.Reason = strings.Repeat("x", 129) }, `reason: Invalid value: "": can have at most 128 characters`},
		"long message":                {true, func(e *corev1.Event) { e.Message = strings.Repeat("x", 1025) }, `message: Invalid value: "": can have at most 1024 characters`},
		"long message, older":         {false, func(e *corev1.Event) { e.Message = strings.Repeat("x", 1025) }, ""},
	} {
		errs := core.Event(0).Validate(event(c.newer, c.change))
		if c.want == "" && len(errs) == 0 {
			continue
		}
		if len(errs) != 1 || errs[0].Error() != c.want {
			t.Errorf("%s: got %v, want %q", name, errs, c.want)
		}
	}
	if msgs := core.Event(0).ValidName("Some_Object.17f", false); len(msgs) > 0 {
		t.Errorf("an event may be named for any object: %v", msgs)
	}
	if len(core.Event(0).ValidName("a/b", false)) == 0 {
		t.Error("a name with a slash was taken")
	}
}

func TestEventColumnsAndFields(t *testing.T) {
	ago := func(d time.Duration) time.Time { return env().Now.Add(-d) }
	for name, c := range map[string]struct {
		change func(*corev1.Event)
		want   []any // last seen, source, first seen, count
	}{
		"nothing known": {func(*corev1.Event) {}, []any{"<unknown>", "", "<unknown>", int64(1)}},
		"older": {func(e *corev1.Event) {
			e.FirstTimestamp, e.LastTimestamp, e.Count = metav1.NewTime(ago(time.Hour)), metav1.NewTime(ago(time.Minute)), 4
			e.Source = corev1.EventSource{Component: "kubelet", Host: "n"}
		}, []any{"60s", "kubelet, n", "60m", int64(4)}},
		"first time only": {func(e *corev1.Event) { e.FirstTimestamp = metav1.NewTime(ago(time.Hour)) }, []any{"60m", "", "60m", int64(1)}},
		"newer": {func(e *corev1.Event) {
			e.EventTime, e.ReportingController = metav1.NewMicroTime(ago(5*time.Second)), "c"
		}, []any{"5s", "c", "5s", int64(1)}},
		"series": {func(e *corev1.Event) {
			e.EventTime = metav1.NewMicroTime(ago(time.Hour))
			e.Series = &corev1.EventSeries{Count: 9, LastObservedTime: metav1.NewMicroTime(ago(time.Second))}
		}, []any{"1s", "", "60m", int64(9)}},
	} {
		k, e := core.Event(0), event(false, c.change)
		var got []any
		for _, i := range []int{0, 5, 7, 8} {
			got = append(got, k.Columns[i].Cell(env(), e))
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	e := event(false, func(e *corev1.Event) { e.ReportingController, e.InvolvedObject.UID = "c", "u" })
	k := core.Event(0)
	if set := k.Fields(e); set["source"] != "c" || set["reportingComponent"] != "c" || set["involvedObject.uid"] != "u" || len(set) != 11 {
		t.Errorf("fields: %v", set)
	}
	if got := k.Columns[3].Cell(env(), e); got != "pod/web" {
		t.Errorf("object: %v", got)
	}
}

// TestEventsAreKept: as long as it is said, an hour when nothing is, or for ever.
func TestEventsAreKept(t *testing.T) {
	seen := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := &corev1.Event{LastTimestamp: metav1.NewTime(seen)}
	for ttl, want := range map[time.Duration]time.Time{0: seen.Add(time.Hour), time.Minute: seen.Add(time.Minute), core.EventsForEver: {}} {
		if got := core.Event(ttl).Expires(e); !got.Equal(want) {
			t.Errorf("kept for %s: until %s, want %s", ttl, got, want)
		}
	}
}
