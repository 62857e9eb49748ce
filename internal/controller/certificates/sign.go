package certificates

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

// What a certificate lasts at least; how much earlier than now it begins; and from when on it also ends as much earlier.
const (
	shortest = 10 * time.Minute
	backdate = 5 * time.Minute
	short    = 8 * time.Hour
)

// Authority is the key that signs. It must be safe for concurrent use.
type Authority interface {
	// NotAfter is when the authority ends.
	NotAfter() time.Time
	// Certify signs a certificate for a key, sets the template's serial number, and returns it in DER.
	Certify(template *x509.Certificate, public crypto.PublicKey) ([]byte, error)
}

// Signer returns the controller that signs, for all four signers. longest is what a certificate lasts that does not ask for less.
func Signer(authority Authority, longest time.Duration) engine.Controller {
	s := signer{authority, longest}
	return engine.Controller{
		Name: "certificate-signing", Component: "certificate-controller", User: User, Queue: "certificate",
		Inputs:  []engine.Input{{Resource: requests, Keys: changed}},
		Outputs: []engine.Output{{Resource: requests, Fields: []string{"status.certificate", "status.conditions[Failed]"}}},
		Reconcile: func(view client.View, k engine.Key, now time.Time) (engine.Plan, error) {
			csr := open(view, k)
			if csr == nil || !has(csr, certificatesv1.CertificateApproved) || has(csr, certificatesv1.CertificateDenied) || failed(csr) {
				return engine.Plan{}, nil
			}
			return s.handle(csr, now)
		},
	}
}

type signer struct {
	authority Authority
	longest   time.Duration
}

// failed says whether a request has failed, for which a condition without a status is enough.
func failed(csr *certificatesv1.CertificateSigningRequest) bool {
	return slices.ContainsFunc(csr.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool {
		return c.Type == certificatesv1.CertificateFailed && (c.Status == "" || c.Status == corev1.ConditionTrue)
	})
}

// ruleOf is what a signer asks of requests; nil: it is none of ours.
func ruleOf(name string) func(*x509.CertificateRequest, []certificatesv1.KeyUsage) error {
	switch name {
	case certificatesv1.KubeAPIServerClientSignerName:
		return apiClient
	case certificatesv1.KubeAPIServerClientKubeletSignerName:
		return kubeletClient
	case certificatesv1.KubeletServingSignerName:
		return kubeletServing
	case "kubernetes.io/legacy-unknown":
		return anything
	}
	return nil
}

func (s signer) handle(csr *certificatesv1.CertificateSigningRequest, now time.Time) (engine.Plan, error) {
	rule := ruleOf(csr.Spec.SignerName)
	if rule == nil {
		return engine.Plan{}, nil
	}
	r, err := parse(csr)
	if err != nil {
		return engine.Plan{}, unreadable(csr, err)
	}
	if err := rule(r, csr.Spec.Usages); err != nil {
		return conclude(csr, "status", certificatesv1.CertificateFailed, "SignerValidationFailure", err.Error()), nil
	}
	der, err := s.sign(r, csr, now)
	if err != nil {
		return engine.Plan{}, fmt.Errorf("error auto signing csr: %w", err)
	}
	next := csr.DeepCopy()
	next.Status.Certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return engine.Plan{Writes: []engine.Write{engine.NewUpdate(requests, next, "status")}}, nil
}

// sign makes the certificate. Of what is asked for it takes the subject, its other names and the key; extensions are not taken.
func (s signer) sign(r *x509.CertificateRequest, csr *certificatesv1.CertificateSigningRequest, now time.Time) ([]byte, error) {
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("unable to verify certificate request signature: %w", err)
	}
	usage, extended, err := usagesOf(csr.Spec.Usages)
	if err != nil {
		return nil, err
	}
	ends, lasts := s.authority.NotAfter(), s.duration(csr.Spec.ExpirationSeconds)
	begins, until := now.Add(-backdate), now.Add(lasts)
	if lasts >= short {
		until = until.Add(-backdate)
	}
	if !until.Before(ends) {
		until = ends
	}
	switch {
	case !begins.Before(ends):
		return nil, fmt.Errorf("the signer has expired: NotAfter=%v", ends)
	case !now.Before(ends):
		return nil, fmt.Errorf("refusing to sign a certificate that expired in the past: NotAfter=%v", ends)
	}
	return s.authority.Certify(&x509.Certificate{
		Subject: r.Subject, DNSNames: r.DNSNames, IPAddresses: r.IPAddresses, EmailAddresses: r.EmailAddresses, URIs: r.URIs,
		NotBefore: begins, NotAfter: until, KeyUsage: usage, ExtKeyUsage: extended, BasicConstraintsValid: true,
	}, r.PublicKey)
}

// duration is how long a certificate lasts for which seconds were asked.
func (s signer) duration(seconds *int32) time.Duration {
	if seconds == nil {
		return s.longest
	}
	// A longest below the shortest counts for those who ask for more, and only for them, as upstream.
	switch asked := time.Duration(*seconds) * time.Second; {
	case asked > s.longest:
		return s.longest
	case asked < shortest:
		return shortest
	default:
		return asked
	}
}

// usagesOf is what a certificate says of its usages, in the order of their numbers.
func usagesOf(list []certificatesv1.KeyUsage) (x509.KeyUsage, []x509.ExtKeyUsage, error) {
	plain := map[certificatesv1.KeyUsage]x509.KeyUsage{
		certificatesv1.UsageSigning:           x509.KeyUsageDigitalSignature,
		certificatesv1.UsageDigitalSignature:  x509.KeyUsageDigitalSignature,
		certificatesv1.UsageContentCommitment: x509.KeyUsageContentCommitment,
		certificatesv1.UsageKeyEncipherment:   x509.KeyUsageKeyEncipherment,
		certificatesv1.UsageKeyAgreement:      x509.KeyUsageKeyAgreement,
		certificatesv1.UsageDataEncipherment:  x509.KeyUsageDataEncipherment,
		certificatesv1.UsageCertSign:          x509.KeyUsageCertSign,
		certificatesv1.UsageCRLSign:           x509.KeyUsageCRLSign,
		certificatesv1.UsageEncipherOnly:      x509.KeyUsageEncipherOnly,
		certificatesv1.UsageDecipherOnly:      x509.KeyUsageDecipherOnly,
	}
	extended := map[certificatesv1.KeyUsage]x509.ExtKeyUsage{
		certificatesv1.UsageAny:             x509.ExtKeyUsageAny,
		certificatesv1.UsageServerAuth:      x509.ExtKeyUsageServerAuth,
		certificatesv1.UsageClientAuth:      x509.ExtKeyUsageClientAuth,
		certificatesv1.UsageCodeSigning:     x509.ExtKeyUsageCodeSigning,
		certificatesv1.UsageEmailProtection: x509.ExtKeyUsageEmailProtection,
		certificatesv1.UsageSMIME:           x509.ExtKeyUsageEmailProtection,
		certificatesv1.UsageIPsecEndSystem:  x509.ExtKeyUsageIPSECEndSystem,
		certificatesv1.UsageIPsecTunnel:     x509.ExtKeyUsageIPSECTunnel,
		certificatesv1.UsageIPsecUser:       x509.ExtKeyUsageIPSECUser,
		certificatesv1.UsageTimestamping:    x509.ExtKeyUsageTimeStamping,
		certificatesv1.UsageOCSPSigning:     x509.ExtKeyUsageOCSPSigning,
		certificatesv1.UsageMicrosoftSGC:    x509.ExtKeyUsageMicrosoftServerGatedCrypto,
		certificatesv1.UsageNetscapeSGC:     x509.ExtKeyUsageNetscapeServerGatedCrypto,
	}
	var usage x509.KeyUsage
	var more []x509.ExtKeyUsage
	var unknown []certificatesv1.KeyUsage
	for _, u := range list {
		if bit, ok := plain[u]; ok {
			usage |= bit
		} else if ext, ok := extended[u]; ok {
			more = append(more, ext)
		} else {
			unknown = append(unknown, u)
		}
	}
	if len(unknown) > 0 {
		return 0, nil, fmt.Errorf("unrecognized usage values: %q", unknown)
	}
	slices.Sort(more)
	return usage, slices.Compact(more), nil
}
