package wire_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	mandatory "k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/fairness"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/observe"
)

// fair is an API of so many seats, with the mandatory flow schemas: those who are not exempt wait in no queue.
func fair(t testing.TB, seats int, clk clock.WithDelayedExecution, who auth.Authenticator) (*served, *fairness.Controller) {
	t.Helper()
	s := &served{Cluster: apitest.New(t), watches: map[string]*bufio.Scanner{}}
	control := fairness.New(fairness.Config{Clock: clk, Log: observe.Discard(), Seats: seats, Processors: runtime.GOMAXPROCS(0)})
	s.handler = wire.New(wire.Config{
		API: s.API, Authenticator: who, Clock: s.Clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1)), Fairness: control,
	})
	s.handler.SetReady()
	s.Server = httptest.NewServer(s.handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Server.Close()
	})
	return s, control
}

// TestFairness: a request says what it matched, takes a seat while it runs, and is refused in upstream's words when there is none. Administrators always get
// an answer, and a watch that has been told what exists holds no seat.
func TestFairness(t *testing.T) {
	s, control := fair(t, 1, clock.RealClock{}, byHeader)
	catchAll := mandatory.MandatoryFlowSchemaCatchAll.DeepCopy()
	catchAll.UID = "schema"
	level := mandatory.MandatoryPriorityLevelConfigurationCatchAll.DeepCopy()
	level.UID = "level"
	control.Configure([]*flowcontrolv1.FlowSchema{nobodyExempt(), catchAll}, []*flowcontrolv1.PriorityLevelConfiguration{level})
	read := func(text string) (*http.Response, string) {
		resp := s.send(t, text)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	watch := s.send(t, "GET /api/v1/namespaces?watch=true")
	defer watch.Body.Close()
	if line, err := bufio.NewReader(watch.Body).ReadString('\n'); err != nil || !strings.Contains(line, "ADDED") {
		t.Fatalf("the watch answers %s, %s, %v", watch.Status, line, err)
	}
	for range 3 { // each takes the seat and gives it back; so does the watch, which goes on
		resp, _ := read("GET /api/v1/namespaces")
		for resp.StatusCode == http.StatusTooManyRequests && t.Context().Err() == nil { // until the watch has flushed what it sent
			resp, _ = read("GET /api/v1/namespaces")
		}
		if resp.StatusCode == http.StatusTooManyRequests || resp.Header.Get("X-Kubernetes-PF-FlowSchema-UID") != "schema" || resp.Header.Get("X-Kubernetes-PF-PriorityLevel-UID") != "level" {
			t.Fatalf("got %s, %v", resp.Status, resp.Header)
		}
	}
	var holder fairness.Ticket
	if !control.Enter(t.Context(), &holder, fairness.Call{User: auth.User{Name: "jane"}, Attributes: auth.Attributes{Verb: "get", Path: "/x"}}, time.Minute) {
		t.Fatal("no seat is free")
	}
	resp, body := read("GET /api/v1/namespaces\nX-User: joe")
	if resp.StatusCode != http.StatusTooManyRequests || body != "Too many requests, please try again later.\n" || resp.Header.Get("Retry-After") != "1" ||
		resp.Header.Get("X-Kubernetes-PF-FlowSchema-UID") != "schema" {
		t.Errorf("got %s, %v, %s", resp.Status, resp.Header, body)
	}
	control.Configure([]*flowcontrolv1.FlowSchema{catchAll}, []*flowcontrolv1.PriorityLevelConfiguration{level})
	if resp, _ := read("GET /api/v1/namespaces"); resp.StatusCode != http.StatusOK {
		t.Errorf("an administrator got %s", resp.Status)
	}
	for path, want := range map[string]string{
		"dump_priority_levels":                      "catch-all,         0,           false,  false,       0,              1,                 ",
		"dump_queues":                               "PriorityLevelName, Index, PendingRequests, ExecutingRequests, SeatsInUse, NextDispatchR, InitialSeatsSum, MaxSeatsSum, TotalWorkSum",
		"dump_requests?includeRequestDetails=1":     "catch-all,         catch-all,      -1,         -1,                  ,",
		"dump_requests?includeRequestDetails=1&x=y": "jane, ",
	} {
		resp, body := read("GET /debug/api_priority_and_fairness/" + path)
		if squeezed := strings.Join(strings.Fields(body), " "); resp.StatusCode != http.StatusOK || !strings.Contains(squeezed, strings.Join(strings.Fields(want), " ")) {
			t.Errorf("%s: got %s\n%s", path, resp.Status, body)
		}
	}
	if resp, _ := read("GET /debug/api_priority_and_fairness/dump_secrets"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("got %s", resp.Status)
	}
	holder.Leave()
}

// nobodyExempt is the schema of those who are exempt, with none of them.
func nobodyExempt() *flowcontrolv1.FlowSchema {
	schema := mandatory.MandatoryFlowSchemaExempt.DeepCopy()
	schema.Spec.Rules = nil
	return schema
}

// BenchmarkFairness asks for one object with fairness and without; the difference is what it costs.
func BenchmarkFairness(b *testing.B) {
	for _, seats := range []int{0, 600} {
		b.Run(fmt.Sprintf("seats=%d", seats), func(b *testing.B) {
			c := apitest.New(b)
			cfg := wire.Config{API: c.API, Clock: c.Clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1))}
			cfg.Authenticator = func(*http.Request) (auth.User, bool, error) {
				return auth.User{Name: "somebody", Groups: []string{auth.Masters, auth.Authenticated}}, true, nil
			}
			if seats > 0 {
				cfg.Fairness = fairness.New(fairness.Config{Clock: c.Clock, Log: observe.Discard(), Seats: seats, Processors: runtime.GOMAXPROCS(0)})
				schemas := append([]*flowcontrolv1.FlowSchema{}, mandatory.SuggestedFlowSchemas...)
				cfg.Fairness.Configure(schemas, mandatory.SuggestedPriorityLevelConfigurations)
			}
			handler := wire.New(cfg)
			r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/api/v1/namespaces/default", nil)
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				w.Body.Reset()
				handler.ServeHTTP(w, r)
			}
			if w.Code != http.StatusOK {
				b.Fatal(w.Body.String())
			}
		})
	}
}
