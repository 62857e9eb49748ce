package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
)

// parse reads what is asked for.
func parse(csr *certificatesv1.CertificateSigningRequest) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode(csr.Spec.Request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}

// kubeletServing says what keeps a request from being one for a kubelet's server.
func kubeletServing(r *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case !ofNodes(r):
		return errNoNode
	case len(r.DNSNames) == 0 && len(r.IPAddresses) == 0:
		return errors.New("DNS or IP subjectAltName is required")
	case len(r.EmailAddresses) > 0:
		return errEmail
	case len(r.URIs) > 0:
		return errors.New("URI subjectAltNames are not allowed")
	}
	return kubelet(r, usages, certificatesv1.UsageServerAuth)
}

// kubeletClient says what keeps a request from being one for a kubelet as a client.
func kubeletClient(r *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	switch {
	case !ofNodes(r):
		return errNoNode
	case len(r.DNSNames) > 0:
		return errors.New("DNS subjectAltNames are not allowed")
	case len(r.EmailAddresses) > 0:
		return errEmail
	case len(r.IPAddresses) > 0:
		return errors.New("IP subjectAltNames are not allowed")
	case len(r.URIs) > 0:
		return errors.New("URI subjectAltNames are not allowed")
	}
	return kubelet(r, usages, certificatesv1.UsageClientAuth)
}

var errNoNode = errors.New("subject organization is not system:nodes")

//lint:ignore ST1005 upstream's text, which stands in a condition
var errNoNodeName = errors.New("subject common name does not begin with system:node:")

//lint:ignore ST1005 upstream's text, which stands in a condition
var errEmail = errors.New("Email subjectAltNames are not allowed")

func ofNodes(r *x509.CertificateRequest) bool {
	return slices.Equal(r.Subject.Organization, []string{"system:nodes"})
}

// kubelet is what both kinds have in common: the usages, of which key encipherment is for RSA keys, and the name.
func kubelet(r *x509.CertificateRequest, usages []certificatesv1.KeyUsage, purpose certificatesv1.KeyUsage) error {
	all := []certificatesv1.KeyUsage{purpose, certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment}
	given := slices.Clone(usages)
	slices.Sort(given)
	given = slices.Compact(given)
	slices.Sort(all)
	least := slices.DeleteFunc(slices.Clone(all), func(u certificatesv1.KeyUsage) bool { return u == certificatesv1.UsageKeyEncipherment })
	if !slices.Equal(given, all) && !slices.Equal(given, least) {
		return fmt.Errorf("usages did not match %v", all)
	}
	if !strings.HasPrefix(r.Subject.CommonName, "system:node:") {
		return errNoNodeName
	}
	return nil
}

// apiClient says what keeps usages from being those of a client of the API.
func apiClient(_ *x509.CertificateRequest, usages []certificatesv1.KeyUsage) error {
	for _, u := range usages {
		switch u {
		case certificatesv1.UsageDigitalSignature, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageClientAuth:
		default:
			return fmt.Errorf("invalid usage for client certificate: %s", u)
		}
	}
	if !slices.Contains(usages, certificatesv1.UsageClientAuth) {
		return fmt.Errorf("missing required usage for client certificate: %s", certificatesv1.UsageClientAuth)
	}
	return nil
}

// anything lets all pass, as legacy-unknown does.
func anything(*x509.CertificateRequest, []certificatesv1.KeyUsage) error { return nil }
