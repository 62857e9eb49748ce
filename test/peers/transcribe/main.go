// Command transcribe sends the requests of transcripts to the server of KUBECONFIG and writes its answers below them. Arguments: the transcripts.
// The request COMPACT is for the server's etcd, which ETCD names.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/floe-k8s/floe/test/peers/exchange"
	"github.com/floe-k8s/floe/test/peers/transcript"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "transcribe:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, files []string) error {
	s, err := connect(os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	for _, file := range files {
		blocks, err := transcript.Read(file)
		if err != nil {
			return err
		}
		for i := range blocks {
			if blocks[i].Answer, err = s.answer(ctx, exchange.Parse(blocks[i].Input)); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		if err := os.WriteFile(file, []byte(transcript.Format(blocks)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// server is where requests go, and what they need to know of earlier answers.
type server struct {
	url              string
	admin, anonymous *http.Client
	token            string // continues the last list that had one
}

func connect(kubeconfig string) (*server, error) {
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
	return &server{url: strings.TrimSuffix(config.Host, "/"), admin: admin, anonymous: anonymous}, nil
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

func (s *server) answer(ctx context.Context, r exchange.Request) (string, error) {
	if r.Method == compact {
		return forget(ctx, os.Getenv("ETCD"))
	}
	path := strings.ReplaceAll(r.Path, "CONTINUE", s.token)
	req, err := http.NewRequestWithContext(ctx, r.Method, s.url+path, strings.NewReader(r.Body))
	if err != nil {
		return "", err
	}
	client := s.admin
	for name, value := range r.Header {
		switch {
		case name == transcript.Show:
		case name != "X-User":
			req.Header.Set(name, value)
		case value == "system:anonymous":
			client = s.anonymous
		default:
			req.Header.Set("Impersonate-User", value)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	text, token, err := transcript.Answer(r, resp)
	if token != "" {
		s.token = token
	}
	return text, err
}
