package certificates_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"net"
	"net/url"
	"slices"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/certificates"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/pki"
)

var (
	requests = certificatesv1.SchemeGroupVersion.WithResource("certificatesigningrequests")
	reviews  = authorizationv1.SchemeGroupVersion.WithResource("subjectaccessreviews")
)

const (
	client_ = certificatesv1.KubeAPIServerClientSignerName
	kubelet = certificatesv1.KubeAPIServerClientKubeletSignerName
	serving = certificatesv1.KubeletServingSignerName
	year    = 365 * 24 * time.Hour
)

var (
	clientUsages = []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth, certificatesv1.UsageDigitalSignature}
	serverUsages = []certificatesv1.KeyUsage{certificatesv1.UsageServerAuth, certificatesv1.UsageDigitalSignature}
)

func nodeTemplate() *x509.CertificateRequest {
	return &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:n1", Organization: []string{"system:nodes"}}}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// request asks a signer for what template says.
func request(t testing.TB, name, signer string, usages []certificatesv1.KeyUsage, template *x509.CertificateRequest) *certificatesv1.CertificateSigningRequest {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, template, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: certificatesv1.CertificateSigningRequestSpec{
		SignerName: signer, Usages: usages, Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
	}}
}

// table is a bed with the three controllers.
type table struct {
	*bed.Bed
	authority *pki.Authority
}

func newTable(t *testing.T, seed int64) *table {
	b := bed.New(t, seed)
	authority, err := pki.Open(t.TempDir(), b.Clock)
	if err != nil {
		t.Fatal(err)
	}
	b.Sim.Add(certificates.Signer(authority, year))
	b.Sim.Add(certificates.Cleaner())
	b.Sim.Add(certificates.Approver(func(spec authorizationv1.SubjectAccessReviewSpec) (bool, error) {
		answer, err := b.As(certificates.User).Create(b.Context(), reviews, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
		if err != nil {
			return false, err
		}
		return answer.(*authorizationv1.SubjectAccessReview).Status.Allowed, nil
	}))
	return &table{b, authority}
}

func (b *table) get(name string) *certificatesv1.CertificateSigningRequest {
	return bed.Get[*certificatesv1.CertificateSigningRequest](b.Bed, requests, "", name)
}

// decide is what people do.
func (b *table) decide(name string, verdict certificatesv1.RequestConditionType) {
	b.Helper()
	bed.Change(b.Bed, requests, "", name, "approval", func(csr *certificatesv1.CertificateSigningRequest) {
		csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{Type: verdict, Status: corev1.ConditionTrue, Reason: "People"})
	})
}

// certificate is what a request leads to in the end.
func (b *table) certificate(name string) *x509.Certificate {
	b.Helper()
	b.Settle()
	csr := b.get(name)
	if csr == nil {
		b.Fatalf("%s is gone", name)
	}
	block, rest := pem.Decode(csr.Status.Certificate)
	if block == nil || len(rest) > 0 {
		b.Fatalf("%s has no certificate: %+v", name, csr.Status)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		b.Fatal(err)
	}
	return cert
}

func TestApproval(t *testing.T) {
	for _, c := range []struct {
		name     string
		signer   string
		usages   []certificatesv1.KeyUsage
		change   func(*x509.CertificateRequest)
		allowed  string // what the one who asks may create
		approved string // message; "": not approved
	}{
		{"a node's own", kubelet, clientUsages, func(r *x509.CertificateRequest) { r.Subject.CommonName = "system:node:me" }, "selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."},
		{"of another node", kubelet, clientUsages, nil, "nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."},
		{"its own with the other right", kubelet, clientUsages, func(r *x509.CertificateRequest) { r.Subject.CommonName = "system:node:me" }, "nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."},
		{"another's with the right to its own", kubelet, clientUsages, nil, "selfnodeclient", ""},
		{"without a right", kubelet, clientUsages, nil, "", ""},
		{"with a name of DNS", kubelet, clientUsages, func(r *x509.CertificateRequest) { r.DNSNames = []string{"n1"} }, "nodeclient", ""},
		{"for a server", serving, serverUsages, func(r *x509.CertificateRequest) { r.DNSNames = []string{"n1"} }, "nodeclient", ""},
		{"for another client", client_, clientUsages, nil, "nodeclient", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bed.New(t, 1)
			template := nodeTemplate()
			if c.change != nil {
				c.change(template)
			}
			csr := b.Put(requests, request(t, "r", c.signer, c.usages, template)).DeepCopyObject().(*certificatesv1.CertificateSigningRequest)
			csr.Spec.Username = "system:node:me"
			var asked []string
			ctl := certificates.Approver(func(spec authorizationv1.SubjectAccessReviewSpec) (bool, error) {
				a := spec.ResourceAttributes
				asked = append(asked, fmt.Sprintf("%s %s %s %s.%s/%s", spec.User, a.Verb, a.Version, a.Resource, a.Group, a.Subresource))
				return a.Subresource == c.allowed, nil
			})
			plan, err := ctl.Reconcile(only{csr}, engine.Key{Resource: requests, Name: "r"}, b.Clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(plan.Writes) == 1 && plan.Writes[0].Subresource == "approval" {
				cond := plan.Writes[0].Object.(*certificatesv1.CertificateSigningRequest).Status.Conditions[0]
				if cond.Type != certificatesv1.CertificateApproved || cond.Reason != "AutoApproved" || cond.Status != corev1.ConditionTrue {
					t.Errorf("condition %+v", cond)
				}
				got = cond.Message
			}
			if got != c.approved {
				t.Errorf("got %q, want %q", got, c.approved)
			}
			if (plan.Failed != nil) != (len(asked) > 0 && c.approved == "") {
				t.Errorf("asked %v: %v", asked, plan.Failed)
			}
			if want := "system:node:me create * certificatesigningrequests.certificates.k8s.io/" + c.allowed; c.approved != "" && asked[len(asked)-1] != want {
				t.Errorf("asked %v, want %s", asked, want)
			}
		})
	}
}

func TestApprovedThroughTheAPI(t *testing.T) {
	b := newTable(t, 1)
	b.Put(requests, request(t, "r", kubelet, clientUsages, nodeTemplate())) // by an administrator, who may do anything
	cert := b.certificate("r")
	if cert.Subject.CommonName != "system:node:n1" || !slices.Equal(cert.Subject.Organization, []string{"system:nodes"}) {
		t.Errorf("subject %v", cert.Subject)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: b.authority.Pool(), CurrentTime: b.Clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
}

// TestFailures: what is approved and not as its signer asks for says why, in upstream's words.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		signer string
		usages []certificatesv1.KeyUsage
		change func(*x509.CertificateRequest)
		want   string // "": signed
	}{
		{client_, clientUsages, func(r *x509.CertificateRequest) { r.Subject = pkix.Name{CommonName: "jane"} }, ""},
		{client_, serverUsages, nil, "invalid usage for client certificate: server auth"},
		{client_, clientUsages[1:], nil, "missing required usage for client certificate: client auth"},
		{kubelet, clientUsages, nil, ""},
		{kubelet, append(slices.Clone(clientUsages), certificatesv1.UsageKeyEncipherment), nil, ""},
		{kubelet, clientUsages[:1], nil, "usages did not match [client auth digital signature key encipherment]"},
		{kubelet, clientUsages, func(r *x509.CertificateRequest) { r.Subject.Organization = []string{"more", "system:nodes"} }, "subject organization is not system:nodes"},
		{kubelet, clientUsages, func(r *x509.CertificateRequest) { r.Subject.CommonName = "n1" }, "subject common name does not begin with system:node:"},
		{kubelet, clientUsages, func(r *x509.CertificateRequest) { r.DNSNames = []string{"a"} }, "DNS subjectAltNames are not allowed"},
		{kubelet, clientUsages, func(r *x509.CertificateRequest) { r.EmailAddresses = []string{"a@b.c"} }, "Email subjectAltNames are not allowed"},
		{kubelet, clientUsages, func(r *x509.CertificateRequest) { r.IPAddresses = []net.IP{net.IPv4(1, 2, 3, 4)} }, "IP subjectAltNames are not allowed"},
		{kubelet, clientUsages, func(r *x509.CertificateRequest) { r.URIs = []*url.URL{{Scheme: "a", Host: "b"}} }, "URI subjectAltNames are not allowed"},
		{serving, serverUsages, func(r *x509.CertificateRequest) { r.DNSNames = []string{"n1"} }, ""},
		{serving, serverUsages, nil, "DNS or IP subjectAltName is required"},
		{serving, clientUsages, func(r *x509.CertificateRequest) { r.DNSNames = []string{"n1"} }, "usages did not match [digital signature key encipherment server auth]"},
		{serving, serverUsages, func(r *x509.CertificateRequest) {
			r.DNSNames, r.EmailAddresses = []string{"n1"}, []string{"a@b.c"}
		}, "Email subjectAltNames are not allowed"},
	} {
		b := newTable(t, 1)
		template := nodeTemplate()
		if c.change != nil {
			c.change(template)
		}
		b.Put(requests, request(t, "r", c.signer, c.usages, template))
		if len(b.get("r").Status.Conditions) == 0 {
			b.decide("r", certificatesv1.CertificateApproved)
		}
		b.Settle()
		csr := b.get("r")
		got := ""
		for _, cond := range csr.Status.Conditions {
			if cond.Type == certificatesv1.CertificateFailed {
				got = cond.Message
				if cond.Reason != "SignerValidationFailure" || cond.Status != corev1.ConditionTrue || cond.LastUpdateTime.IsZero() {
					t.Errorf("condition %+v", cond)
				}
			}
		}
		if got != c.want || (len(csr.Status.Certificate) > 0) != (c.want == "") {
			t.Errorf("%s %v: failed %q, want %q; %d bytes of certificate", c.signer, c.usages, got, c.want, len(csr.Status.Certificate))
		}
	}
}

func TestWhatIsSigned(t *testing.T) {
	seconds := func(d time.Duration) *int32 { n := int32(d / time.Second); return &n }
	for _, c := range []struct {
		asked *int32
		lasts time.Duration // from now
	}{
		{nil, year - 5*time.Minute},
		{seconds(2 * year), year - 5*time.Minute},
		{seconds(8 * time.Hour), 8*time.Hour - 5*time.Minute},
		{seconds(8*time.Hour - time.Second), 8*time.Hour - time.Second},
		{seconds(10 * time.Minute), 10 * time.Minute},
	} {
		b := newTable(t, 1)
		template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane"}, DNSNames: []string{"jane.example.com"}, ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 3, 1, 1, 0xff}}, // an authority's
			{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Value: []byte{5, 0}},
		}}
		csr := request(t, "r", client_, clientUsages, template)
		csr.Spec.ExpirationSeconds = c.asked
		b.Put(requests, csr)
		b.decide("r", certificatesv1.CertificateApproved)
		now := b.Clock.Now()
		plan := b.Reconcile(certificates.Signer(b.authority, year), engine.Key{Resource: requests, Name: "r"}, now)
		block, _ := pem.Decode(plan.Writes[0].Object.(*certificatesv1.CertificateSigningRequest).Status.Certificate)
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !cert.NotBefore.Equal(now.Add(-5*time.Minute)) || !cert.NotAfter.Equal(now.Add(c.lasts)) {
			t.Errorf("asked %v: %v to %v, now %v, want %v", c.asked, cert.NotBefore, cert.NotAfter, now, c.lasts)
		}
		if cert.IsCA || !cert.BasicConstraintsValid || slices.ContainsFunc(cert.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(asn1.ObjectIdentifier{1, 2, 3, 4}) }) {
			t.Errorf("an extension was taken: authority %v, %v", cert.IsCA, cert.Extensions)
		}
		if cert.KeyUsage != x509.KeyUsageDigitalSignature || !slices.Equal(cert.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}) || !slices.Equal(cert.DNSNames, []string{"jane.example.com"}) {
			t.Errorf("usages %v %v, names %v", cert.KeyUsage, cert.ExtKeyUsage, cert.DNSNames)
		}
	}
}

// TestNothingOutlivesTheAuthority and nothing is signed by one that has ended.
func TestNothingOutlivesTheAuthority(t *testing.T) {
	b := newTable(t, 1)
	b.Put(requests, request(t, "r", client_, clientUsages, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane"}}))
	b.decide("r", certificatesv1.CertificateApproved)
	ctl, key := certificates.Signer(b.authority, year), engine.Key{Resource: requests, Name: "r"}
	plan := b.Reconcile(ctl, key, b.authority.NotAfter().Add(-time.Hour))
	block, _ := pem.Decode(plan.Writes[0].Object.(*certificatesv1.CertificateSigningRequest).Status.Certificate)
	if cert, err := x509.ParseCertificate(block.Bytes); err != nil || !cert.NotAfter.Equal(b.authority.NotAfter()) {
		t.Errorf("ends %v, the authority %v: %v", cert.NotAfter, b.authority.NotAfter(), err)
	}
	view, err := b.Client.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]string{
		time.Minute: "error auto signing csr: refusing to sign a certificate that expired in the past: NotAfter=",
		time.Hour:   "error auto signing csr: the signer has expired: NotAfter=",
	} {
		if _, err := ctl.Reconcile(view, key, b.authority.NotAfter().Add(after)); err == nil || err.Error() != want+b.authority.NotAfter().String() {
			t.Errorf("%v after: %v", after, err)
		}
	}
}
