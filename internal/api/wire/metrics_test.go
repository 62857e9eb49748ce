package wire_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/observe"
)

// TestMetrics asks, and then asks what was counted.
func TestMetrics(t *testing.T) {
	s := &served{Cluster: apitest.New(t), watches: map[string]*bufio.Scanner{}}
	metrics, registry := wire.NewMetrics(), prometheus.NewRegistry()
	registry.MustRegister(metrics)
	metrics.Feature("CBORServingAndStorage", "ALPHA", false)
	handler := wire.New(wire.Config{
		API: s.API, Authenticator: byHeader, Clock: s.Clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1)), Metrics: metrics, Gather: registry,
	})
	s.Server = httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Server.Close()
	})
	ask := func(request string) string {
		resp := s.send(t, request)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	ask("POST /api/v1/namespaces/default/configmaps\n\n{\"metadata\":{\"name\":\"a\"}}")
	ask("POST /api/v1/namespaces/default/configmaps?dryRun=All\n\n{\"metadata\":{\"name\":\"b\"}}")
	ask("GET /api/v1/namespaces/default/configmaps/a")
	ask("GET /api/v1/namespaces/default/configmaps/nothing")
	ask("GET /api/v1/configmaps")
	ask("DELETE /api/v1/namespaces/default/configmaps/a")
	for i := range 3 {
		ask(fmt.Sprintf("GET /api/v1/cats%d", i))
	}
	for i := range 100 { // what there is not makes no series of its own
		ask(fmt.Sprintf("METHOD%d /api/v1/namespaces/default/configmaps/a", i))
		ask(fmt.Sprintf("GET /api/v1/namespaces/default/pods/a/part%d", i))
		ask(fmt.Sprintf("GET /path%d", i))
	}
	ask("GET /readyz")
	ask("PATCH /api/v1/namespaces/default/configmaps/nothing\nContent-Type: application/apply-patch+yaml\n\n{}")
	whole := s.send(t, "GET /api/v1/namespaces/default/configmaps?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true")
	defer whole.Body.Close()
	if line, err := bufio.NewReader(whole.Body).ReadString('\n'); err != nil || !strings.Contains(line, "BOOKMARK") {
		t.Fatalf("the state ends with %q, %v", line, err)
	}
	watch := s.send(t, "GET /api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0")
	defer watch.Body.Close()
	ask("POST /apis/apps/v1/namespaces/default/deployments\n\n{}")

	page := ask("GET /metrics")
	for _, want := range []string{
		`apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_total{code="201",component="apiserver",dry_run="All",group="",resource="configmaps",scope="resource",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"} 1`,
		`apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"} 1`,
		`apiserver_request_total{code="422",component="apiserver",dry_run="",group="apps",resource="deployments",scope="resource",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_duration_seconds_count{component="apiserver",dry_run="",group="",resource="configmaps",scope="cluster",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_response_sizes_count{component="apiserver",group="",resource="configmaps",scope="cluster",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_longrunning_requests{component="apiserver",group="",resource="configmaps",scope="namespace",subresource="",verb="WATCH",version="v1"} 2`,
		`apiserver_request_total{code="405",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="other",version="v1"} 100`,
		`apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource="",verb="GET",version="v1"} 100`,
		`apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="",scope="",subresource="",verb="GET",version=""} 103`,
		`apiserver_request_total{code="500",component="",dry_run="",group="",resource="",scope="",subresource="/readyz",verb="GET",version=""} 1`,
		`apiserver_request_duration_seconds_count{component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="APPLY",version="v1"} 1`,
		`apiserver_watch_list_duration_seconds_count{group="",resource="configmaps",scope="namespace",version="v1"} 1`,
		`apiserver_watch_events_sizes_bucket{group="",resource="configmaps",version="v1",le="1024"} 1`,
		`apiserver_request_body_size_bytes_bucket{group="",resource="configmaps",verb="create",le="50000"} 2`,
		`apiserver_request_body_size_bytes_bucket{group="",resource="configmaps",verb="create",le="3.05e+06"} 2`,
		`kubernetes_feature_enabled{name="CBORServingAndStorage",stage="ALPHA"} 0`,
		`apiserver_tls_handshake_errors_total 0`,
		`apiserver_current_inflight_requests{request_kind="mutating"} 0`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
	anonymous := s.send(t, "GET /metrics\nX-User: system:anonymous")
	if anonymous.StatusCode != http.StatusForbidden {
		t.Errorf("/metrics for anybody: %s", anonymous.Status)
	}
	anonymous.Body.Close()
}
