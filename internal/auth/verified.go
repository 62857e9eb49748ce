package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"
)

// maxVerified bounds what is remembered: some 100 bytes for each certificate, and there are only those that the authority has signed.
const maxVerified = 16_384

// verified verifies clients' certificates, and remembers those that were good for as long as all of their chain is valid. A connection carries
// thousands of requests, each of which is authenticated, and verifying a signature takes longer than all else of a small request.
//
// It is safe for concurrent use. What it remembers never depends on more than is in the key: the authorities and the wanted use do not change.
type verified struct {
	authorities *x509.CertPool

	mu   sync.RWMutex
	good map[[sha256.Size]byte]validity // by all certificates that the client sent, in their order
}

// validity is when all certificates of a chain are valid, both ends included.
type validity struct{ from, until time.Time }

// check returns why the first of the certificates, which the client has proved to hold, is none of the authorities' at a time; the others may
// stand between.
func (v *verified) check(sent []*x509.Certificate, now time.Time) error {
	key := fingerprint(sent)
	v.mu.RLock()
	known, ok := v.good[key]
	v.mu.RUnlock()
	if ok && !now.Before(known.from) && !now.After(known.until) {
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range sent[1:] {
		between.AddCert(c)
	}
	chains, err := sent[0].Verify(x509.VerifyOptions{
		Roots: v.authorities, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return err
	}
	v.keep(key, validityOf(chains[0]))
	return nil
}

func (v *verified) keep(key [sha256.Size]byte, window validity) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.good) >= maxVerified {
		clear(v.good) // those in use come back with their next request
	}
	v.good[key] = window
}

func validityOf(chain []*x509.Certificate) validity {
	window := validity{chain[0].NotBefore, chain[0].NotAfter}
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
