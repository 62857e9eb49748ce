package certificates

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// legacySigner was given by v1beta1 to requests that named none.
const legacySigner = "kubernetes.io/legacy-unknown"

// tolerance is what is let pass in an update since it is stored already.
type tolerance struct {
	legacySigner, unknownUsages, repeatedUsages bool
	bothVerdicts, repeatedTypes, unnamedTypes   bool
	anyCertificate                              bool
}

// tolerate says what is let pass in csr as the next state of was.
func tolerate(csr, was *certificatesv1.CertificateSigningRequest) (t tolerance) {
	t.legacySigner = was.Spec.SignerName == legacySigner
	for i, u := range was.Spec.Usages {
		t.unknownUsages = t.unknownUsages || !slices.Contains(knownUsages(), u)
		t.repeatedUsages = t.repeatedUsages || slices.Contains(was.Spec.Usages[:i], u)
	}
	var seen []certificatesv1.RequestConditionType
	for _, c := range was.Status.Conditions {
		t.repeatedTypes = t.repeatedTypes || slices.Contains(seen, c.Type)
		t.unnamedTypes = t.unnamedTypes || c.Type == ""
		seen = append(seen, c.Type)
	}
	t.bothVerdicts = slices.Contains(seen, certificatesv1.CertificateApproved) && slices.Contains(seen, certificatesv1.CertificateDenied)
	t.anyCertificate = slices.Equal(csr.Status.Certificate, was.Status.Certificate) || validateCertificate(was.Status.Certificate) != nil
	return t
}

// knownUsages in the order of their names.
func knownUsages() []certificatesv1.KeyUsage {
	return []certificatesv1.KeyUsage{
		certificatesv1.UsageAny, certificatesv1.UsageCertSign, certificatesv1.UsageClientAuth, certificatesv1.UsageCodeSigning, certificatesv1.UsageContentCommitment,
		certificatesv1.UsageCRLSign, certificatesv1.UsageDataEncipherment, certificatesv1.UsageDecipherOnly, certificatesv1.UsageDigitalSignature,
		certificatesv1.UsageEmailProtection, certificatesv1.UsageEncipherOnly, certificatesv1.UsageIPsecEndSystem, certificatesv1.UsageIPsecTunnel,
		certificatesv1.UsageIPsecUser, certificatesv1.UsageKeyAgreement, certificatesv1.UsageKeyEncipherment, certificatesv1.UsageMicrosoftSGC,
		certificatesv1.UsageNetscapeSGC, certificatesv1.UsageOCSPSigning, certificatesv1.UsageSMIME, certificatesv1.UsageServerAuth,
		certificatesv1.UsageSigning, certificatesv1.UsageTimestamping,
	}
}

func validateCSR(csr *certificatesv1.CertificateSigningRequest, t tolerance) (errs field.ErrorList) {
	s, path := &csr.Spec, field.NewPath("spec")
	if err := signed(s.Request); err != nil {
		errs = append(errs, field.Invalid(path.Child("request"), s.Request, err.Error()))
	}
	errs = append(errs, validateUsages(s.Usages, path.Child("usages"), t)...)
	if at := path.Child("signerName"); s.SignerName == legacySigner && !t.legacySigner {
		errs = append(errs, field.Invalid(at, s.SignerName, "the legacy signerName is not allowed via this API version"))
	} else {
		errs = append(errs, validateSigner(s.SignerName, at)...)
	}
	if n := s.ExpirationSeconds; n != nil && *n < 600 {
		errs = append(errs, field.Invalid(path.Child("expirationSeconds"), *n, "may not specify a duration less than 600 seconds (10 minutes)"))
	}
	errs = append(errs, validateConditions(csr.Status.Conditions, field.NewPath("status", "conditions"), t)...)
	if !t.anyCertificate {
		if err := validateCertificate(csr.Status.Certificate); err != nil {
			errs = append(errs, field.Invalid(field.NewPath("status", "certificate"), "<certificate data>", err.Error()))
		}
	}
	return errs
}

// signed says what keeps a request from being one by the holder of its key.
func signed(text []byte) error {
	request, err := parse(text)
	if err != nil {
		return err
	}
	return request.CheckSignature()
}

// pemBlock is what the first block in text holds, when it is of this kind.
func pemBlock(text []byte, kind string) []byte {
	if block, _ := pem.Decode(text); block != nil && block.Type == kind {
		return block.Bytes
	}
	return nil
}

// validateCertificate says why text is no chain of certificates. Empty, it is none yet.
func validateCertificate(text []byte) error {
	for blocks := 0; len(text) > 0; blocks++ {
		block, rest := pem.Decode(text)
		switch {
		case block == nil && blocks == 0:
			return errors.New("must contain at least one CERTIFICATE PEM block")
		case block == nil:
			return nil
		case block.Type != "CERTIFICATE":
			return fmt.Errorf("only CERTIFICATE PEM blocks are allowed, found %q", block.Type)
		case len(block.Headers) > 0:
			return errors.New("no PEM block headers are permitted")
		}
		list, err := x509.ParseCertificates(block.Bytes)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return errors.New("found CERTIFICATE PEM block containing 0 certificates")
		}
		text = rest
	}
	return nil
}

func validateUsages(list []certificatesv1.KeyUsage, path *field.Path, t tolerance) (errs field.ErrorList) {
	if len(list) == 0 {
		errs = append(errs, field.Required(path, ""))
	}
	known := knownUsages()
	for i, u := range list {
		if !t.unknownUsages && !slices.Contains(known, u) {
			errs = append(errs, field.NotSupported(path.Index(i), u, known))
		}
	}
	for i, u := range list {
		if !t.repeatedUsages && slices.Contains(list[:i], u) {
			errs = append(errs, field.Duplicate(path.Index(i), u))
		}
	}
	return errs
}

// validateSigner checks a signer's name: a domain, and what it calls the signer.
func validateSigner(name string, path *field.Path) (errs field.ErrorList) {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	domain, signer, ok := strings.Cut(name, "/")
	if !ok || strings.Contains(signer, "/") {
		return field.ErrorList{field.Invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")}
	}
	const maxDomain = utilvalidation.DNS1123SubdomainMaxLength
	if len(domain) > maxDomain {
		errs = append(errs, field.TooLong(path, "", maxDomain))
	}
	errs = append(errs, validateParts(domain, path, utilvalidation.IsDNS1123Label)...)
	if !strings.Contains(domain, ".") {
		errs = append(errs, field.Invalid(path, domain, "should be a domain with at least two segments separated by dots"))
	}
	errs = append(errs, validateParts(signer, path, utilvalidation.IsDNS1123Subdomain)...)
	// After the domain and the slash: a label, a dot and a subdomain.
	if most := maxDomain + 1 + utilvalidation.DNS1123LabelMaxLength + 1 + utilvalidation.DNS1123SubdomainMaxLength; len(name) > most {
		errs = append(errs, field.TooLong(path, "", most))
	}
	return errs
}

// validateParts checks the parts between dots, until one is wrong.
func validateParts(text string, path *field.Path, rule func(string) []string) (errs field.ErrorList) {
	for part := range strings.SplitSeq(text, ".") {
		for _, msg := range rule(part) {
			errs = append(errs, field.Invalid(path, text, fmt.Sprintf("validating label %q: %s", part, msg)))
		}
		if len(errs) > 0 {
			break
		}
	}
	return errs
}
