package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// maxVerified bounds what is remembered: some 500 bytes for each certificate, and there are only those that the authority has signed.
const maxVerified = 16_384

// Verifier verifies clients' certificates, and remembers those that were good for as long as all of their chain is valid. A connection carries
// thousands of requests, each of which is authenticated, and verifying a signature takes longer than all else of a small request.
//
// It is safe for concurrent use. What it remembers never depends on more than is in the key and the authorities, and is forgotten when those change.
type Verifier struct {
	authorities func() *x509.CertPool

	mu   sync.RWMutex
	of   *x509.CertPool                 // guarded by mu: whose good are
	good map[[sha256.Size]byte]verified // guarded by mu: by all certificates that the client sent, in their order
}

// verified is when all certificates of a chain are valid, both ends included, and whose it is.
type verified struct {
	from, until time.Time
	user        User // without a name: nobody's
}

// NewVerifier returns a verifier by the authorities that a function names each time; another pool than before means that they have changed.
func NewVerifier(authorities func() *x509.CertPool) *Verifier {
	return &Verifier{authorities: authorities, good: map[[sha256.Size]byte]verified{}}
}

// Check returns why the first of the certificates, which the client has proved to hold, is none of the authorities' at a time; the others may
// stand between.
func (v *Verifier) Check(sent []*x509.Certificate, now time.Time) error {
	_, err := v.check(sent, now)
	return err
}

func (v *Verifier) check(sent []*x509.Certificate, now time.Time) (verified, error) {
	key, authorities := fingerprint(sent), v.authorities()
	v.mu.RLock()
	known, ok := v.good[key]
	ok = ok && v.of == authorities
	v.mu.RUnlock()
	if ok && !now.Before(known.from) && !now.After(known.until) {
		return known, nil
	}
	between := x509.NewCertPool()
	for _, c := range sent[1:] {
		between.AddCert(c)
	}
	chains, err := sent[0].Verify(x509.VerifyOptions{
		Roots: authorities, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return verified{}, fmt.Errorf("verifying certificate %s failed: %w", identifier(sent[0]), err)
	}
	known = validityOf(chains[0])
	if known.user, err = userOf(sent[0]); err != nil {
		return verified{}, err
	}
	v.keep(key, known, authorities)
	return known, nil
}

// identifier names a certificate as upstream's errors do.
func identifier(c *x509.Certificate) string {
	hexed := func(id []byte) string { return strings.ReplaceAll(fmt.Sprintf("% X", id), " ", ":") }
	return fmt.Sprintf("SN=%d, SKID=%s, AKID=%s", c.SerialNumber, hexed(c.SubjectKeyId), hexed(c.AuthorityKeyId))
}

// uidAttribute is the attribute of a subject that holds a user's UID.
var uidAttribute = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57683, 2}

// userOf is who a certificate is of: the common name is the user, each organization a group (RFC 5280 section 4.1.2.6, as Kubernetes reads it).
func userOf(c *x509.Certificate) (User, error) {
	user := User{Name: c.Subject.CommonName, Groups: append(slices.Clone(c.Subject.Organization), Authenticated)}
	var uids []string
	for _, name := range c.Subject.Names {
		if !name.Type.Equal(uidAttribute) {
			continue
		}
		uid, ok := name.Value.(string)
		if !ok {
			return User{}, errors.New("unable to parse UID into a string")
		}
		uids = append(uids, uid)
	}
	switch {
	case len(uids) > 1:
		return User{}, fmt.Errorf("expected 1 UID, but found multiple: %v", uids)
	case len(uids) == 1 && uids[0] == "":
		return User{}, errors.New("UID cannot be an empty string")
	case len(uids) == 1:
		user.UID = uids[0]
	}
	sum := sha256.Sum256(c.Raw)
	user.Extra = map[string][]string{CredentialID: {"X509SHA256=" + hex.EncodeToString(sum[:])}}
	return user, nil
}

// Certificates authenticates by a client certificate that known verifies. One without a common name says nothing of who holds it.
func Certificates(known *Verifier, now clock.PassiveClock, m *Metrics) Authenticator {
	return func(r *http.Request) (User, bool, error) {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
			return User{}, false, nil
		}
		at := now.Now()
		m.certificate(r.TLS.PeerCertificates[0].NotAfter.Sub(at))
		found, err := known.check(r.TLS.PeerCertificates, at)
		if err != nil || found.user.Name == "" {
			return User{}, false, err
		}
		return found.user, true, nil
	}
}

func (v *Verifier) keep(key [sha256.Size]byte, known verified, authorities *x509.CertPool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.of != authorities || len(v.good) >= maxVerified {
		clear(v.good) // those in use come back with their next request
	}
	v.of, v.good[key] = authorities, known
}

func validityOf(chain []*x509.Certificate) verified {
	window := verified{from: chain[0].NotBefore, until: chain[0].NotAfter}
	for _, c := range chain[1:] {
		if c.NotBefore.After(window.from) {
			window.from = c.NotBefore
		}
		if c.NotAfter.Before(window.until) {
			window.until = c.NotAfter
		}
	}
	return window
}

// fingerprint is one for all certificates together. Each says itself how long it is, so that no two lists are written alike.
func fingerprint(sent []*x509.Certificate) (key [sha256.Size]byte) {
	if len(sent) == 1 {
		return sha256.Sum256(sent[0].Raw)
	}
	h := sha256.New()
	for _, c := range sent {
		h.Write(c.Raw)
	}
	h.Sum(key[:0])
	return key
}
