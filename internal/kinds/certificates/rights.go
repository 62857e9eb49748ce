package certificates

import (
	"fmt"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/kinds"
)

// This file is upstream's admission plug-ins CertificateApproval and CertificateSigning: what a user does with a request, they must be allowed to do for its
// signer. They are asked of the request as it was.

// mayApprove refuses a verdict of who must not give one.
func mayApprove(env kinds.Env, _, old kinds.Object, _ kinds.Reader) error {
	return judge(env, old.(*certificatesv1.CertificateSigningRequest), "approve")
}

// maySign refuses a certificate, or a condition, of who must not sign.
func maySign(env kinds.Env, obj, old kinds.Object, _ kinds.Reader) error {
	csr, was := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
	if slices.Equal(csr.Status.Certificate, was.Status.Certificate) && equality.Semantic.DeepEqual(csr.Status.Conditions, was.Status.Conditions) {
		return nil
	}
	return judge(env, was, "sign")
}

// judge asks whether the user may, for the signer or for all of its domain.
func judge(env kinds.Env, csr *certificatesv1.CertificateSigningRequest, verb string) error {
	signer := csr.Spec.SignerName
	domain, _, _ := strings.Cut(signer, "/")
	for _, name := range []string{signer, domain + "/*"} {
		if env.Powers.Refuse(kinds.Wish{Verb: verb, Group: certificatesv1.GroupName, Resource: "signers", Name: name}) == nil {
			return nil
		}
	}
	return apierrors.NewForbidden(certificatesv1.Resource("certificatesigningrequests"), csr.Name,
		fmt.Errorf("user not permitted to %s requests with signerName %q", verb, signer))
}
