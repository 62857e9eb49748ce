package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/pki"
)

// TestAggregation: a server that an API service names is found to answer, knows this one by what the cluster tells it, and is told of the user.
func TestAggregation(t *testing.T) {
	c := serveCluster(t)
	k, ctx := kubernetes.NewForConfigOrDie(c.config), t.Context()
	var told *corev1.ConfigMap
	until(t, "whom to believe", func() (ok bool, err error) {
		told, err = k.CoreV1().ConfigMaps("kube-system").Get(ctx, "extension-apiserver-authentication", metav1.GetOptions{})
		return err == nil, err
	})
	for key, want := range map[string]string{
		"client-ca-file": string(c.config.CAData), "requestheader-allowed-names": `["front-proxy-client"]`, "requestheader-username-headers": `["X-Remote-User"]`,
		"requestheader-uid-headers": `["X-Remote-Uid"]`, "requestheader-group-headers": `["X-Remote-Group"]`, "requestheader-extra-headers-prefix": `["X-Remote-Extra-"]`,
	} {
		if told.Data[key] != want {
			t.Errorf("%s: %q, want %q", key, told.Data[key], want)
		}
	}
	fronts := x509.NewCertPool()
	if !fronts.AppendCertsFromPEM([]byte(told.Data["requestheader-client-ca-file"])) {
		t.Fatal("no authority of front proxies")
	}
	port, bundle := shows(t, fronts)
	must(k.CoreV1().Services("default").Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{}))(t)
	svc := &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1.x.example.com"}, Spec: apiregistrationv1.APIServiceSpec{
		Group: "x.example.com", Version: "v1", GroupPriorityMinimum: 100, VersionPriority: 10, CABundle: bundle,
		Service: &apiregistrationv1.ServiceReference{Namespace: "default", Name: "s", Port: &port},
	}}
	const apiServices = "/apis/apiregistration.k8s.io/v1/apiservices"
	svc.APIVersion, svc.Kind = "apiregistration.k8s.io/v1", "APIService"
	if err := k.RESTClient().Post().AbsPath(apiServices).Body(must(json.Marshal(svc))(t)).Do(ctx).Error(); err != nil {
		t.Fatal(err)
	}
	until(t, "that the server answers", func() (bool, error) {
		text, err := k.RESTClient().Get().AbsPath(apiServices, svc.Name).DoRaw(ctx)
		return err == nil && strings.Contains(string(text), `"reason":"Passed","message":"all checks passed"`), err
	})
	until(t, "that discovery shows it", func() (bool, error) {
		groups, err := k.Discovery().ServerGroups()
		return err == nil && slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == "x.example.com" }), err
	})
	raw := rest.CopyConfig(c.config)
	raw.Impersonate = rest.ImpersonationConfig{UserName: "jane", Groups: []string{"system:masters"}, Extra: map[string][]string{"a/b": {"c"}}}
	text := must(kubernetes.NewForConfigOrDie(raw).RESTClient().Get().AbsPath("/apis/x.example.com/v1/things").DoRaw(ctx))(t)
	if want := "front-proxy-client jane [system:masters system:authenticated] [c]"; string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

// shows serves over TLS as s.default.svc to front proxies, and says who they say the user is.
func shows(t *testing.T, fronts *x509.CertPool) (port int32, bundle []byte) {
	t.Helper()
	authority, err := pki.Open(t.TempDir(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	cert := must(must(authority.Server("s", []string{"s.default.svc"}, nil))(t).TLS())(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.TLS.PeerCertificates[0].Subject.CommonName, " ", r.Header.Get("X-Remote-User"), " ", r.Header["X-Remote-Group"], " ", r.Header["X-Remote-Extra-A%2fb"])
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: fronts}
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	n, err := strconv.Atoi(must(url.Parse(server.URL))(t).Port())
	if err != nil {
		t.Fatal(err)
	}
	return int32(n), authority.CertPEM()
}

// TestFrontProxyFiles: a certificate of one's own stands in for floe's, and goes with its key.
func TestFrontProxyFiles(t *testing.T) {
	env := alone(filepath.Join(t.TempDir(), "data"))
	env.Config.Aggregation.ProxyClientCertFile = "front.crt"
	if err := env.Config.Complete(); err == nil || !strings.Contains(err.Error(), "--proxy-client-key-file") {
		t.Errorf("half an identity: %v", err)
	}
}
