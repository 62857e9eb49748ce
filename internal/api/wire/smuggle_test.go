package wire_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// heard is a proxied target that answers in a way of its own, and keeps what it was asked.
type heard struct {
	mu       sync.Mutex
	requests []string // method, path as it was sent, and body
	headers  []http.Header
}

func (h *heard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its client was told that it is broken, and nobody does what it says
	}
	h.mu.Lock()
	h.requests = append(h.requests, r.Method+" "+r.RequestURI+" "+string(body))
	h.headers = append(h.headers, r.Header.Clone())
	h.mu.Unlock()
	w.Header().Set("X-Target", "here")
	fmt.Fprint(w, "said")
}

// take is what was asked since the last time.
func (h *heard) take() (requests []string, headers []http.Header) {
	h.mu.Lock()
	defer h.mu.Unlock()
	requests, headers = h.requests, h.headers
	h.requests, h.headers = nil, nil
	return requests, headers
}

// listened is an API whose pod web is a target that keeps what it hears.
func listened(t *testing.T) (*served, *heard) {
	t.Helper()
	s, h := connected(t), &heard{}
	target := httptest.NewServer(h)
	t.Cleanup(target.Close)
	s.handler.Proxy = &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, target.Listener.Addr().String())
	}}
	return s, h
}

// raw sends text as it is over a connection of its own, and returns the answers as far as there are any.
func (s *served) raw(t *testing.T, text string) string {
	t.Helper()
	conn := s.dial(t)
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) { // any other is a refusal's, which may reset what is left
		t.Errorf("%.300q: the connection does not end: %v", text, err)
	}
	return string(answer)
}

const webProxy = "/api/v1/namespaces/default/pods/web/proxy"

// TestProxiedPathsAreOnePods: whatever stands in a path, it is answered by the pod that it begins with, or not at all; no dots, slashes or ends of lines,
// however they are written, lead to another object, to the API itself, or into the target's headers.
func TestProxiedPathsAreOnePods(t *testing.T) {
	s, h := listened(t)
	if answer := s.raw(t, "GET "+webProxy+"/ok HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.Contains(answer, "X-Target: here") {
		t.Fatalf("an ordinary request: %s", answer)
	}
	h.take()
	for _, path := range []string{
		"/../../../../secrets", "/..%2f..%2f..%2fsecrets", "/%2e%2e/%2e%2e/secrets", "/%252e%252e/secrets", `/..\..\secrets`, "/..%5c..%5csecrets", "//other.example.com/",
		"/a%0d%0aX-Evil:%20yes", "/a%0aGET%20/secrets%20HTTP/1.1%0d%0a%0d%0a", "/a%00b", "/a;/../..", "/a?b=%0d%0aX-Evil:%20yes", "/pods/web/proxy/x", "/http://other.example.com/",
	} {
		answer := s.raw(t, "GET "+webProxy+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		requests, headers := h.take()
		target := strings.Contains(answer, "X-Target: here")
		if refused := strings.HasPrefix(answer, "HTTP/1.1 4"); target == refused || target != (len(requests) == 1) {
			t.Errorf("%s: the target heard %q, the client got %.300s", path, requests, answer)
		}
		for i, r := range requests {
			if headers[i].Get("X-Evil") != "" || strings.ContainsAny(r, "\r\n") {
				t.Errorf("%s: the target heard %q with %v", path, r, headers[i])
			}
		}
	}
	for _, path := range []string{
		"/api/v1/namespaces/default/pods/../secrets", "/api/v1/namespaces/../namespaces/kube-system/secrets", "/api/v1/namespaces/default/pods/%2e%2e/proxy/",
		"/api/v1/namespaces/default/pods/..%2f..%2fnodes%2fone/proxy/", "/api/v1/namespaces/default/pods/web:80@10.0.0.1/proxy/",
		"/api/v1/namespaces/default/pods/file:web:/proxy/etc/passwd", "/api/v1/nodes/..%2f/proxy/", "/api/v1/namespaces/default/services/http:svc:http%2f@x/proxy/",
	} {
		answer := s.raw(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		if requests, _ := h.take(); strings.HasPrefix(answer, "HTTP/1.1 2") || len(requests) > 0 {
			t.Errorf("%s: the target heard %q, the client got %.300s", path, requests, answer)
		}
	}
}

// TestProxiedRequestsAreNotTwo: what two servers could read as one request or as two reaches the target as one, or not at all.
func TestProxiedRequestsAreNotTwo(t *testing.T) {
	s, h := listened(t)
	const head, second = "POST " + webProxy + "/ HTTP/1.1\r\nHost: x\r\n", "GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	for name, text := range map[string]string{
		"a length and chunks":     head + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(second)) + second,
		"chunks, then a length":   head + fmt.Sprintf("Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n0\r\n\r\n", 5+len(second)) + second,
		"two lengths":             head + fmt.Sprintf("Content-Length: 0\r\nContent-Length: %d\r\n\r\n", len(second)) + second,
		"odd chunks":              head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + second,
		"chunks twice":            head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + second,
		"a space before a colon":  head + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + second,
		"a folded header":         head + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + second,
		"a chunk's long size":     head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff0\r\n\r\n" + second,
		"an end of line alone":    head + "X: a\nContent-Length: 0\r\n\r\n" + second,
		"more than its length":    head + "Content-Length: 0\r\n\r\n" + second,
		"an upgrade that is none": "GET " + webProxy + "/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + second,
		"HTTP/2 without TLS":      "GET " + webProxy + "/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" + second,
	} {
		answer := s.raw(t, text)
		requests, _ := h.take()
		if len(requests) > 1 || slices.ContainsFunc(requests, func(r string) bool { return strings.Contains(r, "/smuggled") }) {
			t.Errorf("%s: the target heard %q, the client got %.600s", name, requests, answer)
		}
		if !strings.HasPrefix(answer, "HTTP/1.1 ") {
			t.Errorf("%s: the client got %.300q", name, answer)
		}
	}
}

// TestProxiedHeadersAreOurs: a target learns nothing that was shown to the API, and nobody's word about who is asking.
func TestProxiedHeadersAreOurs(t *testing.T) {
	s, h := listened(t)
	for _, kept := range []string{"", "Connection: X-Kept\r\n"} {
		answer := s.raw(t, "GET "+webProxy+"/ HTTP/1.0\r\nHost: x\r\n"+kept+"Authorization: Bearer secret\r\nImpersonate-User: jane\r\nImpersonate-Group: system:masters\r\nProxy-Authorization: Basic eDp5\r\n\r\n")
		requests, headers := h.take()
		if len(requests) != 1 {
			t.Fatalf("the target heard %q, the client got %.300s", requests, answer)
		}
		for _, name := range []string{"Authorization", "Impersonate-User", "Impersonate-Group", "Proxy-Authorization"} {
			if got := headers[0].Get(name); got != "" {
				t.Errorf("the target heard %s: %s", name, got)
			}
		}
	}
}

// TestUpgradesThatAreRefusedEnd: when the target does not agree to another protocol, what the client sends next is not told to it.
func TestUpgradesThatAreRefusedEnd(t *testing.T) {
	s, h := listened(t)
	conn := s.dial(t)
	fmt.Fprintf(conn, "GET %s/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", webProxy)
	from := bufio.NewReader(conn)
	resp, err := http.ReadResponse(from, nil)
	if err != nil || resp.StatusCode == http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_, _ = io.WriteString(conn, "GET /smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") // it may be closed already
	_, _ = io.Copy(io.Discard, from)
	if requests, _ := h.take(); len(requests) != 1 {
		t.Errorf("the target heard %q", requests)
	}
}

// TestProxiesReachNoAddressOfChoice: who writes a pod's status, a node's or endpoints chooses no address of the server's own machine or of its link, where
// clouds tell secrets.
func TestProxiesReachNoAddressOfChoice(t *testing.T) {
	s, h := listened(t)
	for _, ip := range []string{"127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "fe80::1", "::", "ff02::1", "::ffff:127.0.0.1", "localhost", "10.9.8.7:80@127.0.0.1"} {
		resp := s.send(t, "PUT /api/v1/namespaces/default/pods/two/status\n\n"+fmt.Sprintf(`{"metadata": {"name": "two"}, "status": {"podIP": %q, "podIPs": [{"ip": %q}]}}`, ip, ip))
		resp.Body.Close()
		written := resp.StatusCode == http.StatusOK
		resp = s.send(t, "PUT /api/v1/nodes/one/status\n\n"+fmt.Sprintf(`{"metadata": {"name": "one"}, "status": {"addresses": [{"type": "InternalIP", "address": %q}]}}`, ip))
		resp.Body.Close()
		for _, path := range []string{"/api/v1/namespaces/default/pods/two:80/proxy/", "/api/v1/nodes/one:81/proxy/"} {
			resp := s.send(t, "GET "+path+"\n")
			text := show(t, resp)
			if requests, _ := h.take(); resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, "address not allowed") || len(requests) > 0 {
				t.Errorf("%s at %s (written: %t): the target heard %q, the client got %s", path, ip, written, requests, text)
			}
		}
	}
}
