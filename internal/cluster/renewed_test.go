package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

// TestKubeconfigIsRenewed: the files get a new certificate long before the old one ends, and again where that failed.
func TestKubeconfigIsRenewed(t *testing.T) {
	dir := t.TempDir()
	now := clocktesting.NewFakeClock(time.Now())
	authority, err := pki.Open(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	copied := filepath.Join(dir, "copies", "config")
	if err := os.Mkdir(filepath.Dir(copied), 0o700); err != nil {
		t.Fatal(err)
	}
	s := &server{
		authority: authority, own: &ownCertificates{clock: now}, dir: &dataDir{path: dir}, listener: listener,
		Environment: Environment{Clock: now, Log: observe.Discard(), Config: Config{WriteKubeconfig: copied}},
	}
	ways, err := s.writeKubeconfigs()
	if err != nil {
		t.Fatal(err)
	}
	holder := func(file string) *x509.Certificate {
		t.Helper()
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, config, err := pki.ReadKubeconfig(data)
		if err != nil {
			t.Fatal(err)
		}
		return config.Certificates[0].Leaf
	}
	first := holder(copied)
	if u := first.Subject; u.CommonName != "kubernetes-admin" || len(u.Organization) != 1 || u.Organization[0] != "system:masters" {
		t.Errorf("the file is %v's", u)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.keepKubeconfigs(ways)(ctx) }()
	renewed := func(what, file string, want bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); want && holder(file).Equal(first) && time.Now().Before(deadline); {
			now.Step(kubeconfigEvery)
		}
		if got := !holder(file).Equal(first); got != want {
			t.Errorf("%s: %s renewed: %t, want %t", what, file, got, want)
		}
	}
	if err := os.Rename(filepath.Dir(copied), filepath.Dir(copied)+"-away"); err != nil {
		t.Fatal(err)
	}
	away := filepath.Join(dir, "copies-away", "config")
	now.Step(300 * 24 * time.Hour)
	renewed("a copy that cannot be written", s.dir.join(adminKubeconfig), true)
	renewed("a copy that cannot be written", away, false)
	if err := os.Rename(filepath.Dir(away), filepath.Dir(copied)); err != nil {
		t.Fatal(err)
	}
	renewed("a copy that can be written again", copied, true)
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if left := testutil.ToFloat64(s.own); left < 300*24*3600 {
		t.Errorf("%v seconds are left", left)
	}
}

// TestFrontProxyIsRenewed: what other servers are shown is another certificate in time.
func TestFrontProxyIsRenewed(t *testing.T) {
	now := clocktesting.NewFakeClock(time.Now())
	s := &server{own: &ownCertificates{clock: now}, dir: &dataDir{path: t.TempDir()}, Environment: Environment{Clock: now, Log: observe.Discard()}}
	identity, _, err := s.frontProxy()
	if err != nil {
		t.Fatal(err)
	}
	first, again := must(identity())(t), must(identity())(t)
	now.Step(300 * 24 * time.Hour)
	next := must(identity())(t)
	if first != again || next == first || !next.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Errorf("until %v, then %v; want the same at first and another after 300 days", first.Leaf.NotAfter, next.Leaf.NotAfter)
	}
	if left := testutil.ToFloat64(s.own); left < 300*24*3600 {
		t.Errorf("%v seconds are left", left)
	}
}
