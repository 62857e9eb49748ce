package wire_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/api/aggregate"
	"github.com/floe-k8s/floe/internal/pki"
)

// aggregated is an API with somebody else's server at /apis/x.example.com/v1, the service n/s.
type aggregated struct {
	*served
	service *apiregistrationv1.APIService
	address *url.URL
	calls   atomic.Int32  // that the server has seen
	form    atomic.Int32  // of discovery: 0 the new one; from 2 on there are OpenAPI documents of version 2 only
	ended   chan struct{} // told of each watch that the server saw end
	proxy   *aggregate.Proxy
}

func aggregating(t *testing.T, change func(*aggregated)) *aggregated {
	t.Helper()
	authority := authorityOf(t)
	front := authorityOf(t)
	a := &aggregated{served: serve(t), ended: make(chan struct{}, 1)}
	certificate := identityOf(t)(authority.Server("s", []string{"s.n.svc"}, nil))
	server := httptest.NewUnstartedServer(http.HandlerFunc(a.answer))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: front.Pool()}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	a.address = &url.URL{Scheme: "https", Host: server.Listener.Addr().String()}
	a.service = &apiregistrationv1.APIService{
		Spec: apiregistrationv1.APIServiceSpec{
			Group: "x.example.com", Version: "v1", CABundle: authority.CertPEM(), Service: &apiregistrationv1.ServiceReference{Namespace: "n", Name: "s", Port: new(int32(443))},
		},
		Status: apiregistrationv1.APIServiceStatus{Conditions: []apiregistrationv1.APIServiceCondition{{Type: "Available", Status: "True"}}},
	}
	a.service.Name = "v1.x.example.com"
	identity := identityOf(t)(front.Client("front-proxy-client"))
	a.proxy = aggregate.New(aggregate.Config{
		Services: func(name string) *apiregistrationv1.APIService {
			if name == "v1.x.example.com" || name == "v1.apps" {
				return a.service
			}
			return nil
		},
		Resolve: func(namespace, name string, port int32) (*url.URL, error) {
			if namespace+"/"+name != "n/s" || port != 443 {
				return nil, errors.New("no such service")
			}
			return a.address, nil
		},
		Certificate: func() (*tls.Certificate, error) { return &identity, nil },
	})
	change(a)
	a.handler.Aggregate = a.proxy
	return a
}

func authorityOf(t *testing.T) *pki.Authority {
	t.Helper()
	authority, err := pki.Open(t.TempDir(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

func identityOf(t *testing.T) func(pki.Identity, error) tls.Certificate {
	return func(id pki.Identity, err error) tls.Certificate {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		cert, err := id.TLS()
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
}

// answer is the server.
func (a *aggregated) answer(w http.ResponseWriter, r *http.Request) {
	a.calls.Add(1)
	switch {
	case r.Header.Get("Upgrade") == "websocket":
		r.URL.Path += " " + strings.Join(r.Header["X-Remote-User"], ",") + " " + r.Header.Get("Connection")
		echo(w, r)
	case r.URL.Query().Get("watch") != "":
		fmt.Fprintln(w, "first")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		a.ended <- struct{}{}
	case r.URL.Path == "/apis" && a.form.Load() == 0:
		w.Header().Set("Content-Type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		fmt.Fprint(w, `{"items":[{"metadata":{"name":"x.example.com"},"versions":[{"version":"v1","resources":[{"resource":"whole","scope":"Namespaced",`+
			`"responseKind":{"kind":"Thing"},"subresources":[{"subresource":"status"}]}]}]}]}`)
	case r.URL.Path == "/openapi/v3" && a.form.Load() >= 2:
		http.NotFound(w, r)
	case r.URL.Path == "/openapi/v2" && a.form.Load() >= 2:
		fmt.Fprint(w, a.documents2()[a.form.Load()-2])
	case r.URL.Path == "/openapi/v2":
		http.NotFound(w, r)
	case r.URL.Path == "/openapi/v3":
		fmt.Fprint(w, `{"paths":{"apis/x.example.com/v1":{"serverRelativeURL":"/openapi/v3/apis/x.example.com/v1?hash=1"},"apis/y.example.com/v1":{"serverRelativeURL":"/y"}}}`)
	case r.URL.Path == "/apis":
		http.NotFound(w, r)
	case r.URL.Path == "/apis/x.example.com/v1" && a.form.Load() >= 1:
		fmt.Fprint(w, `{"resources":[{"name":"legacy","namespaced":true,"kind":"Thing","verbs":["get"]},{"name":"legacy/status","kind":"Thing"}]}`)
	case strings.HasSuffix(r.URL.Path, "/elsewhere"):
		http.Redirect(w, r, "https://elsewhere.example.com/", http.StatusFound)
	case r.Method == http.MethodPost:
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, n, err)
	default:
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintln(w, r.TLS.PeerCertificates[0].Subject.CommonName, r.Host == a.address.Host, r.URL)
		names := []string{}
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-Remote-") || name == "Authorization" || strings.HasPrefix(name, "Impersonate-") {
				names = append(names, name+": "+strings.Join(values, ", ")+"\n")
			}
		}
		slices.Sort(names)
		fmt.Fprint(w, strings.Join(names, ""))
	}
}

// get returns the status and the body of an answer.
func (a *aggregated) get(t *testing.T, text string) string {
	t.Helper()
	resp := a.send(t, text)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", strings.TrimSuffix(string(body), "\n"))
}

// TestAggregatedIdentity: the server is told of the user by this server, and by nobody else.
func TestAggregatedIdentity(t *testing.T) {
	a := aggregating(t, func(*aggregated) {})
	for name, c := range map[string]struct{ request, want string }{
		"plain": {"GET /apis/x.example.com/v1/things?b=1&a=%2F", "200 front-proxy-client true /apis/x.example.com/v1/things?a=%2F&b=1\n"},
		"claims": {"GET /apis/x.example.com/v1/things\nX-Remote-User: boss\nX-Remote-Group: system:masters\nX-Remote-Uid: 1\nX-Remote-Extra-Scopes: all\nAuthorization: Bearer secret",
			"200 front-proxy-client true /apis/x.example.com/v1/things\n"},
		"hop by hop": {"GET /apis/x.example.com/v1/things\nConnection: X-Remote-User, X-Remote-Group, close", "200 front-proxy-client true /apis/x.example.com/v1/things\n"},
		"discovery":  {"GET /apis/x.example.com/v1", "200 front-proxy-client true /apis/x.example.com/v1\n"},
		"slash":      {"GET /apis/x.example.com/v1/", "200 front-proxy-client true /apis/x.example.com/v1/\n"},
		"escaped":    {"GET /apis/x.example.com/v1/things/a%20b%2Fc%3Fd", "200 front-proxy-client true /apis/x.example.com/v1/things/a%20b/c%3Fd\n"},
	} {
		want := c.want + "X-Remote-Group: system:masters, system:authenticated\nX-Remote-User: admin"
		if got := a.get(t, c.request); got != want {
			t.Errorf("%s: got %s\nwant %s", name, got, want)
		}
	}
}

// TestAggregatedRefusals: who may not ask is told here, and paths that could mean something else go nowhere.
func TestAggregatedRefusals(t *testing.T) {
	a := aggregating(t, func(*aggregated) {})
	for name, c := range map[string]struct{ request, want string }{
		"no right":         {"GET /apis/x.example.com/v1/things\nX-User: joe", `403 {"kind":"Status"`},
		"no right to path": {"GET /apis/x.example.com/v1\nX-User: system:anonymous", `403 {"kind":"Status"`},
		"up":               {"GET /apis/x.example.com/v1/things/../../../../api/v1/secrets", "404 "},
		"up, escaped":      {"GET /apis/x.example.com/v1/things/%2e%2e/%2e%2e/secrets", "404 "},
		"up, in one":       {"GET /apis/x.example.com/v1/things/..%2F..%2Fsecrets", "404 "},
		"here":             {"GET /apis/x.example.com/v1/./things", "404 "},
		"empty":            {"GET /apis/x.example.com/v1//things", "404 "},
		"another group":    {"GET /apis/y.example.com/v1/things", "404 "},
		"another version":  {"GET /apis/x.example.com/v2/things", "404 "},
		"local":            {"GET /apis/apps/v1/deployments", `200 {"kind":"DeploymentList"`},
		"local, missing":   {"GET /apis/apps/v1/things", "404 "},
		"local discovery":  {"GET /apis/apps/v1", `200 {"kind":"APIResourceList"`},
	} {
		if got := a.get(t, c.request); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s\nwant %s", name, got, c.want)
		}
	}
	if n := a.calls.Load(); n != 0 {
		t.Errorf("%d calls were led on", n)
	}
}

// TestAggregatedFailures: upstream's words for servers that cannot be reached.
func TestAggregatedFailures(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for name, c := range map[string]struct {
		change func(*aggregated)
		want   string
	}{
		"unavailable": {func(a *aggregated) { a.service.Status.Conditions[0].Status = "False" }, "503 service unavailable"},
		"unknown":     {func(a *aggregated) { a.service.Status.Conditions = nil }, "503 service unavailable"},
		"no service":  {func(a *aggregated) { a.service.Spec.Service.Name = "t" }, "503 service unavailable"},
		"nobody there": {func(a *aggregated) { a.address = &url.URL{Host: gone.Addr().String()} },
			"503 error trying to reach service: dial tcp " + gone.Addr().String() + ": connect: connection refused"},
		"not trusted": {func(a *aggregated) { a.service.Spec.CABundle = nil }, "503 error trying to reach service: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		"another's": {func(a *aggregated) { a.service.Spec.CABundle = authorityOf(t).CertPEM() },
			"503 error trying to reach service: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		"no bundle": {func(a *aggregated) { a.service.Spec.CABundle = []byte("x") }, "500 unable to load root certificates: unable to parse bytes as PEM block"},
		// TLS 1.3 refuses a client's certificate after the handshake: whether this side reads the alert or finds the connection gone is a race.
		"no certificate of ours": {func(a *aggregated) { a.proxy.Certificate = nil }, "503 error trying to reach service: "},
		"all trusted":            {func(a *aggregated) { a.service.Spec.CABundle, a.service.Spec.InsecureSkipTLSVerify = nil, true }, "200 front-proxy-client"},
	} {
		if got := aggregating(t, c.change).get(t, "GET /apis/x.example.com/v1/things"); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s\nwant %s", name, got, c.want)
		}
	}
}

// TestAggregatedRedirects: a server cannot make a client go elsewhere, unless that is configured.
func TestAggregatedRedirects(t *testing.T) {
	a := aggregating(t, func(*aggregated) {})
	a.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	const request = "GET /apis/x.example.com/v1/elsewhere"
	if got := a.get(t, request); got != "502 the backend attempted to redirect this request, which is not permitted" {
		t.Error(got)
	}
	a.proxy.ForwardRedirects = true
	if got := a.get(t, request); !strings.HasPrefix(got, "302 ") {
		t.Error(got)
	}
}

// TestAggregatedBody: what is larger than this server itself takes goes through, and a body that says its length twice is one body.
func TestAggregatedBody(t *testing.T) {
	a := aggregating(t, func(*aggregated) {})
	if got := a.get(t, "POST /apis/x.example.com/v1/things\n\n"+strings.Repeat("x", 5<<20)); got != fmt.Sprint("200 ", 5<<20, " <nil>") {
		t.Error(got)
	}
	conn, err := net.Dial("tcp", a.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	before := a.calls.Load()
	fmt.Fprint(conn, "POST /apis/x.example.com/v1/things HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"+
		"0\r\n\r\nGET /apis/x.example.com/v1/smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, io.EOF) && len(answer) == 0 {
		t.Fatal(err)
	}
	if n := strings.Count(string(answer), "HTTP/1.1 "); n != 1 || a.calls.Load()-before > 1 {
		t.Errorf("%d answers, %d calls: %s", n, a.calls.Load()-before, answer)
	}
}

// TestAggregatedWatch: what a server says arrives at once, and it learns that the client has gone.
func TestAggregatedWatch(t *testing.T) {
	a := aggregating(t, func(*aggregated) {})
	resp := a.send(t, "GET /apis/x.example.com/v1/things?watch=1")
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || line != "first\n" {
		t.Errorf("%q, %v", line, err)
	}
	resp.Body.Close()
	<-a.ended
}

// TestAggregatedDiscovery: groups of others stand at their places in both forms of discovery, stale while nobody answers for them.
func TestAggregatedDiscovery(t *testing.T) {
	a := aggregating(t, func(a *aggregated) { a.service.Spec.GroupPriorityMinimum, a.service.Spec.VersionPriority = 17725, 10 })
	groups := func() (out []string) {
		var list metav1.APIGroupList
		if err := json.Unmarshal([]byte(strings.TrimPrefix(a.get(t, "GET /apis"), "200 ")), &list); err != nil {
			t.Fatal(err)
		}
		for _, g := range list.Groups {
			out = append(out, g.Name)
		}
		return out
	}
	whole := func() (out apidiscoveryv2.APIGroupDiscovery) {
		var list apidiscoveryv2.APIGroupDiscoveryList
		text := a.get(t, "GET /apis\nAccept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
		if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "200 ")), &list); err != nil {
			t.Fatal(err)
		}
		for _, g := range list.Items {
			if g.Name == "x.example.com" {
				out = g
			}
		}
		return out
	}
	own := groups()
	local := &apiregistrationv1.APIService{Spec: apiregistrationv1.APIServiceSpec{Group: "apps", Version: "v1"}}
	discover := func() { a.proxy.Discover(t.Context(), []*apiregistrationv1.APIService{local, a.service}) }
	discover()
	at := slices.Index(own, "events.k8s.io") + 1
	if got, want := groups(), slices.Insert(slices.Clone(own), at, "x.example.com"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := a.get(t, "GET /apis/x.example.com"); got != `200 {"kind":"APIGroup","apiVersion":"v1","name":"x.example.com",`+
		`"versions":[{"groupVersion":"x.example.com/v1","version":"v1"}],"preferredVersion":{"groupVersion":"x.example.com/v1","version":"v1"}}` {
		t.Error(got)
	}
	for i, want := range []string{"whole", "legacy"} {
		a.form.Store(int32(i))
		discover()
		g := whole()
		if len(g.Versions) != 1 || g.Versions[0].Freshness != "Current" || len(g.Versions[0].Resources) != 1 {
			t.Fatalf("%s: %+v", want, g)
		}
		r := g.Versions[0].Resources[0]
		if r.Resource != want || r.Scope != "Namespaced" || r.ResponseKind.Kind != "Thing" || len(r.Subresources) != 1 || r.Subresources[0].Subresource != "status" {
			t.Errorf("%s: %+v", want, r)
		}
	}
	const document = "/openapi/v3/apis/x.example.com/v1?hash=1"
	if got := a.get(t, "GET /openapi/v3"); !strings.Contains(got, `"apis/x.example.com/v1":{"serverRelativeURL":"`+document+`"}`) || strings.Contains(got, "y.example.com") {
		t.Error(got)
	}
	if got := a.get(t, "GET "+document); !strings.HasPrefix(got, "200 front-proxy-client true "+document+"\n") {
		t.Error(got)
	}
	before := a.proxy.Added()
	if discover(); a.proxy.Added() != before {
		t.Error("the same was taken for news")
	}
	a.service = a.service.DeepCopy()
	a.service.Status.Conditions = nil
	discover()
	if g := whole(); len(g.Versions) != 1 || g.Versions[0].Freshness != "Stale" || len(g.Versions[0].Resources) != 0 {
		t.Errorf("stale: %+v", g)
	}
	a.proxy.Discover(t.Context(), nil)
	if got := groups(); !slices.Equal(got, own) {
		t.Errorf("gone: got %v, want %v", got, own)
	}
}

// TestAggregatedUpgrade: connections become what the server and its client make of them.
func TestAggregatedUpgrade(t *testing.T) {
	a := aggregating(t, func(*aggregated) {})
	conn, err := net.Dial("tcp", a.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /apis/x.example.com/v1/things/t/console HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade, X-Remote-User\r\nX-Remote-User: boss\r\n\r\n")
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if want := "/apis/x.example.com/v1/things/t/console%20admin%20Upgrade"; resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("X-Saw") != want {
		t.Fatalf("%d, saw %s, want %s", resp.StatusCode, resp.Header.Get("X-Saw"), want)
	}
	fmt.Fprintln(conn, "hello")
	if line, err := reader.ReadString('\n'); err != nil || line != "hello\n" {
		t.Errorf("%q, %v", line, err)
	}
}
