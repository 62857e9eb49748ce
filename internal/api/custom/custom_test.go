package custom_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/custom/customtest"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/test/peers/exchange"
)

// served is an API with a Keeper, over HTTP.
type served struct {
	*apitest.Cluster
	*httptest.Server
}

func serve(t testing.TB) *served {
	t.Helper()
	s := &served{Cluster: apitest.New(t)}
	handler := wire.New(wire.Config{
		API: s.API, Clock: s.Clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1)),
		Authenticator: func(*http.Request) (auth.User, bool, error) { return apitest.Administrator(), true, nil },
	})
	handler.SetReady()
	s.Server = httptest.NewServer(handler)
	customtest.Keep(t, s.Cluster, nowhere)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Server.Close()
	})
	return s
}

func nowhere(namespace, name string, _ int32) (*url.URL, error) {
	return nil, fmt.Errorf("services %q not found", namespace+"/"+name)
}

// define creates a definition, or replaces one, and waits until it says of itself what want says.
func define(t testing.TB, c *apitest.Cluster, text string, want func(*apiextensionsv1.CustomResourceDefinition) bool) error {
	t.Helper()
	crd := &apiextensionsv1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict([]byte(text), crd); err != nil {
		t.Fatal(err)
	}
	req := api.Request{User: apitest.Administrator(), Kind: c.API.Kind(apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions"))}
	if _, err := c.API.Create(t.Context(), req, crd, metav1.CreateOptions{}); err != nil {
		return err
	}
	await(t, c, crd.Name, want)
	return nil
}

// await waits until a definition, nil when it is gone, is as want says.
func await(t testing.TB, c *apitest.Cluster, name string, want func(*apiextensionsv1.CustomResourceDefinition) bool) {
	t.Helper()
	req := api.Request{User: apitest.Administrator(), Name: name, Kind: c.API.Kind(apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions"))}
	watch, err := c.API.Watch(t.Context(), req, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	if item := c.API.Store.Snapshot().Get(req.Kind.Prefix() + name); item == nil && want(nil) {
		return
	}
	for {
		e, err := following(t.Context(), watch)
		if err != nil {
			t.Fatal(err)
		}
		if e.Type == "DELETED" {
			if want(nil) {
				return
			}
			continue
		}
		obj, err := api.Object(e.Item)
		if err != nil {
			t.Fatal(err)
		}
		if want(obj.(*apiextensionsv1.CustomResourceDefinition)) {
			return
		}
	}
}

// following waits for a watch's next event.
func following(ctx context.Context, w *api.Watch) (api.Event, error) {
	for {
		if e, ok, err := w.TryNext(); ok || err != nil {
			return e, err
		}
		if wake, now := w.Ready(); !now {
			select {
			case <-wake:
			case <-ctx.Done():
				return api.Event{}, ctx.Err()
			}
		}
	}
}

// is says whether a condition is true.
func is(kind apiextensionsv1.CustomResourceDefinitionConditionType, reason string) func(*apiextensionsv1.CustomResourceDefinition) bool {
	return func(crd *apiextensionsv1.CustomResourceDefinition) bool {
		return crd != nil && slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
			return c.Type == kind && c.Reason == reason
		})
	}
}

var established = is(apiextensionsv1.Established, "InitialNamesAccepted")

func gone(crd *apiextensionsv1.CustomResourceDefinition) bool { return crd == nil }

// TestScripts runs what stands in testdata/scripts: definitions, requests, and the whole of what a client sees of their answers. -rewrite writes the
// answers anew.
//
//	define            creates a definition and waits until it is established, or shows what is wrong with it
//	request           a request, as package exchange reads it
//	until NAME        waits until a definition has a condition with a reason
//	gone NAME         waits until a definition is gone
//	watch NAME        begins to watch; next NAME n=N shows events, and "end" that the watch has ended
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		s := serve(t)
		watches := map[string]*bufio.Scanner{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "define":
				want := established
				if d.HasArg("until") {
					var kind, reason string
					d.ScanArgs(t, "until", &kind, &reason)
					want = is(apiextensionsv1.CustomResourceDefinitionConditionType(kind), reason)
				}
				if err := define(t, s.Cluster, d.Input, want); err != nil {
					return strings.ReplaceAll(err.Error(), ", ", ",\n") + "\n"
				}
				return "ok\n"
			case "until":
				var kind, reason string
				d.ScanArgs(t, "until", &kind, &reason)
				await(t, s.Cluster, d.CmdArgs[0].Key, is(apiextensionsv1.CustomResourceDefinitionConditionType(kind), reason))
				return "ok\n"
			case "gone":
				await(t, s.Cluster, d.CmdArgs[0].Key, gone)
				return "ok\n"
			case "request":
				return s.show(t, d.Input)
			case "watch":
				resp := s.send(t, d.Input)
				t.Cleanup(func() { resp.Body.Close() })
				watches[d.CmdArgs[0].Key] = bufio.NewScanner(resp.Body)
				return resp.Status + "\n"
			case "next":
				var n int
				d.ScanArgs(t, "n", &n)
				return next(watches[d.CmdArgs[0].Key], n)
			}
			t.Fatalf("no command %s", d.Cmd)
			return ""
		})
	})
}

func next(lines *bufio.Scanner, n int) string {
	var out strings.Builder
	for range n {
		if !lines.Scan() {
			return out.String() + "end\n"
		}
		text, _ := yaml.JSONToYAML(lines.Bytes())
		out.WriteString(string(text) + "--\n")
	}
	return out.String()
}

func (s *served) send(t testing.TB, text string) *http.Response {
	t.Helper()
	r := exchange.Parse(text)
	req, err := http.NewRequestWithContext(t.Context(), r.Method, s.URL+r.Path, strings.NewReader(r.Body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range r.Header {
		req.Header.Set(name, value)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// show is an answer: the status, warnings, and the body as YAML.
func (s *served) show(t testing.TB, text string) string {
	t.Helper()
	resp := s.send(t, text)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := resp.Status + "\n"
	for _, w := range resp.Header.Values("Warning") {
		out += "warning: " + w + "\n"
	}
	if doc, err := yaml.JSONToYAML(data); err == nil {
		data = doc
	}
	return out + string(data)
}
