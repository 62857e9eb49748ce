package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"slices"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/auth"
)

// signed makes a certificate that lasts from start; one without an issuer signs itself, and may sign others.
func signed(t *testing.T, name string, start time.Time, lasts time.Duration, issuer *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"team"}}, NotBefore: start, NotAfter: start.Add(lasts),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true, IsCA: issuer == nil,
	}
	if issuer == nil {
		issuer, by, template.ExtKeyUsage = template, key, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func TestCertificates(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	authority, key := signed(t, "authority", start, 2*time.Hour, nil, nil)
	leaf, _ := signed(t, "jane", start, time.Hour, authority, key)
	lasting, _ := signed(t, "long", start, 100*time.Hour, authority, key)
	nameless, _ := signed(t, "", start, time.Hour, authority, key)
	other, otherKey := signed(t, "authority", start, time.Hour, nil, nil)
	foreign, _ := signed(t, "jane", start, time.Hour, other, otherKey)
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	clock := clocktesting.NewFakePassiveClock(start)
	authenticate := auth.Certificates(auth.NewVerifier(func() *x509.CertPool { return pool }), clock, nil)
	for _, test := range []struct {
		what string
		at   time.Duration
		sent []*x509.Certificate
		good bool
	}{
		{"too early", -time.Second, []*x509.Certificate{leaf}, false},
		{"valid", 0, []*x509.Certificate{leaf}, true},
		{"remembered", time.Minute, []*x509.Certificate{leaf}, true},
		{"remembered, too early", -time.Second, []*x509.Certificate{leaf}, false},
		{"remembered, at its last second", time.Hour, []*x509.Certificate{leaf}, true},
		{"remembered, too late", time.Hour + time.Second, []*x509.Certificate{leaf}, false},
		{"outlives its authority", time.Hour, []*x509.Certificate{lasting}, true},
		{"remembered, and the authority has ended", 3 * time.Hour, []*x509.Certificate{lasting}, false},
		{"another authority of the name", time.Minute, []*x509.Certificate{foreign}, false},
		{"the same behind what is good", time.Minute, []*x509.Certificate{leaf, foreign}, true},
		{"in front of what is good", time.Minute, []*x509.Certificate{foreign, leaf}, false},
		{"without a name", time.Minute, []*x509.Certificate{nameless}, false},
	} {
		clock.SetTime(start.Add(test.at))
		user, ok, err := authenticate(&http.Request{TLS: &tls.ConnectionState{PeerCertificates: test.sent}})
		if ok != test.good || ok != (err == nil) && test.what != "without a name" {
			t.Errorf("%s: %v, %v, %v", test.what, user, ok, err)
		}
		if ok && (user.Name != test.sent[0].Subject.CommonName || !slices.Equal(user.Groups, []string{"team", auth.Authenticated})) {
			t.Errorf("%s: %v", test.what, user)
		}
	}
}

// Each request is authenticated: what makes a request dear must not be that.
func TestCertificatesAreVerifiedOnce(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	authority, key := signed(t, "authority", start, time.Hour, nil, nil)
	leaf, _ := signed(t, "jane", start, time.Hour, authority, key)
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	authenticate := auth.Certificates(auth.NewVerifier(func() *x509.CertPool { return pool }), clocktesting.NewFakePassiveClock(start), auth.NewMetrics())
	r := &http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}}
	got := testing.AllocsPerRun(100, func() {
		if _, ok, err := authenticate(r); !ok {
			t.Fatal(err)
		}
	})
	if got > 2 { // its groups
		t.Errorf("%v allocations a request", got)
	}
}
