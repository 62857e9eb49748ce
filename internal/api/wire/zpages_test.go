package wire_test

import (
	"math/rand"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/observe"
)

// TestZpages reads the pages that tell of the program in each form.
func TestZpages(t *testing.T) {
	s := &served{Cluster: apitest.New(t)}
	handler := wire.New(wire.Config{
		API: s.API, Authenticator: byHeader, Clock: s.Clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1)),
		Flags: func() map[string]string { return map[string]string{"v": "2", "data-dir": "/d"} }, Statusz: true,
	})
	handler.SetReady()
	s.Server = httptest.NewServer(handler)
	t.Cleanup(s.Server.Close)
	s.Clock.Step(time.Hour + 61*time.Second)
	const object = "\nAccept: application/json;as=KIND;v=VERSION;g=config.k8s.io"
	for _, c := range []struct {
		request, version string
		code             int
		want             []string
	}{
		{"GET /flagz", "", 200, []string{"\napiserver flagz\nWarning: This endpoint is not meant to be machine parseable", "data-dir", "/d\nv"}},
		{"GET /flagz" + object, "v1beta1", 200, []string{"apiVersion: config.k8s.io/v1beta1", "kind: Flagz", "name: apiserver", "data-dir: /d"}},
		{"GET /flagz" + object, "v1alpha1", 200, []string{"apiVersion: config.k8s.io/v1alpha1", "This version of the flagz endpoint is deprecated"}},
		{"GET /flagz" + object, "v1", 406, []string{"only the following media types are accepted: application/json, application/yaml,"}},
		{"GET /statusz", "", 200, []string{"\napiserver statusz\n", "1 hr 01 min 01 sec", "1.36.3", "/healthz /livez"}},
		{"GET /statusz" + object, "v1beta1", 200, []string{"kind: Statusz", "uptimeSeconds: 3661", "binaryVersion: 1.36.3", "emulationVersion: \"1.36\"", "- /readyz"}},
		{"GET /statusz\nX-User: carol", "", 403, []string{`User "carol" cannot get path "/statusz"`}},
	} {
		kind := "Flagz"
		if strings.Contains(c.request, "statusz") {
			kind = "Statusz"
		}
		resp := s.send(t, strings.NewReplacer("KIND", kind, "VERSION", c.version).Replace(c.request))
		code, warning := resp.StatusCode, resp.Header.Get("Warning")
		got := show(t, resp) + warning
		for _, want := range c.want {
			if code != c.code || !strings.Contains(strings.ReplaceAll(got, "\n  ", "\n"), want) && !strings.Contains(got, want) {
				t.Errorf("%s: %d\n%s\nwant %d with %q", c.request, code, got, c.code, want)
			}
		}
	}
}
