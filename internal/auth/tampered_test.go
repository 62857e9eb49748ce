package auth_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/auth"
)

// TestTamperedCertificates changes each byte of a good certificate that is known already: none of what comes of it names a user. What stands outside of the
// signed part and is no signature does not parse, so that two certificates of the same words cannot be told apart by what nobody signed.
func TestTamperedCertificates(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	authority, key := signed(t, "authority", start, time.Hour, nil, nil)
	leaf, _ := signed(t, "jane", start, time.Hour, authority, key)
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	authenticate := auth.Certificates(auth.NewVerifier(func() *x509.CertPool { return pool }), clocktesting.NewFakePassiveClock(start.Add(time.Minute)), nil)
	known := func(sent *x509.Certificate) bool {
		_, ok, _ := authenticate(&http.Request{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{sent}}})
		return ok
	}
	if !known(leaf) {
		t.Fatal("the certificate as it was made is not taken")
	}
	parsed := 0
	for i := range leaf.Raw {
		for _, bit := range []byte{1, 0x80} {
			raw := bytes.Clone(leaf.Raw)
			raw[i] ^= bit
			forged, err := x509.ParseCertificate(raw)
			if err != nil {
				continue
			}
			if parsed++; known(forged) {
				t.Errorf("byte %d changed by %#x: taken as %q", i, bit, forged.Subject)
			}
		}
	}
	if parsed < len(leaf.Raw)/4 {
		t.Errorf("only %d of the changed certificates could be read; the test tests nothing", parsed)
	}
}
