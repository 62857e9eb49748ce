package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

// How long requests stay that are decided, and that nobody decides or signs.
const (
	decidedStays = time.Hour
	pendingStays = 24 * time.Hour
)

// Cleaner returns the controller that deletes requests. It looks at each when its time has come, where upstream looks at all of them every hour.
func Cleaner() engine.Controller {
	return engine.Controller{
		Name: "certificate-cleaner", Component: "certificate-controller", User: User, Queue: "certificate_cleaner",
		Inputs: []engine.Input{{Resource: requests, Keys: func(_ client.View, c client.Change) []engine.Key {
			if c.New == nil {
				return nil
			}
			return []engine.Key{{Resource: requests, Name: c.New.GetName()}}
		}}},
		Outputs: []engine.Output{{Resource: requests}},
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			csr, ok := view.Get(requests, "", k.Name).(*certificatesv1.CertificateSigningRequest)
			if !ok || csr.DeletionTimestamp != nil {
				return engine.Plan{}, nil
			}
			return clean(csr, now), nil
		},
	}
}

func clean(csr *certificatesv1.CertificateSigningRequest, now time.Time) engine.Plan {
	due := deadline(csr)
	switch {
	case due.IsZero():
		return engine.Plan{}
	case now.After(due):
		return engine.Plan{Writes: []engine.Write{engine.NewDelete(requests, csr, "").AsSeen(csr)}}
	}
	return engine.Plan{After: due.Sub(now) + time.Nanosecond}
}

// deadline is after when a request is deleted; zero: never, as it is now.
func deadline(csr *certificatesv1.CertificateSigningRequest) (first time.Time) {
	at := func(t time.Time, stays time.Duration) {
		if due := t.Add(stays); !t.IsZero() && (first.IsZero() || due.Before(first)) {
			first = due
		}
	}
	if len(csr.Status.Conditions) == 0 {
		at(csr.CreationTimestamp.Time, pendingStays)
	}
	issued := len(csr.Status.Certificate) > 0
	for _, c := range csr.Status.Conditions {
		switch {
		case c.Type == certificatesv1.CertificateDenied, c.Type == certificatesv1.CertificateFailed:
			at(c.LastUpdateTime.Time, decidedStays)
		case c.Type != certificatesv1.CertificateApproved:
		case issued:
			at(c.LastUpdateTime.Time, decidedStays)
			at(endOf(csr.Status.Certificate), 0)
		default:
			at(c.LastUpdateTime.Time, pendingStays)
		}
	}
	return first
}

// endOf is when a certificate ends; zero when it cannot be read.
func endOf(text []byte) time.Time {
	block, _ := pem.Decode(text)
	if block == nil {
		return time.Time{}
	}
	certs, err := x509.ParseCertificates(block.Bytes)
	if err != nil || len(certs) == 0 {
		return time.Time{}
	}
	return certs[0].NotAfter
}
