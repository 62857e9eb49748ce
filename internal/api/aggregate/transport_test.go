package aggregate

import (
	"crypto/tls"
	"testing"

	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

// TestAnotherCertificateIsShown: a connection that is always busy would otherwise go on with one that has ended.
func TestAnotherCertificateIsShown(t *testing.T) {
	shown := &tls.Certificate{}
	p := New(Config{Certificate: func() (*tls.Certificate, error) { return shown, nil }})
	svc := &apiregistrationv1.APIService{Spec: apiregistrationv1.APIServiceSpec{Service: &apiregistrationv1.ServiceReference{Namespace: "n", Name: "s"}}}
	first, err := p.transport(svc)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := p.transport(svc); again != first {
		t.Error("with the same certificate there are other connections")
	}
	shown = &tls.Certificate{}
	next, err := p.transport(svc)
	if err != nil || next == first {
		t.Fatalf("with another certificate the connections are the same (%v)", err)
	}
	if got, err := next.TLSClientConfig.GetClientCertificate(nil); got != shown || err != nil {
		t.Errorf("shown is %p, want %p (%v)", got, shown, err)
	}
}
