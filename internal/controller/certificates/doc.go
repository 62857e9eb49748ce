// Package certificates approves the requests of nodes for certificates, signs what is approved, and deletes requests that are done with.
//
// # Vocabulary
//
// A request names a signer, which says what its certificates are good for; the four that are signed here are kubernetes.io/kube-apiserver-client,
// kube-apiserver-client-kubelet, kubelet-serving and legacy-unknown, all with the cluster's authority. A verdict is the condition Approved or Denied.
//
//	             approver, or people              signer
//	Pending ──┬─────────────────────► Approved ─────┬────► Issued ──┐
//	          └─────────────────────► Denied ───┐   └────► Failed ──┤
//	                                            └───────────────────┴──► deleted by the cleaner
//
// # Laws
//
//   - The approver approves only clients' certificates of kubelets, when whoever asks for one may create certificatesigningrequests/selfnodeclient (for
//     its own name) or /nodeclient. It denies nothing: what it does not know is left to people.
//   - The signer signs only what is approved, not denied and not failed. What is not as its signer asks for fails, once and for all.
//   - A certificate is never an authority's, has no extensions but those made here, and ends with the authority at the latest. It begins five minutes early;
//     unless it lasts less than eight hours it ends as much earlier.
//   - How long it lasts is what the request says, ten minutes at least and the signer's longest at most.
//   - Requests go an hour after they were denied, failed or issued, when their certificate ends, and after 24 hours without a verdict or a certificate.
//
// The functions are not pure in this: a signature is another each time, and whether somebody may do something is asked of the API. Neither is kept: the first
// certificate that is written stands.
//
// # What it leaves to others
//
// The key is pki's. Which requests may be made at all, by whom verdicts are given and that conditions stay is the API's.
package certificates

import (
	"fmt"
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

// User is who the three controllers write as.
const User = "system:serviceaccount:kube-system:certificate-controller"

var requests = certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests")

// changed wakes a request that has no certificate yet.
func changed(_ client.View, c client.Change) []engine.Key {
	csr, ok := c.New.(*certificatesv1.CertificateSigningRequest)
	if !ok || len(csr.Status.Certificate) > 0 {
		return nil
	}
	return []engine.Key{{Resource: requests, Name: csr.Name}}
}

// open is the request of a key; nil when there is none without a certificate.
func open(view client.View, k engine.Key) *certificatesv1.CertificateSigningRequest {
	csr, ok := view.Get(requests, "", k.Name).(*certificatesv1.CertificateSigningRequest)
	if !ok || len(csr.Status.Certificate) > 0 {
		return nil
	}
	return csr
}

// has says whether a condition of a type is there, whatever it says.
func has(csr *certificatesv1.CertificateSigningRequest, t certificatesv1.RequestConditionType) bool {
	return slices.ContainsFunc(csr.Status.Conditions, func(c certificatesv1.CertificateSigningRequestCondition) bool { return c.Type == t })
}

// conclude writes a condition into the request, by a subresource.
func conclude(csr *certificatesv1.CertificateSigningRequest, subresource string, t certificatesv1.RequestConditionType, reason, message string) engine.Plan {
	next := csr.DeepCopy()
	next.Status.Conditions = append(next.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: t, Status: corev1.ConditionTrue, Reason: reason, Message: message,
	})
	return engine.Plan{Writes: []engine.Write{engine.NewUpdate(requests, next, subresource)}}
}

// unreadable is the error for a request that cannot be parsed.
func unreadable(csr *certificatesv1.CertificateSigningRequest, err error) error {
	return fmt.Errorf("unable to parse csr %q: %w", csr.Name, err)
}
