package wire_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// kubelet is a node's API that answers an exec over SPDY: what comes in goes out, and the path goes to the error stream.
func kubelet(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "websocket" {
			echo(w, r)
			return
		}
		if !httpstream.IsUpgradeRequest(r) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("X-Saw", r.Method+" "+r.URL.String()+r.Header.Get("Authorization"))
			fmt.Fprint(w, `<a href="/other">other</a>`)
			return
		}
		if _, err := httpstream.Handshake(r, w, []string{"v4.channel.k8s.io"}); err != nil {
			return
		}
		streams := make(chan httpstream.Stream, 4)
		conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
			streams <- s
			return nil
		})
		if conn == nil {
			return
		}
		defer conn.Close()
		by := map[string]httpstream.Stream{}
		for len(by) < 4 {
			select {
			case s := <-streams:
				by[s.Headers().Get(corev1.StreamType)] = s
			case <-conn.CloseChan():
				return
			}
		}
		_, _ = io.WriteString(by[corev1.StreamTypeStderr], r.URL.String())
		_, _ = io.Copy(by[corev1.StreamTypeStdout], by[corev1.StreamTypeStdin])
		_, _ = io.WriteString(by[corev1.StreamTypeError], `{"status":"Success"}`)
	}))
	t.Cleanup(s.Close)
	return s
}

// echo takes the connection over, tells the path, and says back what it hears.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Saw: %s\r\n\r\n", r.URL)
	if buffered.Flush() == nil {
		_, _ = io.Copy(conn, buffered)
	}
}

// connected is an API with the node one, a pod on it that listens nowhere but in the test, a pod of two containers nowhere, and a service.
func connected(t *testing.T) *served {
	t.Helper()
	s := serve(t)
	node := kubelet(t)
	at, err := url.Parse(node.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.handler.Node = func(context.Context, string) (*url.URL, http.RoundTripper, error) { return at, &http.Transport{}, nil }
	s.handler.Proxy = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "10.9.8.7:8080" {
			return nil, errors.New("nothing listens on " + address)
		}
		return (&net.Dialer{}).DialContext(ctx, network, at.Host)
	}}
	for _, text := range []string{
		"POST /api/v1/nodes\n\n" + `{"metadata": {"name": "one"}}`,
		"POST /api/v1/namespaces/default/pods\n\n" + `{"metadata": {"name": "web"}, "spec": {"nodeName": "one", "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 8080}]}]}}`,
		"POST /api/v1/namespaces/default/pods\n\n" + `{"metadata": {"name": "two"}, "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}}`,
		"PUT /api/v1/namespaces/default/pods/web/status\n\n" + `{"metadata": {"name": "web"}, "status": {"podIP": "10.9.8.7", "podIPs": [{"ip": "10.9.8.7"}]}}`,
		"POST /api/v1/namespaces/default/endpoints\n\n" + `{"metadata": {"name": "svc"}, "subsets": [{"ports": [{"name": "http", "port": 8080}], "addresses": [{"ip": "10.9.8.9"}, {"ip": "10.9.8.7", "targetRef": {"kind": "Pod", "namespace": "default", "name": "web"}}]}]}`,
	} {
		resp := s.send(t, text)
		if resp.StatusCode >= 300 {
			t.Fatalf("%s: %s", text, show(t, resp))
		}
		resp.Body.Close()
	}
	return s
}

// dial is a connection of the test's own, which ends with it.
func (s *served) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestExecOverSPDY: client-go's own executor reaches the container through the API.
func TestExecOverSPDY(t *testing.T) {
	s := connected(t)
	to, err := url.Parse(s.URL + "/api/v1/namespaces/default/pods/web/exec?command=cat&command=-&stdin=true&stdout=true&stderr=true")
	if err != nil {
		t.Fatal(err)
	}
	executor, err := remotecommand.NewSPDYExecutor(&rest.Config{Host: s.URL}, http.MethodPost, to)
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	err = executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader("hello"), Stdout: &out, Stderr: &errOut})
	if err != nil || out.String() != "hello" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if want := "/exec/default/web/c?command=cat&command=-&error=1&input=1&output=1"; errOut.String() != want {
		t.Errorf("the node was asked for %q, want %q", errOut.String(), want)
	}
}

// TestWebSocketsGoOn: what a client and a node say over a WebSocket passes, once the API has agreed to the command.
func TestWebSocketsGoOn(t *testing.T) {
	s := connected(t)
	for _, place := range []string{"exec?command=sh&stdout=true", "proxy/socket"} {
		conn := s.dial(t)
		fmt.Fprintf(conn, "GET /api/v1/namespaces/default/pods/web/%s HTTP/1.1\r\nHost: floe\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", place)
		from := bufio.NewReader(conn)
		resp, err := http.ReadResponse(from, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{true: "/exec/default/web/c?command=sh&output=1", false: "/socket"}[strings.HasPrefix(place, "exec")]
		if resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("X-Saw") != want {
			t.Fatalf("%s: %s, the node saw %q, want %q", place, resp.Status, resp.Header.Get("X-Saw"), want)
		}
		fmt.Fprintln(conn, "hello")
		if line, err := from.ReadString('\n'); err != nil || line != "hello\n" {
			t.Errorf("%s: got %q, %v", place, line, err)
		}
	}
}

// TestServingEndsStreams: a connection that nobody ends does not hold the server.
func TestServingEndsStreams(t *testing.T) {
	s := connected(t)
	to, err := url.Parse(s.URL + "/api/v1/namespaces/default/pods/web/exec?command=cat&stdin=true&stdout=true&stderr=true")
	if err != nil {
		t.Fatal(err)
	}
	executor, err := remotecommand.NewSPDYExecutor(&rest.Config{Host: s.URL}, http.MethodPost, to)
	if err != nil {
		t.Fatal(err)
	}
	in, hold := io.Pipe()
	defer hold.Close()
	begun := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: in, Stdout: io.Discard, Stderr: opening{begun}})
	}()
	<-begun
	s.handler.End()
	<-ended // client-go takes the end for success or for an error, as it comes
}

// opening closes its channel at the first write.
type opening struct{ first chan struct{} }

func (o opening) Write(p []byte) (int, error) {
	close(o.first)
	return len(p), nil
}

// TestProxies: requests of every method go on, with their path, and links in answers lead back here.
func TestProxies(t *testing.T) {
	s := connected(t)
	for path, saw := range map[string]string{
		"/api/v1/namespaces/default/pods/web/proxy/a/b/?q=1":    "/a/b/?q=1",
		"/api/v1/namespaces/default/pods/http:web:8080/proxy/a": "/a",
		"/api/v1/namespaces/default/services/svc:http/proxy/":   "/",
		"/api/v1/nodes/one/proxy/healthz":                       "/healthz",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"} {
			resp := s.send(t, method+" "+path+"\nAuthorization: Bearer secret\n")
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := resp.Header.Get("X-Saw"); err != nil || got != method+" "+saw {
				t.Errorf("%s %s: %d, the target saw %q, want %q; %s", method, path, resp.StatusCode, got, method+" "+saw, body)
			}
			prefix, _, _ := strings.Cut(path, "/proxy")
			if method == "GET" && !strings.Contains(string(body), prefix+"/proxy/other") {
				t.Errorf("%s: a link leads to %s", path, body)
			}
		}
	}
}

// TestConnectRefusals are upstream's.
func TestConnectRefusals(t *testing.T) {
	s := connected(t)
	for text, want := range map[string]string{
		"GET /api/v1/namespaces/default/pods/web/exec?command=x":                                                                 `400: Upgrade request required`,
		"POST /api/v1/namespaces/default/pods/web/attach":                                                                        `400: Upgrade request required`,
		"POST /api/v1/namespaces/default/pods/web/portforward?ports=80":                                                          `400: Upgrade request required`,
		"GET /api/v1/namespaces/default/pods/web/exec?container=x":                                                               `400: container x is not valid for pod web`,
		"GET /api/v1/namespaces/default/pods/two/exec":                                                                           `400: a container name must be specified for pod two, choose one of: [a b]`,
		"GET /api/v1/namespaces/default/pods/two/exec?container=a":                                                               `400: pod two does not have a host assigned`,
		"GET /api/v1/namespaces/default/pods/none/exec":                                                                          `404: pods "none" not found`,
		"PUT /api/v1/namespaces/default/pods/web/exec":                                                                           `405: the server does not allow this method on the requested resource`,
		"GET /api/v1/namespaces/default/pods/two/proxy/":                                                                         `400: address not allowed`,
		"GET /api/v1/namespaces/default/pods/none/proxy/":                                                                        `404: pods "none" not found`,
		"GET /api/v1/namespaces/default/pods/a:b:c:d/proxy/":                                                                     `400: invalid pod request "a:b:c:d"`,
		"GET /api/v1/namespaces/default/services/none/proxy/":                                                                    `404: services "none" not found`,
		"GET /api/v1/namespaces/default/services/svc:other/proxy/":                                                               `503: no endpoints available for service "svc:other"`,
		"GET /api/v1/namespaces/default/pods/web/exec?command=x\nX-User: system:serviceaccount:kube-system:namespace-controller": `403: pods "web" is forbidden: User "system:serviceaccount:kube-system:namespace-controller" cannot create resource "pods/exec" in API group "" in the namespace "default"`,
		"GET /api/v1/nodes/none/proxy/":                                                                                          `404: nodes "none" not found`,
		"GET /api/v1/namespaces/default/pods/web/proxy\nX-User: bob":                                                             `403: pods "web" is forbidden: User "bob" cannot get resource "pods/proxy" in API group "" in the namespace "default"`,
		"GET /api/v1/namespaces/default/pods/web/exec?command=x\nX-User: bob":                                                    `403: pods "web" is forbidden: User "bob" cannot get resource "pods/exec" in API group "" in the namespace "default"`,
	} {
		resp := s.send(t, text+"\n")
		var status metav1.Status
		err := json.NewDecoder(resp.Body).Decode(&status)
		resp.Body.Close()
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := fmt.Sprintf("%d: %s", resp.StatusCode, status.Message); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}

// TestConnectionsAreThrottled: what passes over one takes the time that its limit says.
func TestConnectionsAreThrottled(t *testing.T) {
	s := connected(t)
	s.handler.MaxBytesPerSec = 8000
	conn := s.dial(t)
	fmt.Fprintf(conn, "GET /api/v1/namespaces/default/pods/web/exec?command=sh&stdout=true HTTP/1.1\r\nHost: floe\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	from := bufio.NewReader(conn)
	if _, err := http.ReadResponse(from, nil); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	fmt.Fprintln(conn, strings.Repeat("x", 4000))
	line, err := from.ReadString('\n')
	if took := time.Since(began); err != nil || len(line) != 4001 || took < 300*time.Millisecond {
		t.Errorf("%d bytes, %v, in %s, which should take half a second", len(line), err, took)
	}
}
