// Package sender asks upstream's server what transcripts and the corpus ask.
//
// It leaves to package transcript what an answer looks like in a file, and how a request names what earlier answers had.
package sender

import (
	"context"
	"encoding/json"
	"fmt"
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
		req.Header.Set("Impersonate-User", user)
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
