package wire_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/floe-k8s/floe/internal/api/wire"
)

// dial connects without a client that would hold to rules.
func (d *door) dial(t testing.TB, protocol string) *tls.Conn {
	t.Helper()
	conn, err := tls.Dial("tcp", d.address, &tls.Config{RootCAs: d.roots, NextProtos: []string{protocol}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the server may have been quicker
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// TestBrokenHTTP1 sends what is no good request; the beginning of the answer is upstream's.
func TestBrokenHTTP1(t *testing.T) {
	d := open(t, func(cfg *wire.Config) { cfg.Limits.Call = 1500 * time.Millisecond })
	const (
		rest    = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
		post    = "POST " + configMaps + "?dryRun=All" + rest + "Content-Type: application/json\r\n"
		refused = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
		tooMuch = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain"
		timeout = `"message":"Timeout: request did not complete within the allotted timeout","reason":"Timeout"`
	)
	for _, c := range []struct {
		name, request string
		half          bool // the client says that it will send no more
		status, body  string
	}{
		{"a long URL", "GET " + configMaps + "?labelSelector=" + strings.Repeat("a", 900_000) + rest + "\r\n", false, "HTTP/1.1 400 ", "unable to parse requirement: "},
		{"a URL over the limit", "GET " + configMaps + "?labelSelector=" + strings.Repeat("a", 2_000_000) + rest + "\r\n", false, tooMuch, ""},
		{"a header over the limit", "GET " + configMaps + rest + "X: " + strings.Repeat("a", 2_000_000) + "\r\n\r\n", false, tooMuch, ""},
		{"many headers", "GET " + configMaps + rest + strings.Repeat("X: a\r\n", 20_000) + "\r\n", false, "HTTP/1.1 200 ", `"kind":"ConfigMapList"`},
		{"a body half sent", post + "Content-Length: 100\r\n\r\n{\"metadata\":", true, "HTTP/1.1 400 ", "the body could not be read: unexpected EOF"},
		{"a body that does not come", post + "Content-Length: 100\r\n\r\n{\"metadata\":", false, "HTTP/1.1 504 ", timeout},
		{"a body that does not come in the wished time", strings.Replace(post, "All", "All&timeout=10ms", 1) + "Content-Length: 100\r\n\r\n{", false, "HTTP/1.1 504 ", timeout},
		{"less than is sent", post + "Content-Length: 5\r\n\r\n{\"metadata\":{\"name\":\"x\"}}", false, "HTTP/1.1 400 ", `unexpected end of JSON input ({\"met)`},
		{"more than may be sent", post + "Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n", false, "HTTP/1.1 413 ", "limit is 3145728"},
		{"a negative length", post + "Content-Length: -5\r\n\r\n{}", false, refused, ""},
		{"two lengths", post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}", false, refused, ""},
		{"a length and chunks", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, "HTTP/1.1 400 ", `unexpected end of JSON input (\u003cempty\u003e)`},
		{"an unknown encoding", post + "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", false, "HTTP/1.1 501 Not Implemented", ""},
		{"no chunk", post + "Transfer-Encoding: chunked\r\n\r\nzzz\r\n\r\n", false, "HTTP/1.1 400 ", "invalid byte in chunk length"},
		{"another expectation", post + "Content-Length: 2\r\nExpect: 200-ok\r\n\r\n{}", false, "HTTP/1.1 417 Expectation Failed", ""},
		{"a long length", post + "Content-Length: 999999999999999999999\r\n\r\n{}", false, refused, ""},
		{"CONNECT", "CONNECT 10.0.0.1:80" + rest + "\r\n", false, "HTTP/1.1 404 ", "404 page not found"},
		{"CONNECT to a path", "CONNECT /version" + rest + "\r\n", false, "HTTP/1.1 405 ", "the server does not allow this method on the requested resource"},
		{"TRACE", "TRACE " + configMaps + "/a" + rest + "\r\n", false, "HTTP/1.1 405 ", "the server does not allow this method on the requested resource"},
		{"a method that there is not", "PROPFIND /version" + rest + "\r\n", false, "HTTP/1.1 405 ", "the server does not allow this method on the requested resource"},
		{"OPTIONS for all", "OPTIONS *" + rest + "\r\n", false, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", ""},
		{"another server", "GET http://other/version" + rest + "\r\n", false, "HTTP/1.1 200 ", `"gitVersion": "v1.36.3"`},
		{"no host", "GET /version HTTP/1.1\r\nConnection: close\r\n\r\n", false, "HTTP/1.1 400 Bad Request: missing required Host header", ""},
		{"dots", "GET /api/../version" + rest + "\r\n", false, "HTTP/1.1 404 ", ""},
		{"a zero byte", "GET " + configMaps + "/a%00b" + rest + "\r\n", false, "HTTP/1.1 404 ", `configmaps \"a\\x00b\" not found`},
		{"an escaped slash", "GET " + configMaps + "/a%2Fb" + rest + "\r\n", false, "HTTP/1.1 404 ", "the server could not find the requested resource"},
		{"an escape that is none", "GET " + configMaps + "/%zz" + rest + "\r\n", false, refused, ""},
		{"HTTP/3.0", "GET /version HTTP/3.0\r\n\r\n", false, "HTTP/1.1 505 ", ""},
		{"no HTTP", "\x00\x01\x02\r\n\r\n", false, refused, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := d.dial(t, "http/1.1")
			wrote := make(chan error, 1)
			go func() {
				_, err := io.WriteString(conn, c.request)
				if c.half {
					err = errors.Join(err, conn.CloseWrite())
				}
				wrote <- err
			}()
			answer, _ := io.ReadAll(conn) // a server that refuses early resets what is still coming
			<-wrote
			if !bytes.HasPrefix(answer, []byte(c.status)) || !bytes.Contains(answer, []byte(c.body)) {
				t.Errorf("%.600q\nwant %q with %q", answer, c.status, c.body)
			}
		})
	}
}

// frames is one end of an HTTP/2 connection, without rules.
type frames struct {
	*http2.Framer
	conn   *tls.Conn
	next   uint32 // stream
	header bytes.Buffer
	encode *hpack.Encoder
}

func (d *door) frames(t testing.TB, settings ...http2.Setting) *frames {
	t.Helper()
	f := &frames{conn: d.dial(t, "h2"), next: 1}
	f.Framer = http2.NewFramer(f.conn, bufio.NewReader(f.conn))
	f.encode = hpack.NewEncoder(&f.header)
	if _, err := io.WriteString(f.conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return f
}

// request opens a stream for GET.
func (f *frames) request(path string, more ...hpack.HeaderField) (stream uint32, err error) {
	f.header.Reset()
	fields := append([]hpack.HeaderField{
		{Name: ":method", Value: http.MethodGet}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "x"}, {Name: ":path", Value: path},
	}, more...)
	for _, field := range fields {
		if err := f.encode.WriteField(field); err != nil {
			return 0, err
		}
	}
	stream = f.next
	f.next += 2
	return stream, f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.header.Bytes(), EndStream: true, EndHeaders: true})
}

// TestRapidReset opens streams and takes them back at once, by the thousand (CVE-2023-44487): the server ends the connection.
func TestRapidReset(t *testing.T) {
	d := open(t, nil)
	f := d.frames(t)
	go func() { // until the server has enough
		for {
			stream, err := f.request(configMaps)
			if err != nil || f.WriteRSTStream(stream, http2.ErrCodeCancel) != nil {
				return
			}
		}
	}()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			break // the connection is gone
		}
		if away, ok := frame.(*http2.GoAwayFrame); ok && away.ErrCode != http2.ErrCodeEnhanceYourCalm {
			t.Fatalf("the connection ends with %v", away.ErrCode)
		}
	}
	d.try(t, d.client(t, "HTTP/2.0"), page{"GET /livez", 200, "text/plain; charset=utf-8", "ok"})
}

// TestManyStreams begins more watches on a connection than it may have.
func TestManyStreams(t *testing.T) {
	d := open(t, nil)
	f := d.frames(t)
	for range 101 {
		if _, err := f.request(configMaps + "?watch=1"); err != nil {
			t.Fatal(err)
		}
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if most, ok := frame.Value(http2.SettingMaxConcurrentStreams); !frame.IsAck() && (!ok || most != 100) {
				t.Errorf("the server offers %d streams", most)
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID != 201 || frame.ErrCode != http2.ErrCodeRefusedStream && frame.ErrCode != http2.ErrCodeProtocol {
				t.Errorf("stream %d ends with %v", frame.StreamID, frame.ErrCode)
			}
			return
		}
	}
}

// TestLargeHeaders2 sends more header than is taken.
func TestLargeHeaders2(t *testing.T) {
	d := open(t, nil)
	client := d.client(t, "HTTP/2.0")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+d.address+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X", strings.Repeat("x", 1100<<10))
	resp, err := client.Do(req)
	if err != nil {
		return // the client itself may see the server's limit
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(resp.Status)
	}
}

// TestStalledAnswersEnd asks for more than the connection lets through, on as many streams as there may be, and takes nothing: the calls end by themselves,
// and leave room for others.
func TestStalledAnswersEnd(t *testing.T) {
	d := open(t, func(cfg *wire.Config) {
		cfg.Limits = wire.Limits{Last: 100 * time.Millisecond, Reading: 50}
	})
	client := d.client(t, "HTTP/2.0")
	for i := range 4 {
		d.create(t, client, fmt.Sprint("c", i), 900<<10)
	}
	f := d.frames(t, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for range 60 {
		if _, err := f.request(configMaps + "?timeout=200ms"); err != nil {
			t.Fatal(err)
		}
	}
	ended := map[uint32]bool{}
	for len(ended) < 60 {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if reset, ok := frame.(*http2.RSTStreamFrame); ok {
			ended[reset.StreamID] = true
		}
	}
	until(t, "there is room for others", func() bool {
		resp := d.ask(t, client, http.MethodGet, configMaps+"/c0", "X-User: jane", "") // administrators always get an answer
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusForbidden
	})
}

// TestStalledList does the same over HTTP/1.
func TestStalledList(t *testing.T) {
	d := open(t, func(cfg *wire.Config) {
		cfg.Limits = wire.Limits{Last: 100 * time.Millisecond, Reading: 1}
	})
	client := d.client(t, "HTTP/1.1")
	for i := range 16 { // more than sockets hold
		d.create(t, client, fmt.Sprint("c", i), 900<<10)
	}
	conn := d.dial(t, "http/1.1")
	if _, err := io.WriteString(conn, "GET "+configMaps+"?timeout=200ms HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	busy := false
	until(t, "there is room for others", func() bool {
		resp := d.ask(t, client, http.MethodGet, configMaps+"/c0", "X-User: jane", "") // administrators always get an answer
		defer resp.Body.Close()
		busy = busy || resp.StatusCode == http.StatusTooManyRequests
		return resp.StatusCode == http.StatusForbidden
	})
	if !busy {
		t.Error("the list held no place: the test proves nothing")
	}
}
