package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/pki"
)

// TestNodeDoorIsTheServers: what a node does for the API server it does for nobody else, whatever certificate they show; everybody may know that it lives.
func TestNodeDoorIsTheServers(t *testing.T) {
	own, _ := trusted(t)
	strangers, _ := trusted(t)
	door, err := newNodeDoor(own, func(name string, make func() (pki.Identity, error)) (*pki.Renewed, error) {
		return pki.NewRenewed(name, make, clock.RealClock{}, slog.New(slog.DiscardHandler))
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve, err := door.open("one", listener, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "done") }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	ask := func(transport http.RoundTripper, path string) int {
		to, _, err := door.dial(ctx, "one")
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.JoinPath(path).String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return 0
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	if got := ask(door.transport, "/exec/default/web/c"); got != http.StatusOK {
		t.Errorf("the API server: %d", got)
	}
	if _, _, err := door.dial(ctx, "two"); err == nil {
		t.Error("another node has this one's door")
	}
	for name, c := range map[string]struct {
		cert *tls.Certificate
		want int // 0: no connection
	}{
		"nobody": {nil, http.StatusUnauthorized}, "a user": {identity(t, own, "jane", "ops"), http.StatusForbidden},
		"a node": {identity(t, own, "system:node:two", "system:nodes"), http.StatusForbidden}, "a stranger": {identity(t, strangers, "kube-apiserver-kubelet-client", "system:masters"), 0},
	} {
		config := &tls.Config{RootCAs: own.Pool()}
		if c.cert != nil {
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.cert, nil }
		}
		transport := &http.Transport{TLSClientConfig: config}
		if got := ask(transport, "/exec/default/web/c"); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if got := ask(transport, "/healthz"); c.want != 0 && got != http.StatusOK {
			t.Errorf("%s: the life of the node: %d", name, got)
		}
		transport.CloseIdleConnections()
	}
}
