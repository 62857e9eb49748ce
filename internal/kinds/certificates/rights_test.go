package certificates_test

import (
	"errors"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/certificates"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

// only lets a user do one thing.
type only kinds.Wish

func (o only) Refuse(w kinds.Wish) error {
	if w == kinds.Wish(o) {
		return nil
	}
	return errors.New("no")
}

func (o only) Uncovered(string, []rbacv1.PolicyRule) error { return nil }

func TestVerdictsAndCertificatesNeedRights(t *testing.T) {
	csr := func(certificate string) *certificatesv1.CertificateSigningRequest {
		return &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: certificatesv1.CertificateSigningRequestSpec{SignerName: "example.com/a"},
			Status: certificatesv1.CertificateSigningRequestStatus{Certificate: []byte(certificate)}}
	}
	wish := func(verb, name string) only {
		return only{Verb: verb, Group: "certificates.k8s.io", Resource: "signers", Name: name}
	}
	const refusal = `certificatesigningrequests.certificates.k8s.io "c" is forbidden: user not permitted to `
	for name, c := range map[string]struct {
		part string
		may  only
		next *certificatesv1.CertificateSigningRequest
		want string
	}{
		"approves":            {"approval", wish("approve", "example.com/a"), csr(""), ""},
		"approves the domain": {"approval", wish("approve", "example.com/*"), csr(""), ""},
		"signs only":          {"approval", wish("sign", "example.com/a"), csr(""), refusal + `approve requests with signerName "example.com/a"`},
		"signs":               {"status", wish("sign", "example.com/a"), csr("x"), ""},
		"approves only":       {"status", wish("approve", "example.com/a"), csr("x"), refusal + `sign requests with signerName "example.com/a"`},
		"signs nothing":       {"status", wish("approve", "example.com/a"), csr(""), ""},
	} {
		env := kindtest.Env()
		env.Powers = c.may
		got := ""
		for _, a := range certificates.CertificateSigningRequest().Admission {
			if a.Part != c.part {
				continue
			}
			if err := a.Validate(env, c.next, csr(""), nil); err != nil {
				got = err.Error()
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
