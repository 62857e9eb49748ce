package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// maxReply bounds what is read of one answer; the largest honest one is a list of everything.
const maxReply = 1 << 30

// request is one call of the API. Path begins with / and may hold a query. A nil body sends none.
type request struct {
	method, path string
	contentType  string
	accept       string
	gzip         bool // ask for a compressed answer
	body         []byte
}

// session is one worker's connection and its buffers. It is not safe for concurrent use, except for stream.
type session struct {
	target  *Target
	client  *http.Client
	timeout time.Duration // of one request
	number  int           // of the worker, from 0
	reply   bytes.Buffer
	body    []byte
	bytes   int64 // read in answers, all together
}

// do sends one request and reads its whole answer, which is valid until the next call.
func (s *session) do(ctx context.Context, r request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	resp, err := s.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() // nothing left to lose: the body was read, or is given up
	s.reply.Reset()
	n, err := s.reply.ReadFrom(io.LimitReader(resp.Body, maxReply))
	s.bytes += n
	reply := s.reply.Bytes()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, readError(err))
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return nil, newStatusError(resp.StatusCode, reply)
	case !plausible(reply, resp.Header):
		return nil, fmt.Errorf("%s %s: %w: %.60q", r.method, r.path, errGarbage, reply)
	}
	return reply, nil
}

func (s *session) send(ctx context.Context, r request) (*http.Response, error) {
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, s.target.base.JoinPath("/").String()+r.path[1:], body)
	if err != nil {
		return nil, err
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.gzip {
		req.Header.Set("Accept-Encoding", "gzip")
	}
	req.Header.Set("Accept", r.accept)
	req.Header.Set("User-Agent", "floe-bench")
	return s.client.Do(req)
}

// stream opens a watch. The caller closes the body; ctx ends it too.
func (s *session) stream(ctx context.Context, r request) (*eventStream, error) {
	resp, err := s.send(ctx, r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		media := mediaJSON // what the server chose counts, not what it was asked for
		if strings.HasPrefix(resp.Header.Get("Content-Type"), mediaProtobuf) {
			media = mediaProtobuf
		}
		return &eventStream{ReadCloser: resp.Body, media: media}, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, readError(err))
	}
	return nil, newStatusError(resp.StatusCode, text)
}

// eventStream is an open watch, and the media type its events are in.
type eventStream struct {
	io.ReadCloser
	media string
}

// plausible looks at an answer's first bytes only: decoding a list here would cost more than the server spends on it.
func plausible(reply []byte, header http.Header) bool {
	if header.Get("Content-Encoding") == "gzip" {
		return bytes.HasPrefix(reply, []byte{0x1f, 0x8b})
	}
	return bytes.HasPrefix(reply, []byte(protobufMagic)) || bytes.HasPrefix(reply, []byte("{")) || bytes.HasPrefix(reply, []byte("ok"))
}
