package webhook

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/floe-k8s/floe/internal/observe/trace"
)

// Connect reads a kubeconfig file: its current context says where the other server is, and how to get there. timeout is that of one attempt;
// dial connects, nil: directly.
func Connect(file string, timeout time.Duration, dial func(ctx context.Context, network, address string) (net.Conn, error)) (url string, client *http.Client, err error) {
	rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: file}
	cfg, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return "", nil, fmt.Errorf("kubeconfig file %s: %w", file, err)
	}
	cfg.Timeout, cfg.Dial = timeout, dial
	cfg.Wrap(trace.Transport)
	if client, err = rest.HTTPClientFor(cfg); err != nil {
		return "", nil, fmt.Errorf("kubeconfig file %s: %w", file, err)
	}
	// An answer is that of the server which the file names, and of no other.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return cfg.Host, client, nil
}
