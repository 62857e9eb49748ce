package wire_test

import (
	"io"
	"net/http"
	"testing"
)

// TestPagesNeedRights: beside the resources nothing tells strangers what is in them: not the past, not all of it at once, not what the server counts or does.
func TestPagesNeedRights(t *testing.T) {
	s := serve(t)
	for _, path := range []string{
		"/floe.dev/v1/history?key=secrets/default/s", "/floe.dev/v1/history?key=/registry/secrets/default/s", "/floe.dev/v1/snapshot", "/floe.dev/v1/watch?of=/api/v1/secrets",
		"/metrics", "/metrics/slis", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/flags/v", "/debug/api_priority_and_fairness/dump_requests", "/logs/", "/configz",
		"/api/v1/secrets?resourceVersion=1&resourceVersionMatch=Exact", "/api/v1/watch/secrets", "/api/v1/secrets?watch=true",
		"//floe.dev/v1/snapshot", "/floe.dev//v1/snapshot", "/floe.dev/v1/snapshot/", "/floe.dev/v1/%73napshot", "/version/../floe.dev/v1/snapshot", "/healthz/../metrics",
	} {
		for _, user := range []string{"bob", "system:anonymous", "system:node:one", "system:serviceaccount:default:default"} {
			resp := s.send(t, "GET "+path+"\nX-User: "+user+"\n")
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusNotFound || err != nil {
				t.Errorf("%s gets %s: %s, %v: %.100s", user, path, resp.Status, err, body)
			}
		}
	}
}
