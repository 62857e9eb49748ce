package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/clienttest"
	"github.com/floe-k8s/floe/internal/client/remote"
	"github.com/floe-k8s/floe/internal/kinds/all"
	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/store"
)

var (
	configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")
	pods       = corev1.SchemeGroupVersion.WithResource("pods")
)

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
}

// smallRings lets a test fill a client's rings quickly.
const smallRings = 1 << 20

// served is an API over TLS and HTTP/2, and who its clients are.
type served struct {
	*apitest.Cluster
	*httptest.Server
	t testing.TB

	mu    sync.Mutex
	views []*remote.Client // guarded by mu: those that have views
}

func serve(t testing.TB) *served {
	t.Helper()
	s := &served{Cluster: apitest.New(t), t: t}
	handler := wire.New(wire.Config{
		API: s.API, Authenticator: byHeader, Clock: s.Clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1)),
	})
	s.Server = httptest.NewUnstartedServer(handler)
	s.Server.EnableHTTP2 = true
	s.Server.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that tests cut off
	s.Server.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Server.Close()
	})
	return s
}

func byHeader(r *http.Request) (auth.User, bool, error) {
	if r.ProtoMajor != 2 {
		return auth.User{}, false, errors.New("clients speak HTTP/2, and this one " + r.Proto)
	}
	return auth.User{Name: r.Header.Get("X-User"), Groups: append(slices.Clone(r.Header["X-Group"]), auth.Authenticated)}, true, nil
}

// identity is a transport that says who sends.
type identity struct {
	http.RoundTripper
	user   string
	groups []string
}

func (i identity) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-User", i.user)
	r.Header["X-Group"] = i.groups
	return i.RoundTripper.RoundTrip(r)
}

func config(t testing.TB, server *httptest.Server, user string, groups ...string) remote.Config {
	t.Helper()
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := remote.Transport(nil)
	if server.TLS != nil {
		transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	}
	t.Cleanup(transport.CloseIdleConnections)
	return remote.Config{
		Server: base, Transport: identity{transport, user, groups}, Kinds: all.Kinds(), Clock: clock.RealClock{},
		Rand: rand.New(rand.NewSource(1)), Log: observe.Discard(), RingBytes: smallRings,
	}
}

// start makes a client that runs until the test ends.
func start(t testing.TB, cfg remote.Config) *remote.Client {
	t.Helper()
	c, err := remote.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c
}

func (s *served) client(user string, groups ...string) client.Client {
	cfg := config(s.t, s.Server, user, groups...)
	if !slices.Contains(groups, auth.Masters) {
		return start(s.t, cfg)
	}
	cfg.Views = remote.Everything(clienttest.Resources()...)
	c := start(s.t, cfg)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.views = append(s.views, c)
	return c
}

func TestContract(t *testing.T) {
	clienttest.Run(t, func(t *testing.T) clienttest.Harness {
		s := serve(t)
		return clienttest.Harness{
			Client: s.client,
			Newest: func(t *testing.T, key string) (string, string) { return newest(t, s.Log, key) },
			Expire: s.expire,
		}
	})
}

// newest reads the log's own record.
func newest(t *testing.T, log store.History, key string) (actor, cause string) {
	t.Helper()
	var last *store.Record
	err := log.Versions(t.Context(), key, func(r store.Record) error {
		if last == nil {
			last = &r
		}
		return nil
	})
	if err != nil || last == nil {
		t.Fatalf("no record of %s: %v", key, err)
	}
	return last.Actor, last.Cause
}

// expire writes until the rings of every client have dropped what was before it.
func (s *served) expire(t *testing.T) {
	t.Helper()
	writer := start(t, config(t, s.Server, "filler", auth.Masters))
	large := configMap("filler")
	if _, err := writer.Create(t.Context(), configMaps, large, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	views := slices.Clone(s.views)
	s.mu.Unlock()
	for _, c := range views {
		before, err := c.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at := before.Revision()
		for i := byte(0); ; i++ {
			if _, err := c.Watch(t.Context(), configMaps, at, "", ""); client.IsExpired(err) {
				break
			}
			view, err := c.View(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			next, err := c.Watch(t.Context(), configMaps, view.Revision(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			large.BinaryData = map[string][]byte{"k": bytes.Repeat([]byte{i}, smallRings/8)}
			if _, err := writer.Update(t.Context(), configMaps, large, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := next.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestViewsPanicBeyondWhatWasDeclared: a component that reads what its client was not made for is wrong, not unlucky.
func TestViewsPanicBeyondWhatWasDeclared(t *testing.T) {
	s := serve(t)
	cfg := config(t, s.Server, "admin", auth.Masters)
	cfg.Views = remote.Everything(configMaps)
	c := start(t, cfg)
	view, err := c.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(){
		"made for":      func() { view.List(pods, "") },
		"no such index": func() { view.Lookup(configMaps, "spec.nodeName", "one") },
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, name) {
					t.Errorf("%s: panics with %q", name, text)
				}
			}()
			read()
		}()
	}
	if _, err := c.Watch(t.Context(), pods, view.Revision(), "", ""); err == nil {
		t.Error("what the client was not made for is watched")
	}
}

// TestSelections: what begins to match is created, and what ceases to is deleted.
func TestSelections(t *testing.T) {
	s := serve(t)
	cfg := config(t, s.Server, "admin", auth.Masters)
	cfg.Views = []remote.Selection{{Resource: pods, Fields: "spec.nodeName=one"}, {Resource: configMaps, Namespace: "default", Labels: "a=b"}}
	c := start(t, cfg)
	ctx := t.Context()
	view, err := c.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Watch(ctx, configMaps, view.Revision(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	m := configMap("m")
	var wrote []string
	for _, labels := range []map[string]string{nil, {"a": "b"}, {"a": "b", "c": "d"}, {"a": "c"}} {
		m.Labels = labels
		out, err := c.Create(ctx, configMaps, m, metav1.CreateOptions{})
		if err != nil {
			out, err = c.Update(ctx, configMaps, m, "")
		}
		if err != nil {
			t.Fatal(err)
		}
		wrote = append(wrote, out.GetResourceVersion())
	}
	for i, want := range []string{"created", "changed", "deleted"} {
		change, err := stream.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got := "changed"
		if change.Old == nil {
			got = "created"
		} else if change.New == nil {
			got = "deleted"
		}
		if rev := wrote[i+1]; got != want || rev != version(change.Revision) {
			t.Errorf("change %d: %s at %d, want %s at %s", i, got, change.Revision, want, rev)
		}
	}
	if view, err = c.View(ctx); err != nil || view.Get(configMaps, "default", "m") != nil {
		t.Errorf("a view shows what is not selected (%v)", err)
	}
}

// TestNewRefuses what no server could give.
func TestNewRefuses(t *testing.T) {
	s := serve(t)
	for says, views := range map[string][]remote.Selection{
		"declared twice":      remote.Everything(pods, pods),
		"there is no such":    remote.Everything(client.Resource{Group: "example.com", Version: "v1", Resource: "things"}),
		"the kind has none":   {{Resource: corev1.SchemeGroupVersion.WithResource("nodes"), Namespace: "default"}},
		"labels \"a in b\"":   {{Resource: pods, Labels: "a in b"}},
		"fields \"nonsense\"": {{Resource: pods, Fields: "nonsense"}},
	} {
		cfg := config(t, s.Server, "admin", auth.Masters)
		cfg.Views = views
		if _, err := remote.New(cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %s", err, says)
		}
	}
}

// TestViewTellsWhyItWaits: who waits for a first load that never comes hears what the server said.
func TestViewTellsWhyItWaits(t *testing.T) {
	s := serve(t)
	cfg := config(t, s.Server, "system:kube-scheduler")
	cfg.Views = remote.Everything(configMaps)
	c := start(t, cfg)
	for c.Err() == nil { // nothing else says that the first attempt has failed
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	_, err := c.View(ctx)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), `User "system:kube-scheduler" cannot watch resource "configmaps"`) {
		t.Errorf("got %v", err)
	}
}

func version(rev uint64) string { return strconv.FormatUint(rev, 10) }
