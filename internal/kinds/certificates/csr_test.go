package certificates_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/certificates"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func p[T any](v T) *T { return &v }

// request is a new request by the holder of a new key, and a certificate for the same key.
func request(t *testing.T, groups ...string) (csr, certificate []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	subject := pkix.Name{CommonName: "someone", Organization: groups}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		t.Fatal(err)
	}
	self := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: subject}
	signed, err := x509.CreateCertificate(rand.Reader, self, self, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return block("CERTIFICATE REQUEST", der), block("CERTIFICATE", signed)
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// maker returns a func that makes good requests, and then changes them.
func maker(t *testing.T) func(func(*certificatesv1.CertificateSigningRequest)) *certificatesv1.CertificateSigningRequest {
	text, _ := request(t)
	return func(change func(*certificatesv1.CertificateSigningRequest)) *certificatesv1.CertificateSigningRequest {
		csr := &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: text, SignerName: "example.com/signer", Usages: []certificatesv1.KeyUsage{"client auth"},
		}}
		change(csr)
		return csr
	}
}

func nothing(*certificatesv1.CertificateSigningRequest) {}

func has(t string, status corev1.ConditionStatus) certificatesv1.CertificateSigningRequestCondition {
	return certificatesv1.CertificateSigningRequestCondition{Type: certificatesv1.RequestConditionType(t), Status: status}
}

const usages = `supported values: "any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment", "decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime", "server auth", "signing", "timestamping"`

func TestCreate(t *testing.T) {
	k, of := certificates.CertificateSigningRequest(), maker(t)
	type csr = certificatesv1.CertificateSigningRequest
	for name, c := range map[string]struct {
		change func(*csr)
		want   []string
	}{
		"good":       {nothing, nil},
		"no request": {func(c *csr) { c.Spec.Request = []byte("x") }, []string{`spec.request: Invalid value: "eA==": PEM block type must be CERTIFICATE REQUEST`}},
		"no usage":   {func(c *csr) { c.Spec.Usages = nil }, []string{"spec.usages: Required value"}},
		"usages":     {func(c *csr) { c.Spec.Usages = []certificatesv1.KeyUsage{"any", "odd", "any"} }, []string{`spec.usages[1]: Unsupported value: "odd": ` + usages, `spec.usages[2]: Duplicate value: "any"`}},
		"no signer":  {func(c *csr) { c.Spec.SignerName = "" }, []string{"spec.signerName: Required value"}},
		"legacy":     {func(c *csr) { c.Spec.SignerName = "kubernetes.io/legacy-unknown" }, []string{`spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed via this API version`}},
		"no path":    {func(c *csr) { c.Spec.SignerName = "example.com" }, []string{`spec.signerName: Invalid value: "example.com": must be a fully qualified domain and path of the form 'example.com/signer-name'`}},
		"two paths":  {func(c *csr) { c.Spec.SignerName = "example.com/a/b" }, []string{`spec.signerName: Invalid value: "example.com/a/b": must be a fully qualified domain and path of the form 'example.com/signer-name'`}},
		"one part":   {func(c *csr) { c.Spec.SignerName = "example/a" }, []string{`spec.signerName: Invalid value: "example": should be a domain with at least two segments separated by dots`}},
		"short":      {func(c *csr) { c.Spec.ExpirationSeconds = p(int32(599)) }, []string{"spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)"}},
	} {
		kindtest.Same(t, name, kindtest.Create(k, of(c.change)), c.want)
	}
	long := of(func(c *csr) { c.Spec.SignerName = strings.Repeat("a.", 127) + "a/" + strings.Repeat("b", 254) })
	if got := kindtest.Create(k, long); len(got) != 2 || got[0] != "spec.signerName: Too long: may not be more than 253 bytes" || !strings.Contains(got[1], "must be no more than 253 characters") {
		t.Errorf("long: %q", got)
	}
	forged := of(func(c *csr) {
		der, _ := pem.Decode(c.Spec.Request)
		der.Bytes[len(der.Bytes)-1] ^= 1
		c.Spec.Request = pem.EncodeToMemory(der)
	})
	want := `spec.request: Invalid value: "` + base64.StdEncoding.EncodeToString(forged.Spec.Request) + `": x509: ECDSA verification failure`
	kindtest.Same(t, "forged", kindtest.Create(k, forged), []string{want})
	kindtest.Same(t, "forged, stored", kindtest.Update(k, forged, forged.DeepCopy()), []string{want})
	odd := func(c *csr) {
		c.Spec.Usages, c.Spec.SignerName = []certificatesv1.KeyUsage{"odd", "odd"}, "kubernetes.io/legacy-unknown"
		c.Status.Certificate, c.Status.Conditions = []byte("x"), []certificatesv1.CertificateSigningRequestCondition{has("Approved", "True"), has("Denied", "True"), has("", "True"), has("", "True")}
	}
	kindtest.Same(t, "what was odd may stay", kindtest.Update(k, of(odd), of(odd)), nil)
}

func TestWhoAsks(t *testing.T) {
	k, of := certificates.CertificateSigningRequest(), maker(t)
	csr := of(func(c *certificatesv1.CertificateSigningRequest) {
		c.Spec.Username, c.Spec.UID, c.Spec.Groups = "root", "0", []string{"system:masters"}
		c.Spec.Extra = map[string]certificatesv1.ExtraValue{"a": {"b"}}
		c.Status.Certificate = []byte("x")
	})
	asked := csr.DeepCopy()
	k.PrepareCreate(kindtest.Env(), csr)
	if s := csr.Spec; s.Username != "someone" || s.UID != "" || s.Groups != nil || s.Extra != nil || csr.Status.Certificate != nil {
		t.Errorf("made: %+v", csr)
	}
	if k.PrepareUpdate(kindtest.Env(), asked, csr); !reflect.DeepEqual(asked, csr) {
		t.Errorf("updated: %+v", asked)
	}
	masters, _ := request(t, "a", "system:masters")
	others, _ := request(t, "a")
	for name, c := range map[string]struct {
		text   []byte
		signer string
		want   string
	}{
		"masters":        {masters, "kubernetes.io/kube-apiserver-client", `certificatesigningrequests.certificates.k8s.io "c" is forbidden: use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed`},
		"another signer": {masters, "example.com/a", ""},
		"others":         {others, "kubernetes.io/kube-apiserver-client", ""},
		"unreadable":     {[]byte("x"), "kubernetes.io/kube-apiserver-client", ""},
	} {
		got := ""
		if err := kindtest.Admit(k, of(func(o *certificatesv1.CertificateSigningRequest) {
			o.Spec.Request, o.Spec.SignerName = c.text, c.signer
		}), nil, nil); err != nil {
			if got = err.Error(); !apierrors.IsForbidden(err) {
				t.Errorf("%s: %T", name, err)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if f := k.Fields(csr); f["spec.signerName"] != "example.com/signer" {
		t.Errorf("fields: %v", f)
	}
	if msgs := k.ValidName("Any name: at all", false); msgs != nil {
		t.Errorf("name: %q", msgs)
	}
}

func TestApproval(t *testing.T) {
	k, of := certificates.CertificateSigningRequest(), maker(t)
	with := func(list ...certificatesv1.CertificateSigningRequestCondition) *certificatesv1.CertificateSigningRequest {
		return of(func(c *certificatesv1.CertificateSigningRequest) { c.Status.Conditions = list })
	}
	approved := with(has("Approved", "True"))
	approved.Status.Certificate, approved.Spec.SignerName = []byte("x"), "other.com/a"
	kindtest.Same(t, "approved", kindtest.Part(t, k, "approval", approved, of(nothing)), nil)
	now := metav1.NewTime(kindtest.Env().Now)
	if c := approved.Status.Conditions[0]; approved.Status.Certificate != nil || approved.Spec.SignerName != "example.com/signer" || !c.LastUpdateTime.Equal(&now) || !c.LastTransitionTime.Equal(&now) {
		t.Errorf("approved: %+v", approved)
	}
	before := metav1.NewTime(now.Add(-time.Hour))
	again, was := with(has("Approved", "True")), with(has("Approved", "True"))
	was.Status.Conditions[0].LastTransitionTime = before
	kindtest.Same(t, "again", kindtest.Part(t, k, "approval", again, was), nil)
	if c := again.Status.Conditions[0]; !c.LastUpdateTime.Equal(&now) || !c.LastTransitionTime.Equal(&before) {
		t.Errorf("again: %+v", c)
	}
	kindtest.Same(t, "both", kindtest.Part(t, k, "approval", with(has("Approved", "True"), has("Denied", "True")), of(nothing)), []string{`status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive`})
	kindtest.Same(t, "taken back", kindtest.Part(t, k, "approval", of(nothing), with(has("Denied", "True"))), []string{`status.conditions: Forbidden: updates may not remove a condition of type "Denied"`})
	kindtest.Same(t, "odd", kindtest.Part(t, k, "approval", with(has("Denied", "False"), has("a", "Odd"), has("a", "Unknown"), has("", "")), of(nothing)), []string{
		`status.conditions[0].status: Unsupported value: "False": supported values: "True"`,
		`status.conditions[1].status: Unsupported value: "Odd": supported values: "False", "True", "Unknown"`,
		`status.conditions[2].type: Duplicate value: "a"`, "status.conditions[3].type: Required value", "status.conditions[3].status: Required value",
	})
}

func TestStatus(t *testing.T) {
	k, of := certificates.CertificateSigningRequest(), maker(t)
	_, certificate := request(t)
	issued := func(text []byte, list ...certificatesv1.CertificateSigningRequestCondition) *certificatesv1.CertificateSigningRequest {
		return of(func(c *certificatesv1.CertificateSigningRequest) {
			c.Status.Certificate, c.Status.Conditions = text, list
		})
	}
	const at = `status.certificate: Invalid value: "<certificate data>": `
	yes := has("Approved", "True")
	headers := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"a": "b"}})
	for name, c := range map[string]struct {
		obj, old *certificatesv1.CertificateSigningRequest
		want     []string
	}{
		"issued":        {issued(certificate, yes), issued(nil, yes), nil},
		"chain":         {issued(append(certificate[:len(certificate):len(certificate)], certificate...), yes), issued(nil, yes), nil},
		"failed":        {issued(nil, yes, has("Failed", "True")), issued(nil, yes), nil},
		"issued again":  {issued(append([]byte("\n"), certificate...), yes), issued(certificate, yes), []string{"status.certificate: Forbidden: updates may not modify existing certificate content"}},
		"approved here": {issued(nil, yes), issued(nil), []string{`status.conditions: Forbidden: updates may not add a condition of type "Approved"`}},
		"taken back":    {issued(nil), issued(nil, yes, has("Failed", "True")), []string{`status.conditions: Forbidden: updates may not remove a condition of type "Approved"`, `status.conditions: Forbidden: updates may not remove a condition of type "Failed"`}},
		"no blocks":     {issued([]byte("x"), yes), issued(nil, yes), []string{at + "must contain at least one CERTIFICATE PEM block"}},
		"a key":         {issued(block("KEY", nil), yes), issued(nil, yes), []string{at + `only CERTIFICATE PEM blocks are allowed, found "KEY"`}},
		"headers":       {issued(headers, yes), issued(nil, yes), []string{at + "no PEM block headers are permitted"}},
		"empty":         {issued(block("CERTIFICATE", nil), yes), issued(nil, yes), []string{at + "found CERTIFICATE PEM block containing 0 certificates"}},
	} {
		kindtest.Same(t, name, kindtest.Part(t, k, "status", c.obj, c.old), c.want)
	}
	// The words of an approval are the approver's.
	mine, theirs := yes, yes
	mine.Message, theirs.Message = "mine", "theirs"
	obj := issued(certificate, has("a", "True"), mine)
	obj.Spec.SignerName = "other.com/a"
	kindtest.Same(t, "words", kindtest.Part(t, k, "status", obj, issued(nil, theirs)), nil)
	if obj.Status.Conditions[1].Message != "theirs" || obj.Spec.SignerName != "example.com/signer" {
		t.Errorf("words: %+v", obj)
	}
}

func TestColumns(t *testing.T) {
	k, of := certificates.CertificateSigningRequest(), maker(t)
	if got, want := kindtest.Header(k), []string{"Name/name", "Age", "SignerName", "Requestor", "RequestedDuration", "Condition"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for want, list := range map[string][]string{
		"Pending": nil, "Approved,Issued": {"Approved"}, "Denied": {"Denied", "Approved"}, "Approved,Failed": {"Failed", "Approved"}, "Pending,Failed": {"Failed"},
	} {
		csr := of(func(c *certificatesv1.CertificateSigningRequest) {
			c.Spec.Username, c.Spec.ExpirationSeconds = "u", p(int32(3600))
			for _, name := range list {
				c.Status.Conditions = append(c.Status.Conditions, has(name, "True"))
			}
			if strings.HasSuffix(want, "Issued") {
				c.Status.Certificate = []byte("x")
			}
		})
		if got, row := kindtest.Row(k, csr), []any{"c", "<unknown>", "example.com/signer", "u", "60m", want}; !reflect.DeepEqual(got, row) {
			t.Errorf("got %v, want %v", got, row)
		}
	}
	if got, want := kindtest.Row(k, &certificatesv1.CertificateSigningRequest{}), []any{"", "<unknown>", "<none>", "", "<none>", "Pending"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
