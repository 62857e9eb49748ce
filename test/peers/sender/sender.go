// Package sender asks upstream's server what transcripts and the corpus ask.
//
// It leaves to package transcript what an answer looks like in a file, and how a request names what earlier answers had.
package sender

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/floe-k8s/floe/test/peers/exchange"
	"github.com/floe-k8s/floe/test/peers/transcript"
)

// Sender is where requests go, and what they need to know of earlier answers. One at a time may use it.
type Sender struct {
	url, etcd        string
	admin, anonymous *http.Client
	memory           transcript.Memory
}

// Connect returns a sender of requests as the administrator of kubeconfig, a file. etcd is the URL of the server's etcd, for the request COMPACT; "" when none
// is sent.
func Connect(kubeconfig, etcd string) (*Sender, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.Timeout = 30 * time.Second
	config.QPS = -1
	admin, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	anonymous, err := rest.HTTPClientFor(rest.AnonymousClientConfig(config))
	if err != nil {
		return nil, err
	}
	return &Sender{url: strings.TrimSuffix(config.Host, "/"), etcd: etcd, admin: admin, anonymous: anonymous}, nil
}

// Methods that are no requests: package transcript.
const (
	settle = "SETTLE"
	await  = "AWAIT"
)

const (
	// settled is longer than any cache of upstream's lags behind: that of admission policies is read anew each second.
	settled = 1500 * time.Millisecond
	// awaited bounds how long upstream may take to do what is waited for.
	awaited = 30 * time.Second
)

// compact is the method of what is no request: that the log forgets all but the current versions.
const compact = "COMPACT"

// forget compacts an etcd at its newest revision, through its JSON gateway. No client of the API can ask for that.
func forget(ctx context.Context, etcd string) (string, error) {
	var head struct{ Header struct{ Revision string } }
	if err := gateway(ctx, etcd+"/v3/kv/range", `{"key":"AA=="}`, &head); err != nil {
		return "", err
	}
	if err := gateway(ctx, etcd+"/v3/kv/compaction", `{"physical":true,"revision":`+head.Header.Revision+`}`, &struct{}{}); err != nil {
		return "", err
	}
	return "compacted\n", nil
}

func gateway(ctx context.Context, url, body string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd: POST %s: %s", url, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// Answer sends a request and returns the text of what is answered.
func (s *Sender) Answer(ctx context.Context, r exchange.Request) (string, error) {
	if r.Method == compact {
		return forget(ctx, s.etcd)
	}
	switch r.Method {
	case settle:
		return "settled\n", pause(ctx, settled)
	case await:
		return "awaited\n", s.wait(ctx, r)
	}
	req, err := s.memory.Request(ctx, s.url, r)
	if err != nil {
		return "", err
	}
	client := s.admin
	switch user := req.Header.Get("X-User"); user {
	case "":
	case "system:anonymous":
		client = s.anonymous
	default:
		if become(req, user) {
			client = s.anonymous // a certificate would be believed first
		}
	}
	req.Header.Del("X-User")
	resp, err := client.Do(req)
	if err != nil && strings.Contains(err.Error(), "INTERNAL_ERROR; received from peer") {
		return transcript.BrokenOff, nil
	}
	if err != nil {
		return "", err
	}
	text, seen, err := transcript.Answer(r, resp)
	s.memory.Note(r, seen)
	return text, err
}

// become makes a request another user's: one of the static tokens that test/peers/with gives, which are the users' names, where the request itself acts as somebody
// else, or else by impersonation. It says whether the request has a token.
func become(req *http.Request, user string) bool {
	for name := range req.Header {
		if strings.HasPrefix(name, "Impersonate-") {
			req.Header.Set("Authorization", "Bearer "+user)
			return true
		}
	}
	req.Header.Set("Impersonate-User", user)
	if strings.HasPrefix(user, "system:node:") {
		req.Header.Set("Impersonate-Group", "system:nodes")
	}
	return false
}

func pause(ctx context.Context, d time.Duration) error {
	over, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-over.Done()
	return ctx.Err()
}

// wait asks for a path until the answer has the text of r.
func (s *Sender) wait(ctx context.Context, r exchange.Request) error {
	ctx, cancel := context.WithTimeout(ctx, awaited)
	defer cancel()
	for {
		req, err := s.memory.Request(ctx, s.url, exchange.Request{Method: http.MethodGet, Path: r.Path})
		if err != nil {
			return err
		}
		resp, err := s.admin.Do(req)
		if err != nil {
			return fmt.Errorf("await %s: %w", r.Path, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return fmt.Errorf("await %s: %w", r.Path, err)
		}
		if strings.Contains(string(body), r.Header[transcript.Until]) {
			return pause(ctx, settled/5)
		}
		if err := pause(ctx, settled/10); err != nil {
			return fmt.Errorf("await %s: %q is not there: %w", r.Path, r.Header[transcript.Until], err)
		}
	}
}
