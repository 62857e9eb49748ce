// Command publish records what the server of KUBECONFIG publishes about itself, discovery and OpenAPI. Argument: the file for it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/floe-k8s/floe/test/peers/published"
)

const (
	settles = 30 * time.Second // a server that has just begun still adds to its documents
	pause   = 2 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "publish:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, file string) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	s := &server{client, config.Host, published.Documents{}}
	before := ""
	err = wait.PollUntilContextTimeout(ctx, pause, settles, true, func(ctx context.Context) (bool, error) {
		var now strings.Builder
		for name, path := range map[string]string{published.Root: "/", "/openapi/v2": "/openapi/v2", "/openapi/v3": "/openapi/v3"} {
			if err := s.get(ctx, name, path, "application/json"); err != nil {
				return false, err
			}
		}
		for _, name := range []string{published.Root, "/openapi/v2", "/openapi/v3"} {
			now.Write(s.documents[name])
		}
		same := now.String() == before
		before = now.String()
		return same, nil
	})
	if err == nil {
		err = s.all(ctx)
	}
	if err != nil {
		return err
	}
	return s.documents.Write(file)
}

// server is who is asked.
type server struct {
	client    *http.Client
	url       string
	documents published.Documents
}

// all asks for everything that the root and the index name.
func (s *server) all(ctx context.Context) error {
	var root struct{ Paths []string }
	var index struct {
		Paths map[string]struct {
			URL string `json:"serverRelativeURL"`
		}
	}
	err := errors.Join(
		json.Unmarshal(s.documents[published.Root], &root), json.Unmarshal(s.documents["/openapi/v3"], &index),
		s.get(ctx, published.Aggregated+"/api", "/api", published.AcceptAggregated),
		s.get(ctx, published.Aggregated+"/apis", "/apis", published.AcceptAggregated),
	)
	for _, path := range root.Paths {
		if path == "/api" || path == "/apis" || strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/apis/") && path != "/apis/" {
			err = errors.Join(err, s.get(ctx, path, path, "application/json"))
		}
	}
	for path, link := range index.Paths {
		err = errors.Join(err, s.get(ctx, "/openapi/v3/"+path, link.URL, "application/json"))
	}
	return err
}

// get keeps one answer under a name.
func (s *server) get(ctx context.Context, name, path, accept string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", accept)
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s", resp.Status)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	s.documents[name] = body
	return nil
}
