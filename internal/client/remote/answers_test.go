package remote_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/client"
)

// TestWritesAreSentOnce: a write whose answer is lost says so, and one that cannot have arrived says that.
func TestWritesAreSentOnce(t *testing.T) {
	var got atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && got.Add(1) == 1 { // a connection that has been used is what transports try again on
			_, _ = io.ReadAll(r.Body)
			http.Error(w, "later", http.StatusTooManyRequests)
			return
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	c := start(t, config(t, server, "admin"))
	write := func() error {
		_, err := c.Create(t.Context(), configMaps, configMap("a"), metav1.CreateOptions{})
		return err
	}
	if err := write(); !apierrors.IsTooManyRequests(err) {
		t.Errorf("refused: %v", err)
	}
	if err := write(); !apierrors.IsTimeout(err) || !strings.Contains(err.Error(), "the outcome is unknown") {
		t.Errorf("an answer that is lost: %v", err)
	}
	if n := got.Load(); n != 2 {
		t.Errorf("two writes arrived %d times", n)
	}
	server.Close()
	if err := write(); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("a server that is not there: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := c.Get(ended, configMaps, "default", "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
}

// TestAnswersThatMakeNoSense are errors, whatever they hold.
func TestAnswersThatMakeNoSense(t *testing.T) {
	envelope, err := api.Envelope(corev1.SchemeGroupVersion.WithKind("Secret"), 0, func([]byte) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		media, body string
		code        int
		says        string
	}{
		{"text/plain", "404 page not found", 404, "the server could not find the requested resource (get configmaps a)"},
		{"text/html", "<html>", 502, "an error on the server (\"<html>\") has prevented the request from succeeding (get configmaps a)"},
		{"application/vnd.kubernetes.protobuf", "k8s\x00\xff", 500, "an error on the server (\"unknown\") has prevented the request from succeeding (get configmaps a)"},
		{"text/html", "<html>", 200, `Internal error occurred: GET /api/v1/namespaces/default/configmaps/a: the server answers in "text/html"`},
		{"application/vnd.kubernetes.protobuf", "", 200, "0 bytes that are no object in protobuf"},
		{"application/vnd.kubernetes.protobuf", "k8s\x00\xff", 200, "a damaged envelope"},
		{"application/vnd.kubernetes.protobuf", string(envelope), 200, "the server answers with a Secret of v1"},
		{"", "", 307, "the server responded with the status code 307"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.media)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.code)
			_, _ = io.WriteString(w, c.body)
		}))
		client := start(t, config(t, server, "admin"))
		if _, err := client.Get(t.Context(), configMaps, "default", "a"); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%d %q %q: got %v, want %s", c.code, c.media, c.body, err, c.says)
		}
		server.Close()
	}
}

// TestNamesThatAreNoNames never reach the server, where they would mean something else.
func TestNamesThatAreNoNames(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s was sent", r.Method, r.URL) }))
	t.Cleanup(server.Close)
	c := start(t, config(t, server, "admin"))
	for _, name := range []string{"", ".", "..", "a/b", "a%2fb"} {
		if _, err := c.Delete(t.Context(), configMaps, "default", name, metav1.DeleteOptions{}); !apierrors.IsBadRequest(err) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	if _, err := c.Get(t.Context(), configMaps, "", "a"); !apierrors.IsBadRequest(err) {
		t.Errorf("without a namespace: %v", err)
	}
	_, err := c.Get(t.Context(), client.Resource{Group: "example.com", Version: "v1", Resource: "things"}, "default", "a")
	if !apierrors.IsNotFound(err) {
		t.Errorf("a kind that is not known: %v", err)
	}
}
