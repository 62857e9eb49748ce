package certificates_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"iter"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/certificates"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/pki"
)

// only is a view of one request.
type only struct {
	csr *certificatesv1.CertificateSigningRequest
}

func (only) Revision() uint64                                   { return 1 }
func (o only) Get(client.Resource, string, string) kinds.Object { return o.csr }
func (o only) List(client.Resource, string) iter.Seq[kinds.Object] {
	return func(yield func(kinds.Object) bool) { yield(o.csr) }
}
func (o only) Lookup(res client.Resource, _, _ string) iter.Seq[kinds.Object] { return o.List(res, "") }

type still struct{ now time.Time }

func (s still) Now() time.Time                  { return s.now }
func (s still) Since(t time.Time) time.Duration { return s.now.Sub(t) }

func TestCleaner(t *testing.T) {
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	authority, err := pki.Open(t.TempDir(), still{made})
	if err != nil {
		t.Fatal(err)
	}
	der, err := authority.Certify(&x509.Certificate{Subject: pkix.Name{CommonName: "x"}, NotBefore: made, NotAfter: made.Add(30 * time.Minute)}, newKey(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	brief := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	const approved, denied, failed = certificatesv1.CertificateApproved, certificatesv1.CertificateDenied, certificatesv1.CertificateFailed
	for _, c := range []struct {
		name        string
		certificate string
		conditions  []certificatesv1.RequestConditionType
		stays       time.Duration // since all of it was written; 0: for ever
	}{
		{"pending", "", nil, 24 * time.Hour},
		{"approved", "", []certificatesv1.RequestConditionType{approved}, 24 * time.Hour},
		{"issued", "not to be read", []certificatesv1.RequestConditionType{approved}, time.Hour},
		{"issued for long less", brief, []certificatesv1.RequestConditionType{approved}, 30 * time.Minute},
		{"denied", "", []certificatesv1.RequestConditionType{denied}, time.Hour},
		{"failed", "", []certificatesv1.RequestConditionType{approved, failed}, time.Hour},
		{"of another condition", "", []certificatesv1.RequestConditionType{"Other"}, 0},
	} {
		csr := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "r", UID: "u", CreationTimestamp: metav1.NewTime(made)}}
		csr.Status.Certificate = []byte(c.certificate)
		for _, typ := range c.conditions {
			csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: typ, LastUpdateTime: metav1.NewTime(made)})
		}
		at := func(now time.Time) engine.Plan {
			plan, err := certificates.Cleaner().Reconcile(only{csr}, engine.Key{Resource: requests, Name: "r"}, now)
			if err != nil {
				t.Fatal(err)
			}
			return plan
		}
		if c.stays == 0 {
			if plan := at(made.Add(1000 * time.Hour)); len(plan.Writes) > 0 || plan.After > 0 {
				t.Errorf("%s: %+v", c.name, plan)
			}
			continue
		}
		if plan := at(made.Add(c.stays)); len(plan.Writes) > 0 || plan.After != time.Nanosecond {
			t.Errorf("%s: after %v it does %+v", c.name, c.stays, plan)
		}
		if plan := at(made.Add(c.stays + time.Nanosecond)); len(plan.Writes) != 1 || plan.Writes[0].Verb != engine.Delete || *plan.Writes[0].Options.Preconditions.UID != "u" {
			t.Errorf("%s: after more than %v it does %+v", c.name, c.stays, plan)
		}
	}
}

// TestRandomRuns: whatever people decide and wherever the controllers stop, a certificate that was written never changes, none is written without a
// verdict for it, and in the end everything approved is issued or failed, until it is cleaned.
func TestRandomRuns(t *testing.T) {
	for seed := range int64(12) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			b := newTable(t, seed)
			seen := map[string]string{} // by UID
			look := func() {
				view, err := b.Client.View(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for obj := range view.List(requests, "") {
					csr := obj.(*certificatesv1.CertificateSigningRequest)
					was, text := seen[string(csr.UID)], string(csr.Status.Certificate)
					if was != "" && was != text {
						t.Fatalf("the certificate of %s has changed", csr.Name)
					}
					if text != "" && (!is(csr, certificatesv1.CertificateApproved) || is(csr, certificatesv1.CertificateDenied) || is(csr, certificatesv1.CertificateFailed)) {
						t.Fatalf("%s is signed: %+v", csr.Name, csr.Status.Conditions)
					}
					seen[string(csr.UID)] = text
				}
			}
			signers := []string{client_, kubelet, serving, "example.com/mine"}
			b.Chance(150, func() {
				defer look()
				name := fmt.Sprintf("r%d", b.Rand.Intn(5))
				switch csr := b.get(name); {
				case csr == nil:
					b.Put(requests, request(t, name, signers[b.Rand.Intn(len(signers))], clientUsages, nodeTemplate()))
				case len(csr.Status.Conditions) > 0:
					b.Clock.Step(time.Duration(b.Rand.Intn(20)) * time.Minute)
				case b.Rand.Intn(2) == 0:
					b.decide(name, certificatesv1.CertificateDenied)
				default:
					b.decide(name, certificatesv1.CertificateApproved)
				}
			})
			look()
			for n := range 5 {
				csr := b.get(fmt.Sprintf("r%d", n))
				if csr == nil || csr.Spec.SignerName == "example.com/mine" {
					continue
				}
				if is(csr, certificatesv1.CertificateApproved) && len(csr.Status.Certificate) == 0 && !is(csr, certificatesv1.CertificateFailed) {
					t.Errorf("%s is approved and nothing came of it", csr.Name)
				}
			}
			b.Clock.Step(25 * time.Hour)
			b.Settle()
			for n := range 5 {
				if csr := b.get(fmt.Sprintf("r%d", n)); csr != nil {
					t.Errorf("%s was not cleaned: %+v", csr.Name, csr.Status.Conditions)
				}
			}
		})
	}
}

func is(csr *certificatesv1.CertificateSigningRequest, typ certificatesv1.RequestConditionType) bool {
	for _, c := range csr.Status.Conditions {
		if c.Type == typ {
			return true
		}
	}
	return false
}
