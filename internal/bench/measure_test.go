package bench

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestScenariosMeasureAndCleanUp(t *testing.T) {
	for _, s := range Scenarios() {
		if s.offline {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			f, _, target := newFake(t)
			o := testOptions(target)
			o.Nodes = 2
			report, err := Measure(t.Context(), s, o)
			if err != nil {
				t.Fatal(err)
			}
			want := uint64(o.Count)
			if s.Name == "watch" {
				want *= uint64(o.Clients)
			}
			if report.Operations != want || report.Failed != 0 {
				t.Errorf("%d operations, errors %v; want %d and none", report.Operations, report.Errors, want)
			}
			if l := report.Latency; l.P50 <= 0 || l.P50 > l.P90 || l.P90 > l.P99 || l.P99 > l.Max {
				t.Errorf("latencies do not rise from above zero: %+v", l)
			}
			for path := range f.objects {
				if !strings.HasSuffix(path, "/serviceaccounts/default") {
					t.Errorf("%s was left behind", path)
				}
			}
		})
	}
}

// on makes a fault for the requests on single pods; everything else works.
func on(method string, fault http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.Contains(r.URL.Path, "/pods") {
			return false
		}
		fault(w, r)
		return true
	}
}

func TestFaultsAreCountedByClass(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for _, c := range []struct {
		want  string
		fault http.HandlerFunc
	}{
		{"409 Conflict", status(409)},
		{"410 Gone", status(410)},
		{"429 Too Many Requests", status(429)},
		{"500 Internal Server Error", status(500)},
		{"503 Service Unavailable", status(503)},
		{"garbage reply", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }},
		{"connection lost", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
	} {
		f, _, target := newFake(t)
		f.fail = on(http.MethodPost, c.fault)
		o := testOptions(target)
		o.Count = 5
		s, _ := ScenarioNamed("create")
		report, err := Measure(t.Context(), s, o)
		if err != nil {
			t.Errorf("%s: %v", c.want, err)
			continue
		}
		if report.Failed != 5 || report.Errors[c.want].Count != 5 || report.Operations != 0 {
			t.Errorf("%s: %d operations, errors %v; want 5 of that class", c.want, report.Operations, report.Errors)
		}
	}
}

func TestServerThatDiesEndsTheRun(t *testing.T) {
	f, server, target := newFake(t)
	var calls atomic.Int32
	f.fail = on(http.MethodPost, func(http.ResponseWriter, *http.Request) {
		if calls.Add(1) == 1 {
			server.Listener.Close()
		}
		panic(http.ErrAbortHandler)
	})
	o := testOptions(target)
	o.Count = 100_000
	s, _ := ScenarioNamed("create")
	report, err := Measure(t.Context(), s, o)
	if !errors.Is(err, ErrServerGone) {
		t.Fatalf("error %v, want ErrServerGone", err)
	}
	if report == nil || report.Failed == 0 {
		t.Errorf("report %+v, want the errors that were seen", report)
	}
}

func TestProcessThatEndedIsAServerThatIsGone(t *testing.T) {
	_, _, target := newFake(t)
	o := testOptions(target)
	o.ProcRoot, o.Processes = "testdata/proc", []Process{{Name: "api", PID: 42}}
	s, _ := ScenarioNamed("create")
	report, err := Measure(t.Context(), s, o)
	if err != nil || len(report.Processes) != 1 || report.Processes[0].Resident != 20<<20 {
		t.Errorf("live process: %+v, %v", report, err)
	}
	o.Processes[0].PID, o.RunID = 44, "u"
	if _, err := Measure(t.Context(), s, o); err == nil || !strings.Contains(err.Error(), "api (44)") {
		t.Errorf("ended process: error %v, want one that names it", err)
	}
}

func TestWatchThatEndsFailsItsPods(t *testing.T) {
	f, _, target := newFake(t)
	f.fail = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("watch") == "" {
			return false
		}
		_, _ = w.Write([]byte(`{"type":"ERROR","object":{"code":410,"message":"too old"}}` + "\n"))
		return true
	}
	s, _ := ScenarioNamed("pod-start")
	o := testOptions(target)
	o.Count, o.Nodes = 2, 1 // with nodes of its own, nothing waits for the pods' end
	report, err := Measure(t.Context(), s, o)
	if err != nil || report.Errors["410 Gone"].Count != 2 {
		t.Errorf("errors %v, %v; want 2 x 410 Gone", report, err)
	}
}

func TestInterruptStillCleansUp(t *testing.T) {
	f, _, target := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int32
	f.fail = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pods") && calls.Add(1) == 10 {
			cancel()
		}
		return false
	}
	s, _ := ScenarioNamed("create")
	o := testOptions(target)
	o.Count = 100_000
	if _, err := Measure(ctx, s, o); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	for path := range f.objects {
		if strings.Contains(path, "/pods/") {
			t.Errorf("%s was left behind", path)
		}
	}
}

func TestRefusedServiceAccountLeavesNoNamespace(t *testing.T) {
	f, _, target := newFake(t)
	f.fail = func(w http.ResponseWriter, r *http.Request) bool {
		refused := strings.HasSuffix(r.URL.Path, "/serviceaccounts")
		if refused {
			w.WriteHeader(http.StatusForbidden)
		}
		return refused
	}
	s, _ := ScenarioNamed("get")
	if _, err := Measure(t.Context(), s, testOptions(target)); !isStatus(err, http.StatusForbidden) {
		t.Errorf("error %v, want 403", err)
	}
	if len(f.objects) > 0 {
		t.Errorf("left behind: %v", f.objects)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	_, _, target := newFake(t)
	s, _ := ScenarioNamed("create")
	for want, change := range map[string]func(*Options){
		"encoding": func(o *Options) { o.Encoding = "xml" },
		"clients":  func(o *Options) { o.Clients = -1 },
		"count":    func(o *Options) { o.Count = maxObjects + 1 },
		"kind":     func(o *Options) { o.Kind = "secrets" },
		"timeout":  func(o *Options) { o.Timeout = 0 },
		"server":   func(o *Options) { o.Target = nil },
	} {
		o := testOptions(target)
		change(&o)
		if _, err := Measure(t.Context(), s, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
}

func TestReadyTellsWhyACommandEnded(t *testing.T) {
	s, _ := ScenarioNamed("ready")
	o := testOptions(nil)
	o.Exec, o.ReadyURL, o.Count = "ls {dir}/nothing-here", "https://127.0.0.1:1", 1
	report, err := Measure(t.Context(), s, o)
	if err != nil || report.Failed != 1 {
		t.Fatalf("%+v, %v; want one failure", report, err)
	}
	if n := report.Errors["start failed"]; !strings.Contains(n.Example, "nothing-here") {
		t.Errorf("errors %v; want a failed start with what the command said", report.Errors)
	}
}

func TestReadyMeasuresAStart(t *testing.T) {
	f, server, _ := newFake(t)
	f.fail = func(w http.ResponseWriter, r *http.Request) bool { return r.URL.Path == "/readyz" }
	s, _ := ScenarioNamed("ready")
	o := testOptions(nil)
	o.Exec, o.ReadyURL, o.Count = "tail -f /dev/null", server.URL, 2
	report, err := Measure(t.Context(), s, o)
	if err != nil || report.Operations != 2 || report.Failed != 0 {
		t.Errorf("%+v, %v; want two starts", report, err)
	}
}

func TestTable(t *testing.T) {
	var text bytes.Buffer
	reports := []*Report{{
		Scenario: "get", Clients: 2, Operations: 10, Rate: 5, Seconds: 2, Unit: "get", Latency: Latency{P50: 1.5},
		Errors: errorCounts{"410 Gone": {Count: 3, Example: "too old"}}, Processes: []ProcessReport{{Name: "api", CPUPerOperation: 0.25}},
	}}
	if err := WriteTable(&text, reports); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"get", "1.50", "0.2500 per get", "3 x 410 Gone, such as: too old"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, text.String())
		}
	}
}
