package egress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/grpc"
	"k8s.io/utils/clock"
	konnectivity "sigs.k8s.io/apiserver-network-proxy/konnectivity-client/proto/client"

	"github.com/floe-k8s/floe/internal/api/egress"
	"github.com/floe-k8s/floe/internal/pki"
)

// accept serves each connection of a listener until the test ends.
func accept(t *testing.T, at net.Listener, serve func(net.Conn)) {
	t.Helper()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := at.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = at.Close()
		all.Wait()
	})
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// echo is a server that says what it is told.
func echo(t *testing.T) (address string) {
	t.Helper()
	l := listen(t, "tcp", "127.0.0.1:0")
	accept(t, l, func(conn net.Conn) { _, _ = io.Copy(conn, conn) })
	return l.Addr().String()
}

// connects is a proxy by HTTP CONNECT, which answers as a test wants: 200 and the connection, or what is in answer.
func connects(t *testing.T, answer string) func(net.Conn) {
	return func(conn net.Conn) {
		in := bufio.NewReader(conn)
		req, err := http.ReadRequest(in)
		if err != nil {
			return // of a client that was not let in
		}
		if answer != "" {
			_, _ = io.WriteString(conn, answer)
			return
		}
		to, err := net.Dial("tcp", req.RequestURI)
		if err != nil || req.Method != http.MethodConnect {
			t.Errorf("%s %s: %v", req.Method, req.RequestURI, err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		join(conn, in, to)
	}
}

// join carries bytes both ways until one end closes.
func join(conn net.Conn, in io.Reader, to net.Conn) {
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(to, in)
		_ = to.Close()
	})
	_, _ = io.Copy(conn, to)
	_ = conn.Close()
	both.Wait()
}

// tunnels is a proxy by konnectivity's protocol, for one connection a stream.
type tunnels struct {
	konnectivity.UnimplementedProxyServiceServer
}

func (tunnels) Proxy(stream konnectivity.ProxyService_ProxyServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	ask := first.GetDialRequest()
	answer := &konnectivity.DialResponse{Random: ask.Random, ConnectID: 7}
	to, err := net.Dial(ask.Protocol, ask.Address)
	if err != nil {
		answer.Error = err.Error()
	}
	if err := stream.Send(&konnectivity.Packet{Type: konnectivity.PacketType_DIAL_RSP, Payload: &konnectivity.Packet_DialResponse{DialResponse: answer}}); err != nil || to == nil {
		return err
	}
	defer to.Close()
	buffer := make([]byte, 1<<10)
	for { // what is said is answered, one by one
		p, err := stream.Recv()
		if err != nil || p.Type == konnectivity.PacketType_CLOSE_REQ {
			return err
		}
		if _, err := to.Write(p.GetData().Data); err != nil {
			return err
		}
		n, err := to.Read(buffer)
		if err != nil {
			return err
		}
		data := &konnectivity.Data{ConnectID: 7, Data: buffer[:n]}
		if err := stream.Send(&konnectivity.Packet{Type: konnectivity.PacketType_DATA, Payload: &konnectivity.Packet_Data{Data: data}}); err != nil {
			return err
		}
	}
}

func write(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// selector is one whose cluster is reached by a connection.
func selector(t *testing.T, m *egress.Metrics, connection string) *egress.Selector {
	t.Helper()
	text := "apiVersion: apiserver.k8s.io/v1beta1\nkind: EgressSelectorConfiguration\negressSelections:\n- name: Cluster\n  connection: " + connection + "\n"
	s, err := egress.Read(write(t, text), m, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// said dials an address and returns what is answered to a word.
func said(dial egress.Dial, address string) (string, error) {
	conn, err := dial(context.Background(), "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "word"); err != nil {
		return "", err
	}
	heard := make([]byte, 4)
	_, err = io.ReadFull(conn, heard)
	return string(heard), err
}

// TestProxies: a word comes back through each sort of proxy.
func TestProxies(t *testing.T) {
	dir := t.TempDir()
	authority, err := pki.Open(dir, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	shown, err := authority.Server("proxy", []string{"proxy.example"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(shown.CertPEM, shown.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	us, err := authority.Client("floe")
	if err != nil {
		t.Fatal(err)
	}
	cert, key, ca := write(t, string(us.CertPEM)), write(t, string(us.KeyPEM)), write(t, string(authority.CertPEM()))
	plain, uds := listen(t, "tcp", "127.0.0.1:0"), listen(t, "unix", filepath.Join(dir, "http"))
	safe := tls.NewListener(listen(t, "tcp", "127.0.0.1:0"), &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: authority.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	})
	for _, l := range []net.Listener{plain, uds, safe} {
		accept(t, l, connects(t, ""))
	}
	tunnel := grpc.NewServer()
	konnectivity.RegisterProxyServiceServer(tunnel, tunnels{})
	ended := make(chan error, 1)
	socket := listen(t, "unix", filepath.Join(dir, "grpc"))
	go func() { ended <- tunnel.Serve(socket) }()
	t.Cleanup(func() {
		tunnel.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	to, m := echo(t), egress.NewMetrics()
	for name, connection := range map[string]string{
		"http":        fmt.Sprintf("{proxyProtocol: HTTPConnect, transport: {tcp: {url: 'http://%s'}}}", plain.Addr()),
		"unix socket": fmt.Sprintf("{proxyProtocol: HTTPConnect, transport: {uds: {udsName: %s}}}", uds.Addr()),
		"grpc":        fmt.Sprintf("{proxyProtocol: GRPC, transport: {uds: {udsName: %s}}}", socket.Addr()),
		"https": fmt.Sprintf("{proxyProtocol: HTTPConnect, transport: {tcp: {url: 'https://%s', tlsConfig: {caBundle: %s, clientCert: %s, clientKey: %s, tlsServerName: proxy.example}}}}",
			safe.Addr(), ca, cert, key),
	} {
		s := selector(t, m, connection)
		if got, err := said(s.To(egress.Cluster), to); got != "word" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if s.To(egress.Etcd) != nil || s.To(egress.ControlPlane) != nil {
			t.Errorf("%s: others are not reached directly", name)
		}
	}
	if n, err := testutil.GatherAndCount(registry(t, m), "apiserver_egress_dialer_dial_duration_seconds"); n != 3 || err != nil {
		t.Errorf("%d sorts of dials are counted: %v", n, err)
	}
	if selector(t, m, "{proxyProtocol: Direct}").To(egress.Cluster) != nil {
		t.Error("Direct goes through something")
	}
	var none *egress.Selector
	if none.To(egress.Cluster) != nil {
		t.Error("no file goes through something")
	}
}

// TestProxiesThatRefuse: what a proxy says that does not connect is told, and nothing of it is taken for the other end's word.
func TestProxiesThatRefuse(t *testing.T) {
	m := egress.NewMetrics()
	for name, c := range map[string]struct{ answer, want string }{
		"refuses": {"HTTP/1.1 403 No\r\n\r\n", "while dialing 127.0.0.1:1, code 403: 403 No"},
		"garbage": {"what?\r\n\r\n", "reading HTTP response from CONNECT to 127.0.0.1:1 via proxy"},
		"early":   {"HTTP/1.1 200 OK\r\n\r\nhello", "unexpected 5 bytes of buffered data from CONNECT proxy"},
		"endless": {"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 2<<20), "reading HTTP response"},
	} {
		l := listen(t, "tcp", "127.0.0.1:0")
		accept(t, l, connects(t, c.answer))
		dial := selector(t, m, fmt.Sprintf("{proxyProtocol: HTTPConnect, transport: {tcp: {url: 'http://%s'}}}", l.Addr())).To(egress.Cluster)
		if _, err := said(dial, "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if _, err := said(selector(t, m, "{proxyProtocol: HTTPConnect, transport: {uds: {udsName: /nowhere}}}").To(egress.Cluster), "127.0.0.1:1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a proxy that is not there: %v", err)
	}
	if _, err := said(selector(t, m, "{proxyProtocol: GRPC, transport: {uds: {udsName: /nowhere}}}").To(egress.Cluster), "127.0.0.1:1"); err == nil {
		t.Error("a tunnel to nowhere")
	}
	want := `# HELP apiserver_egress_dialer_dial_failure_count [ALPHA] Dial failure count, labeled by the protocol (http-connect or grpc), transport (tcp or uds), and stage (connect or proxy). The stage indicates at which stage the dial failed
# TYPE apiserver_egress_dialer_dial_failure_count counter
apiserver_egress_dialer_dial_failure_count{protocol="grpc",stage="connect",transport="uds"} 1
apiserver_egress_dialer_dial_failure_count{protocol="http_connect",stage="connect",transport="uds"} 1
apiserver_egress_dialer_dial_failure_count{protocol="http_connect",stage="proxy",transport="tcp"} 4
`
	if err := testutil.GatherAndCompare(registry(t, m), strings.NewReader(want), "apiserver_egress_dialer_dial_failure_count"); err != nil {
		t.Error(err)
	}
}

// TestNobodyWaitsForeverForAProxy: one that says nothing is given up with the context.
func TestNobodyWaitsForeverForAProxy(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	asked := make(chan struct{})
	accept(t, l, func(conn net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			close(asked)
		}
		_, _ = io.Copy(io.Discard, conn) // until the other end has gone
	})
	dial := selector(t, egress.NewMetrics(), fmt.Sprintf("{proxyProtocol: HTTPConnect, transport: {tcp: {url: 'http://%s'}}}", l.Addr())).To(egress.Cluster)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := dial(ctx, "tcp", "127.0.0.1:1"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
