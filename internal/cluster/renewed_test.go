package cluster

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/pki"
)

// TestCertificateIsRenewed while a server runs: new connections see the new one, and one that is open, such as a watch's, goes on.
func TestCertificateIsRenewed(t *testing.T) {
	now := clocktesting.NewFakeClock(time.Now())
	authority, err := pki.Open(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{authority: authority, own: &ownCertificates{clock: now}, Environment: Environment{Clock: now, Log: observe.Discard()}}
	own, err := s.renewer("api", func() (pki.Identity, error) { return authority.Server("api", []string{"example.com"}, nil) })
	if err != nil {
		t.Fatal(err)
	}
	var serving Serving
	config, err := serving.tls(own.Certificate, observe.Discard())
	if err != nil {
		t.Fatal(err)
	}
	more := make(chan struct{})
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-more
		_, _ = io.WriteString(w, "an event") // the client sees when it does not come
	}))
	api.Listener = tls.NewListener(api.Listener, config)
	api.Start()
	defer api.Close()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), ServerName: "example.com"}, DisableKeepAlives: true}}
	watch, err := client.Get("https://" + api.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Body.Close()
	now.Step(300 * 24 * time.Hour)
	conn, err := tls.Dial("tcp", api.Listener.Addr().String(), &tls.Config{RootCAs: authority.Pool(), ServerName: "example.com", Time: now.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if was, is := watch.TLS.PeerCertificates[0], conn.ConnectionState().PeerCertificates[0]; is.Equal(was) || !is.NotAfter.After(was.NotAfter) {
		t.Errorf("the certificate until %v was not renewed: %v", was.NotAfter, is.NotAfter)
	}
	close(more)
	if data, err := io.ReadAll(watch.Body); err != nil || string(data) != "an event" {
		t.Errorf("the open connection: %q, %v", data, err)
	}
	if left := testutil.ToFloat64(s.own); left < 300*24*3600 {
		t.Errorf("%v seconds are left", left)
	}
}
