package certificates

import (
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

// Review asks the API, as the controllers' user, whether somebody may do something. It must be safe for concurrent use.
type Review func(spec authorizationv1.SubjectAccessReviewSpec) (allowed bool, err error)

// recognised is what a request turns out to be.
type recognised struct {
	subresource, message string
}

// Approver returns the controller that approves.
func Approver(may Review) engine.Controller {
	return engine.Controller{
		Name: "certificate-approving", Component: "certificate-controller", User: User, Queue: "certificate_approving",
		Inputs:  []engine.Input{{Resource: requests, Keys: changed}},
		Outputs: []engine.Output{{Resource: requests, Fields: []string{"status.conditions[Approved,Denied]"}}},
		Reconcile: func(view client.View, k engine.Key, _ time.Time) (engine.Plan, error) {
			csr := open(view, k)
			if csr == nil || has(csr, certificatesv1.CertificateApproved) || has(csr, certificatesv1.CertificateDenied) {
				return engine.Plan{}, nil
			}
			return approve(csr, may)
		},
	}
}

func approve(csr *certificatesv1.CertificateSigningRequest, may Review) (engine.Plan, error) {
	all, err := recognise(csr)
	if err != nil {
		return engine.Plan{}, unreadable(csr, err)
	}
	var tried []string
	for _, r := range all {
		tried = append(tried, r.subresource)
		allowed, err := may(permission(csr, r.subresource))
		if err != nil {
			return engine.Plan{}, fmt.Errorf("csr %q: review of %s: %w", csr.Name, r.subresource, err)
		}
		if allowed {
			return conclude(csr, "approval", certificatesv1.CertificateApproved, "AutoApproved", r.message), nil
		}
	}
	if len(tried) > 0 { // tried again, since rights come too
		err := fmt.Errorf("recognized csr %q as %v but subject access review was not approved", csr.Name, tried)
		return engine.Plan{Failed: err, Waiting: "the right to a certificate"}, nil
	}
	return engine.Plan{}, nil
}

// recognise says what a request may be approved as.
func recognise(csr *certificatesv1.CertificateSigningRequest) (all []recognised, err error) {
	r, err := parse(csr)
	if err != nil {
		return nil, err
	}
	if csr.Spec.SignerName != certificatesv1.KubeAPIServerClientKubeletSignerName || kubeletClient(r, csr.Spec.Usages) != nil {
		return nil, nil
	}
	if csr.Spec.Username == r.Subject.CommonName {
		all = append(all, recognised{"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."})
	}
	return append(all, recognised{"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."}), nil
}

// permission is what whoever asks must be allowed.
func permission(csr *certificatesv1.CertificateSigningRequest, subresource string) authorizationv1.SubjectAccessReviewSpec {
	extra := make(map[string]authorizationv1.ExtraValue, len(csr.Spec.Extra))
	for key, values := range csr.Spec.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	return authorizationv1.SubjectAccessReviewSpec{
		User: csr.Spec.Username, UID: csr.Spec.UID, Groups: csr.Spec.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: "certificates.k8s.io", Resource: "certificatesigningrequests", Subresource: subresource, Verb: "create", Version: "*",
		},
	}
}
