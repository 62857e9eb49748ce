package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/pki"
)

// writePair writes a certificate for names and 127.0.0.1, of an authority of its own, and returns the files as --tls-sni-cert-key has them.
func writePair(t *testing.T, dir, common string, names ...string) (certFile, keyFile string) {
	t.Helper()
	authority, err := pki.Open(t.TempDir(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := authority.Server(common, names, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, common+".crt"), filepath.Join(dir, common+".key")
	for file, data := range map[string][]byte{certFile: id.CertPEM, keyFile: id.KeyPEM} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// shake makes a connection as a client that asks for a name.
func shake(t *testing.T, config *tls.Config, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.(*tls.Conn).HandshakeContext(t.Context()) // the client tells
	}()
	defer func() { <-served }()
	client.InsecureSkipVerify = true //nolint:gosec // the test looks at what it gets
	conn, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.ConnectionState(), nil
}

func ownPair(t *testing.T) func() *tls.Certificate {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(writePair(t, t.TempDir(), "own"))
	if err != nil {
		t.Fatal(err)
	}
	return func() *tls.Certificate { return &cert }
}

// TestCertificateByName: each client gets the certificate that kube-apiserver would show it.
func TestCertificateByName(t *testing.T) {
	dir := t.TempDir()
	sni := func(common, given string, names ...string) string {
		certFile, keyFile := writePair(t, dir, common, names...)
		return certFile + "," + keyFile + given
	}
	v := Serving{TLSSNICertKeys: []string{
		sni("first", "", "a.example.com", "*.example.org"), sni("second", "", "a.example.com", "b.example.com"), sni("third", ":B.example.com,127.0.0.1"), sni("c.example.org", ""),
	}}
	v.TLSCertFile, v.TLSPrivateKeyFile = writePair(t, dir, "main")
	config, err := v.tls(ownPair(t), observe.Discard())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a.example.com": "first", "A.EXAMPLE.COM.": "first", "x.example.org": "first", "b.example.com": "third", "": "third", "c.example.org": "c.example.org",
		"x.y.example.org": "main", "elsewhere": "main", ownName: "own",
	} {
		got, err := shake(t, config, &tls.Config{ServerName: name})
		if err != nil || got.PeerCertificates[0].Subject.CommonName != want {
			t.Errorf("%q: got %v, %v, want %s", name, got.PeerCertificates, err, want)
		}
	}
}

// TestCertificateIsReadAgain: new files are served without a restart; until both are there, the old ones are.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	var v Serving
	v.TLSCertFile, v.TLSPrivateKeyFile = writePair(t, dir, "main")
	config, err := v.tls(ownPair(t), observe.Discard())
	if err != nil {
		t.Fatal(err)
	}
	look := func(when string, serial string) string {
		t.Helper()
		got, err := shake(t, config, &tls.Config{ServerName: "x"})
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		now := got.PeerCertificates[0].SerialNumber.String()
		if serial != "" && now != serial {
			t.Errorf("%s: certificate %s, want %s", when, now, serial)
		}
		return now
	}
	old := look("at first", "")
	newCert, newKey := writePair(t, t.TempDir(), "main")
	move := func(from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(to, time.Time{}, time.Now().Add(time.Hour)); err != nil { // which a coarse clock may not tell from before
			t.Fatal(err)
		}
	}
	move(newCert, v.TLSCertFile)
	look("with a key of another", old)
	move(newKey, v.TLSPrivateKeyFile)
	if look("with both", "") == old {
		t.Error("with both: the old certificate")
	}
	if err := os.Remove(v.TLSCertFile); err != nil {
		t.Fatal(err)
	}
	look("with none", "")
}

// TestTLSIsAsItIsSaid: versions, suites, key exchanges and protocols are those that were asked for.
func TestTLSIsAsItIsSaid(t *testing.T) {
	const suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
	both := []string{"h2", "http/1.1"}
	for _, c := range []struct {
		name   string
		v      Serving
		client *tls.Config
		ok     func(tls.ConnectionState) bool // nil: there is no connection
	}{
		{"HTTP/2 first", Serving{}, &tls.Config{NextProtos: both}, func(s tls.ConnectionState) bool { return s.NegotiatedProtocol == "h2" }},
		{"no HTTP/2", Serving{DisableHTTP2Serving: true}, &tls.Config{NextProtos: both}, func(s tls.ConnectionState) bool { return s.NegotiatedProtocol == "http/1.1" }},
		{"1.2", Serving{}, &tls.Config{MaxVersion: tls.VersionTLS12}, func(s tls.ConnectionState) bool { return s.Version == tls.VersionTLS12 }},
		{"1.2 is too old", Serving{TLSMinVersion: "VersionTLS13"}, &tls.Config{MaxVersion: tls.VersionTLS12}, nil},
		{"1.1 is too old", Serving{}, &tls.Config{MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}, nil},
		{"suite", Serving{TLSCipherSuites: []string{suite}}, &tls.Config{MaxVersion: tls.VersionTLS12}, func(s tls.ConnectionState) bool { return tls.CipherSuiteName(s.CipherSuite) == suite }},
		{"exchange", Serving{TLSCurvePreferences: []int32{int32(tls.CurveP384)}}, &tls.Config{}, func(s tls.ConnectionState) bool { return s.CurveID == tls.CurveP384 }},
		{"no exchange", Serving{TLSCurvePreferences: []int32{int32(tls.CurveP384)}}, &tls.Config{CurvePreferences: []tls.CurveID{tls.X25519}}, nil},
	} {
		config, err := c.v.tls(ownPair(t), observe.Discard())
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got, err := shake(t, config, c.client); c.ok == nil && err == nil || c.ok != nil && (err != nil || !c.ok(got)) {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		}
	}
}

func TestServingIsChecked(t *testing.T) {
	for want, v := range map[string]Serving{
		`serving: tlsCertFile "a" and tlsPrivateKeyFile "": must be given together`:   {TLSCertFile: "a"},
		`serving.tlsCipherSuites: SUNSHINE: Cipher suite SUNSHINE not supported`:      {TLSCipherSuites: []string{"SUNSHINE"}},
		`serving.tlsMinVersion: "1.2": unknown tls version "1.2"; must be one of Ver`: {TLSMinVersion: "1.2"},
		`serving.tlsSNICertKeys: "a": expected comma separated certificate and key`:   {TLSSNICertKeys: []string{"a"}},
		`serving.tlsCurvePreferences: [-1]`:                                           {TLSCurvePreferences: []int32{-1}},
	} {
		cfg := DefaultConfig()
		cfg.Node.Name, cfg.Serving = "one", v
		if err := cfg.Complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	v := Serving{TLSCertFile: filepath.Join(t.TempDir(), "none"), TLSPrivateKeyFile: "none"}
	if _, err := v.tls(ownPair(t), observe.Discard()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "serving.tlsCertFile") {
		t.Errorf("files that are not there: %v", err)
	}
}

// TestForeignCertificate: where the API shows a certificate that the cluster's authority knows nothing of, the administrator still has a way in.
func TestForeignCertificate(t *testing.T) {
	c := &servedCluster{env: alone(filepath.Join(t.TempDir(), "data"))}
	serving := &c.env.Config.Serving
	serving.TLSCertFile, serving.TLSPrivateKeyFile = writePair(t, t.TempDir(), "theirs", "api.example.com")
	c.start(t)
	defer c.stop()
	client, err := kubernetes.NewForConfig(c.config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := History(t.Context(), c.env.Config.DataDir, "/registry/namespaces/default"); err != nil {
		t.Error(err)
	}
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(serving.TLSCertFile)
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(c.config.Host, "https://"), &tls.Config{RootCAs: pool, ServerName: "api.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// TestSharedPort: two servers listen on one port only if both are told to.
func TestSharedPort(t *testing.T) {
	for _, shared := range []bool{true, false} {
		v := Serving{PermitPortSharing: shared, PermitAddressSharing: true}
		config := net.ListenConfig{Control: v.socket}
		first, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		second, err := config.Listen(t.Context(), "tcp", first.Addr().String())
		if err == nil {
			second.Close()
		}
		if (err == nil) != shared {
			t.Errorf("shared %t: %v", shared, err)
		}
	}
}
