package pki

import (
	"crypto/tls"
	"log/slog"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// renewRetry is how long after a failure a new certificate is tried again.
const renewRetry = time.Minute

// Renewed is an identity that is made anew when two thirds of its life are over: by whoever asks for it then, so that nothing runs for it. Connections that
// are open go on with the certificate that they began with. It is safe for concurrent use.
type Renewed struct {
	name  string
	make  func() (Identity, error)
	clock clock.PassiveClock
	log   *slog.Logger
	now   atomic.Pointer[held]
	next  atomic.Int64 // when it is made anew, in nanoseconds; whoever moves it makes it
}

// held is one identity in both of its forms.
type held struct {
	cert tls.Certificate
	id   Identity
}

// NewRenewed makes the first identity. name says whose it is, for the log.
func NewRenewed(name string, make func() (Identity, error), clk clock.PassiveClock, log *slog.Logger) (*Renewed, error) {
	r := &Renewed{name: name, make: make, clock: clk, log: log}
	return r, r.renew()
}

func (r *Renewed) renew() error {
	id, err := r.make()
	if err != nil {
		return err
	}
	cert, err := id.TLS()
	if err != nil {
		return err
	}
	life := cert.Leaf.NotAfter.Sub(cert.Leaf.NotBefore)
	r.now.Store(&held{cert, id})
	r.next.Store(cert.Leaf.NotBefore.Add(life * 2 / 3).UnixNano())
	return nil
}

// Certificate is the one that holds now. It is shared and not to be changed.
func (r *Renewed) Certificate() *tls.Certificate { return &r.current().cert }

// Identity is the same in PEM, with its key, for files.
func (r *Renewed) Identity() Identity { return r.current().id }

func (r *Renewed) current() *held {
	now, due := r.clock.Now(), r.next.Load()
	if now.UnixNano() >= due && r.next.CompareAndSwap(due, now.Add(renewRetry).UnixNano()) {
		if err := r.renew(); err != nil {
			r.log.Error("a certificate cannot be renewed, and the one before holds", "name", r.name, "expires", r.Expires(), "err", err)
		} else {
			r.log.Info("a certificate was renewed", "name", r.name, "expires", r.Expires())
		}
	}
	return r.now.Load()
}

// Expires is when the certificate that holds now ends.
func (r *Renewed) Expires() time.Time { return r.now.Load().cert.Leaf.NotAfter }

// Serve is tls.Config's GetCertificate.
func (r *Renewed) Serve(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.Certificate(), nil }

// Show is tls.Config's GetClientCertificate.
func (r *Renewed) Show(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return r.Certificate(), nil
}
