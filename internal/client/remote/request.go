package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/api/joint"
	"github.com/floe-k8s/floe/internal/client"
)

const (
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
	maxAnswer     = 16 << 20 // bytes of one answer that is no watch
	dialTime      = 10 * time.Second
	pingAfter     = 15 * time.Second // of silence on a connection, and again for the answer
)

// Transport returns a transport that suits a client: HTTP/2, on which a connection that has died is found by its silence, and nothing is compressed. config
// has the client's certificate and the server's authority. It may be shared.
func Transport(config *tls.Config) *http.Transport {
	return &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true, TLSHandshakeTimeout: dialTime,
		DialContext: (&net.Dialer{Timeout: dialTime, KeepAlive: pingAfter}).DialContext, IdleConnTimeout: 90 * time.Second,
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingAfter},
	}
}

// wire sends requests. It is safe for concurrent use.
type wire struct {
	server *url.URL
	http   *http.Client
	clock  clock.WithTicker
}

func newWire(server *url.URL, transport http.RoundTripper, clk clock.WithTicker) *wire {
	base := *server
	base.Path, base.RawPath, base.RawQuery = strings.TrimSuffix(base.Path, "/"), "", ""
	// A redirect would send a write twice, and the identity to whoever the answer names.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &wire{server: &base, http: &http.Client{Transport: transport, CheckRedirect: stay}, clock: clk}
}

// request is one call. path is escaped.
type request struct {
	method, path string
	query        url.Values
	media        string // of the body; "": protobuf
	body         []byte
	verb         string // for errors, as upstream's clients name it
	res          client.Resource
	name         string
}

// send sends a request once, and returns its answer, which is a success. The caller closes the body.
func (w *wire) send(ctx context.Context, r request) (*http.Response, error) {
	target, err := w.server.Parse(w.server.EscapedPath() + r.path)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s %s: %v", r.method, r.path, err))
	}
	target.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	req.Header.Set("Accept", mediaProtobuf)
	if len(r.body) > 0 {
		media := r.media
		if media == "" {
			media = mediaProtobuf
		}
		req.Header.Set("Content-Type", media)
	}
	if cause := client.Cause(ctx); cause != "" && r.method != http.MethodGet {
		req.Header.Set(joint.CauseHeader, url.PathEscape(cause))
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return nil, r.lost(ctx, err)
	}
	if resp.StatusCode < http.StatusOK || resp.StatusCode >= http.StatusMultipleChoices {
		defer resp.Body.Close()
		return nil, r.refused(ctx, resp)
	}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media != mediaProtobuf {
		resp.Body.Close()
		return nil, apierrors.NewInternalError(fmt.Errorf("%s %s: the server answers in %q", r.method, r.path, resp.Header.Get("Content-Type")))
	}
	return resp, nil
}

// call is send for an answer that is one object. revision is that of the write's record; 0 when the server does not say it.
func (w *wire) call(ctx context.Context, r request) (_ envelope, revision uint64, _ error) {
	resp, err := w.send(ctx, r)
	if err != nil {
		return envelope{}, 0, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return envelope{}, 0, r.lost(ctx, err)
	case len(data) > maxAnswer:
		return envelope{}, 0, apierrors.NewInternalError(fmt.Errorf("%s %s: the answer has more than %d bytes", r.method, r.path, maxAnswer))
	}
	if text := resp.Header.Get(joint.RevisionHeader); text != "" {
		if revision, err = strconv.ParseUint(text, 10, 64); err != nil {
			return envelope{}, 0, apierrors.NewInternalError(fmt.Errorf("%s %s: header %s: %w", r.method, r.path, joint.RevisionHeader, err))
		}
	}
	e, err := parseEnvelope(data)
	if err != nil {
		return envelope{}, 0, apierrors.NewInternalError(fmt.Errorf("%s %s: %w", r.method, r.path, err))
	}
	return e, revision, nil
}

// lost is the error of a request without a whole answer.
func (r request) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var network *net.OpError
	dialing := errors.As(err, &network) && network.Op == "dial"
	if r.method == http.MethodGet || dialing {
		return apierrors.NewServiceUnavailable(fmt.Sprintf("the server cannot be reached: %v", err))
	}
	return apierrors.NewTimeoutError(fmt.Sprintf("the server's answer was lost and the outcome is unknown: %v", err), 0)
}

// refused is the error that an answer is: its Status, or what upstream's clients make of another body.
func (r request) refused(ctx context.Context, resp *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return r.lost(ctx, err)
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == mediaProtobuf {
		var s metav1.Status
		if e, err := parseEnvelope(data); err == nil && e.typ == "Status" && s.Unmarshal(e.message) == nil && s.Status == metav1.StatusFailure {
			return &apierrors.StatusError{ErrStatus: s}
		}
	}
	text := "unknown"
	if strings.HasPrefix(media, "text/") {
		text = strings.TrimSpace(string(data))
	}
	after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil {
		after = 0
	}
	return apierrors.NewGenericServerResponse(resp.StatusCode, r.verb, r.res.GroupResource(), r.name, text, after, true)
}
