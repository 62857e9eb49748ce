package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// until waits for what a controller does.
func until(t *testing.T, what string, done func() (bool, error)) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		ok, err := done()
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return ok, err
	})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// TestTokenOfASecret: the token that a secret is filled with is its account's, and ends with it.
func TestTokenOfASecret(t *testing.T) {
	c := serveCluster(t)
	k, ctx := kubernetes.NewForConfigOrDie(c.config), t.Context()
	must(k.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}))(t)
	secrets := k.CoreV1().Secrets("default")
	must(secrets.Create(ctx, &corev1.Secret{Type: corev1.SecretTypeServiceAccountToken, ObjectMeta: metav1.ObjectMeta{
		Name: "robot", Annotations: map[string]string{corev1.ServiceAccountNameKey: "robot"},
	}}, metav1.CreateOptions{}))(t)
	config := rest.AnonymousClientConfig(c.config)
	until(t, "the token", func() (bool, error) {
		s, err := secrets.Get(ctx, "robot", metav1.GetOptions{})
		config.BearerToken = string(s.Data["token"])
		return err == nil && config.BearerToken != "" && string(s.Data["ca.crt"]) == string(c.config.CAData), err
	})
	who := must(kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))(t)
	if name := who.Status.UserInfo.Username; name != "system:serviceaccount:default:robot" {
		t.Errorf("the token is %s's", name)
	}
	if err := k.CoreV1().ServiceAccounts("default").Delete(ctx, "robot", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of the secret", func() (bool, error) {
		_, err := secrets.Get(ctx, "robot", metav1.GetOptions{})
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}

// TestTrust: a new namespace has its account and the authority; a request that is approved leads to a certificate by which its holder is known.
func TestTrust(t *testing.T) {
	c := serveCluster(t)
	k, ctx := kubernetes.NewForConfigOrDie(c.config), t.Context()
	must(k.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "new"}}, metav1.CreateOptions{}))(t)
	until(t, "the default account", func() (bool, error) {
		_, err := k.CoreV1().ServiceAccounts("new").Get(ctx, "default", metav1.GetOptions{})
		return err == nil, err
	})
	until(t, "the authority", func() (bool, error) {
		m, err := k.CoreV1().ConfigMaps("new").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return err == nil && m.Data["ca.crt"] == string(c.config.CAData), err
	})
	until(t, "the sum of admin", func() (bool, error) {
		r, err := k.RbacV1().ClusterRoles().Get(ctx, "admin", metav1.GetOptions{})
		return err == nil && len(r.Rules) > 10, err
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "jane", Organization: []string{"friends"}}}, key)
	if err != nil {
		t.Fatal(err)
	}
	requests := k.CertificatesV1().CertificateSigningRequests()
	csr := must(requests.Create(ctx, &certificatesv1.CertificateSigningRequest{ObjectMeta: metav1.ObjectMeta{Name: "jane"}, Spec: certificatesv1.CertificateSigningRequestSpec{
		SignerName: certificatesv1.KubeAPIServerClientSignerName, Usages: []certificatesv1.KeyUsage{certificatesv1.UsageClientAuth},
		Request: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}),
	}}, metav1.CreateOptions{}))(t)
	csr.Status.Conditions = []certificatesv1.CertificateSigningRequestCondition{{Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "KubectlApprove", Message: "This CSR was approved by kubectl certificate approve."}}
	must(requests.UpdateApproval(ctx, "jane", csr, metav1.UpdateOptions{}))(t)
	until(t, "the certificate", func() (bool, error) {
		csr, err = requests.Get(ctx, "jane", metav1.GetOptions{})
		return err == nil && len(csr.Status.Certificate) > 0, err
	})
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(c.config)
	config.CertData, config.KeyData = csr.Status.Certificate, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	who := must(kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{}))(t)
	if u := who.Status.UserInfo; u.Username != "jane" || len(u.Groups) != 2 || u.Groups[0] != "friends" {
		t.Errorf("the holder is known as %+v", u)
	}
	claims := k.CoreV1().PersistentVolumeClaims("new")
	must(claims.Create(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}, metav1.CreateOptions{}))(t)
	if err := claims.Delete(ctx, "c", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	until(t, "the end of a claim", func() (bool, error) {
		_, err := claims.Get(ctx, "c", metav1.GetOptions{})
		return apierrors.IsNotFound(err), ignoreNotFound(err)
	})
}
