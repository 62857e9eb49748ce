package bench

import (
	"bytes"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestFloodReportsBothUsers(t *testing.T) {
	f, _, target := newFake(t)
	var refused atomic.Int32
	lists := on(http.MethodGet, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) })
	f.fail = func(w http.ResponseWriter, r *http.Request) bool { // the first list after those of the quiet user alone
		return r.Header.Get("Authorization") != "" && strings.HasSuffix(r.URL.Path, "/pods") && refused.Add(1) == 21 && lists(w, r)
	}
	s, _ := ScenarioNamed("flood")
	report, err := Measure(t.Context(), s, testOptions(target))
	if err != nil {
		t.Fatal(err)
	}
	if l := report.Flood; l == nil || l.Quiet.P50 <= 0 || l.Ratio99 <= 0 || l.Rate <= 0 || l.Refused+report.Failed != 1 {
		t.Errorf("the report is %+v, %+v", report, report.Flood)
	}
	var text bytes.Buffer
	if err := WriteTable(&text, []*Report{report}); err != nil || !strings.Contains(text.String(), "QUIET P99 ms") {
		t.Errorf("the table lacks the quiet user: %v\n%s", err, text.String())
	}
}

func TestFloodThatCannotBegin(t *testing.T) {
	_, _, target := newFake(t)
	o := testOptions(target)
	o.Program = "/nonexistent/floe-bench"
	s, _ := ScenarioNamed("flood")
	if _, err := Measure(t.Context(), s, o); err == nil || !strings.Contains(err.Error(), "start /nonexistent/floe-bench flood-worker") {
		t.Errorf("error %v, want one that names the program", err)
	}
}
