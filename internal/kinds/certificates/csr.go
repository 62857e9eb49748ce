package certificates

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// CertificateSigningRequest is certificates.k8s.io/v1 CertificateSigningRequest. What is asked for never changes; its status has two owners:
//
//	             approval: Approved or Denied            status: certificate, or Failed
//	Pending ──┬────────────────────────────────► Approved ───────────────────────────► Issued or Failed
//	          └────────────────────────────────► Denied
//
// None of these three conditions is ever removed, and a certificate is written once.
func CertificateSigningRequest() *kinds.Kind {
	gvk := certificatesv1.SchemeGroupVersion.WithKind("CertificateSigningRequest")
	verbs := []string{"get", "patch", "update"}
	return &kinds.Kind{
		GVK: gvk, Resource: "certificatesigningrequests", Singular: "certificatesigningrequest", ShortNames: []string{"csr"},
		MetaAgain: kinds.MetaAll,
		New:       func() kinds.Object { return &certificatesv1.CertificateSigningRequest{} },
		NewList:   func() runtime.Object { return &certificatesv1.CertificateSigningRequestList{} },
		ValidName: kinds.PathSegment,
		Admission: []kinds.Admission{
			{Plugin: "CertificateApproval", Part: "approval", Validate: mayApprove}, {Plugin: "CertificateSigning", Part: "status", Validate: maySign},
			{Plugin: "CertificateSubjectRestriction", Validate: noMasters},
		},
		PrepareCreate: func(env kinds.Env, obj kinds.Object) {
			csr := obj.(*certificatesv1.CertificateSigningRequest)
			csr.Spec.Username, csr.Spec.UID, csr.Spec.Groups = env.User, env.UID, slices.Clone(env.Groups)
			csr.Spec.Extra = nil
			for key, values := range env.Extra {
				if csr.Spec.Extra == nil {
					csr.Spec.Extra = map[string]certificatesv1.ExtraValue{}
				}
				csr.Spec.Extra[key] = slices.Clone(values)
			}
			csr.Status = certificatesv1.CertificateSigningRequestStatus{}
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			csr, was := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
			csr.Spec, csr.Status = *was.Spec.DeepCopy(), *was.Status.DeepCopy()
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if obj.GetResourceVersion() != "" { // stored before: ValidateUpdate judges it, which knows what was there
				return nil
			}
			return validateCSR(obj.(*certificatesv1.CertificateSigningRequest), tolerance{})
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			csr, was := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
			return validateCSR(csr, tolerate(csr, was)) // PrepareUpdate has kept all that might have changed
		},
		Columns: csrColumns(),
		Fields: func(obj kinds.Object) fields.Set {
			return fields.Set{"spec.signerName": obj.(*certificatesv1.CertificateSigningRequest).Spec.SignerName}
		},
		Facts:  []kinds.Fact{{Name: "spec.signerName", Path: []int32{2, 7}}},
		Resets: []string{"spec", "status"},
		Subresources: []kinds.Subresource{
			{Name: "approval", GVK: gvk, Verbs: verbs, Resets: []string{"spec", "status.certificate"}, Update: updateApproval},
			{Name: "status", GVK: gvk, Verbs: verbs, Resets: []string{"spec", "status.conditions"}, Update: updateStatus},
		},
	}
}

// noMasters refuses to ask the signer of the API server's clients for a certificate that would make its holder omnipotent. A request that cannot be
// read is left to Validate, which says more.
func noMasters(_ kinds.Env, obj, old kinds.Object, _ kinds.Reader) error {
	if old != nil {
		return nil
	}
	csr := obj.(*certificatesv1.CertificateSigningRequest)
	if csr.Spec.SignerName != certificatesv1.KubeAPIServerClientSignerName {
		return nil
	}
	request, err := parse(csr.Spec.Request)
	if err != nil || !slices.Contains(request.Subject.Organization, "system:masters") {
		return nil
	}
	return apierrors.NewForbidden(certificatesv1.Resource("certificatesigningrequests"), csr.Name,
		fmt.Errorf("use of %s signer with system:masters group is not allowed", certificatesv1.KubeAPIServerClientSignerName))
}

// updateApproval changes conditions alone.
func updateApproval(env kinds.Env, obj, old kinds.Object) field.ErrorList {
	csr, was := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
	stampConditions(csr.Status.Conditions, was.Status.Conditions, env.Now)
	conditions := csr.Status.Conditions
	csr.Spec, csr.Status = *was.Spec.DeepCopy(), *was.Status.DeepCopy()
	csr.Status.Conditions = conditions
	return append(validateCSR(csr, tolerate(csr, was)), keptConditions(csr, was)...)
}

// updateStatus changes all of the status but whether the request is approved or denied.
func updateStatus(env kinds.Env, obj, old kinds.Object) field.ErrorList {
	csr, was := obj.(*certificatesv1.CertificateSigningRequest), old.(*certificatesv1.CertificateSigningRequest)
	csr.Spec = *was.Spec.DeepCopy()
	for _, t := range []certificatesv1.RequestConditionType{certificatesv1.CertificateApproved, certificatesv1.CertificateDenied} {
		keepConditions(csr.Status.Conditions, was.Status.Conditions, t)
	}
	stampConditions(csr.Status.Conditions, was.Status.Conditions, env.Now)
	errs := validateCSR(csr, tolerate(csr, was))
	errs = append(errs, keptConditions(csr, was)...)
	errs = append(errs, noVerdicts(csr, was)...)
	if len(was.Status.Certificate) > 0 && !slices.Equal(csr.Status.Certificate, was.Status.Certificate) {
		errs = append(errs, field.Forbidden(field.NewPath("status", "certificate"), "updates may not modify existing certificate content"))
	}
	return errs
}

// parse reads a request as it is sent.
func parse(text []byte) (*x509.CertificateRequest, error) {
	der := pemBlock(text, "CERTIFICATE REQUEST")
	if der == nil {
		return nil, errors.New("PEM block type must be CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(der)
}

func csrColumns() []kinds.Column {
	// Upstream's table has the descriptions of v1beta1.
	const (
		requestDoc    = "Base64-encoded PKCS#10 CSR data"
		conditionsDoc = "Conditions applied to the request, such as approval or denial."
		signerDoc     = "Requested signer for the request. It is a qualified name in the form: `scope-hostname.io/name`. If empty, it will be defaulted:\n" +
			" 1. If it's a kubelet client certificate, it is assigned\n    \"kubernetes.io/kube-apiserver-client-kubelet\".\n" +
			" 2. If it's a kubelet serving certificate, it is assigned\n    \"kubernetes.io/kubelet-serving\".\n" +
			" 3. Otherwise, it is assigned \"kubernetes.io/legacy-unknown\".\n" +
			"Distribution of trust for signers happens out of band. You can select on this field using `spec.signerName`."
	)
	cell := func(name, doc string, f func(*certificatesv1.CertificateSigningRequest) string) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Cell: func(_ kinds.Env, obj kinds.Object) any { return f(obj.(*certificatesv1.CertificateSigningRequest)) }}
	}
	return []kinds.Column{
		kinds.NameColumn(),
		kinds.AgeColumn(),
		cell("SignerName", signerDoc, func(csr *certificatesv1.CertificateSigningRequest) string {
			if csr.Spec.SignerName == "" {
				return "<none>"
			}
			return csr.Spec.SignerName
		}),
		cell("Requestor", requestDoc, func(csr *certificatesv1.CertificateSigningRequest) string { return csr.Spec.Username }),
		cell("RequestedDuration", certificatesv1.CertificateSigningRequestSpec{}.SwaggerDoc()["expirationSeconds"], func(csr *certificatesv1.CertificateSigningRequest) string {
			if csr.Spec.ExpirationSeconds == nil {
				return "<none>"
			}
			return duration.HumanDuration(time.Duration(*csr.Spec.ExpirationSeconds) * time.Second)
		}),
		cell("Condition", conditionsDoc, verdict),
	}
}
