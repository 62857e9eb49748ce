package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"
)

var start = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

func leaf(t *testing.T, id Identity) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(id.CertPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestAuthorityIsKeptAndSigns(t *testing.T) {
	dir, clk := filepath.Join(t.TempDir(), "pki"), testclock.NewFakePassiveClock(start)
	first, err := Open(dir, clk)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Open(dir, clk)
	if err != nil {
		t.Fatal(err)
	}
	if string(first.CertPEM()) != string(second.CertPEM()) {
		t.Fatal("the second start made another authority")
	}
	info, err := os.Stat(filepath.Join(dir, "ca.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ca.key: mode %v, error %v, want 0600", info.Mode(), err)
	}

	admin, err := first.Client("kubernetes-admin", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	cert := leaf(t, admin)
	opts := x509.VerifyOptions{Roots: second.Pool(), CurrentTime: start, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(opts); err != nil {
		t.Errorf("client certificate: %v", err)
	}
	if cert.Subject.CommonName != "kubernetes-admin" || cert.Subject.Organization[0] != "system:masters" {
		t.Errorf("client certificate: subject %v", cert.Subject)
	}
	opts.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if _, err := cert.Verify(opts); err == nil {
		t.Error("a client certificate passed for a server's")
	}

	server, err := first.Server("floe", []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := leaf(t, server).VerifyHostname("127.0.0.1"); err != nil {
		t.Error(err)
	}
	if _, err := server.TLS(); err != nil {
		t.Error(err)
	}
}

func TestBadAuthorityStopsTheStart(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(dir string) error
		want   string
		at     time.Time
	}{
		{"no key", func(dir string) error { return os.Remove(filepath.Join(dir, "ca.key")) }, "ca.key", start},
		{"no certificate", func(dir string) error { return os.Remove(filepath.Join(dir, "ca.crt")) }, "ca.crt", start},
		{"truncated", func(dir string) error { return os.Truncate(filepath.Join(dir, "ca.crt"), 100) }, "ca.crt", start},
		{"expired", func(string) error { return nil }, "expired on", start.Add(11 * 365 * 24 * time.Hour)},
		{"clock is behind", func(string) error { return nil }, "clock", start.Add(-time.Hour)},
	} {
		dir := t.TempDir()
		if _, err := Open(dir, testclock.NewFakePassiveClock(start)); err != nil {
			t.Fatal(err)
		}
		if err := c.damage(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, testclock.NewFakePassiveClock(c.at)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error with %q", c.name, err, c.want)
		}
	}
}

func TestKubeconfigHoldsTheIdentity(t *testing.T) {
	a, err := Open(t.TempDir(), testclock.NewFakePassiveClock(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.Client("kubernetes-admin", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	data, err := Kubeconfig("floe", "https://127.0.0.1:6443", "floe.internal", a.CertPEM(), id)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Users []struct {
			User struct {
				Cert []byte `json:"client-certificate-data"`
				Key  []byte `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
		CurrentContext string `json:"current-context"`
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if file.CurrentContext != "floe" || len(file.Users) != 1 {
		t.Fatalf("kubeconfig:\n%s", data)
	}
	if _, err := tls.X509KeyPair(file.Users[0].User.Cert, file.Users[0].User.Key); err != nil {
		t.Error(err)
	}
}

// TestFrontProxyAuthority: who this server is to others is said by another authority than who users are.
func TestFrontProxyAuthority(t *testing.T) {
	dir, clk := filepath.Join(t.TempDir(), "pki"), testclock.NewFakePassiveClock(start)
	own, err := Open(dir, clk)
	if err != nil {
		t.Fatal(err)
	}
	front, err := OpenFrontProxy(dir, clk)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenFrontProxy(dir, clk)
	if err != nil || string(again.CertPEM()) != string(front.CertPEM()) {
		t.Errorf("the second start made another authority, or none: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "front-proxy-ca.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("front-proxy-ca.key: %v, error %v, want 0600", info, err)
	}
	id, err := front.Client("front-proxy-client")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf(t, id).Verify(x509.VerifyOptions{Roots: own.Pool(), CurrentTime: start, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("the cluster's authority vouches for it")
	}
}
