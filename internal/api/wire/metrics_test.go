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
	watch := s.send(t, "GET /api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0")
	defer watch.Body.Close()
	ask("POST /apis/apps/v1/namespaces/default/deployments\n\n{}")

	page := ask("GET /metrics")
	for _, want := range []string{
		`apiserver_request_total{code="201",component="apiserver",dry_run="",group="",resource="configmaps",scope="namespace",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_total{code="201",component="apiserver",dry_run="All",group="",resource="configmaps",scope="namespace",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_total{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"} 1`,
		`apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",verb="GET",version="v1"} 1`,
		`apiserver_request_total{code="404",component="apiserver",dry_run="",group="",resource="",scope="",subresource="",verb="GET",version=""} 3`,
		`apiserver_request_total{code="422",component="apiserver",dry_run="",group="apps",resource="deployments",scope="namespace",subresource="",verb="POST",version="v1"} 1`,
		`apiserver_request_duration_seconds_count{component="apiserver",dry_run="",group="",resource="configmaps",scope="cluster",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_response_sizes_count{component="apiserver",group="",resource="configmaps",scope="cluster",subresource="",verb="LIST",version="v1"} 1`,
		`apiserver_longrunning_requests{component="apiserver",group="",resource="configmaps",scope="namespace",subresource="",verb="WATCH",version="v1"} 1`,
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
