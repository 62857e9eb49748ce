package bench

import (
	"fmt"
	"net/http"
	"net/url"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Target is an API server and how to reach it. It is safe for concurrent use.
type Target struct {
	base   *url.URL
	config *rest.Config
}

// LoadTarget reads a kubeconfig file by kubectl's rules: path "" means $KUBECONFIG or ~/.kube/config, context "" the current one.
func LoadTarget(path, context string) (*Target, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = path
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: context}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return NewTarget(config)
}

// NewTarget takes a configuration as client-go has it; its QPS and Burst are not looked at. The configuration may not change afterwards.
func NewTarget(config *rest.Config) (*Target, error) {
	base, _, err := rest.DefaultServerURL(config.Host, "", schema.GroupVersion{}, true)
	if err != nil {
		return nil, fmt.Errorf("server address %q: %w", config.Host, err)
	}
	return &Target{base: base, config: config}, nil
}

// String is the server's address.
func (t *Target) String() string { return t.base.String() }

// connect makes a client with a transport, and so with a connection, of its own. client-go's own cache would put all workers onto one HTTP/2
// connection, whose stream limit and flow control would then be what is measured.
func (t *Target) connect() (*http.Client, error) {
	tlsConfig, err := rest.TLSConfigFor(t.config)
	if err != nil {
		return nil, fmt.Errorf("TLS for %s: %w", t, err)
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     tlsConfig,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // --gzip asks for it by header, and nothing here unpacks it
		MaxIdleConnsPerHost: 2,
		DialContext:         t.config.Dial,
	}
	if t.config.Proxy != nil {
		transport.Proxy = t.config.Proxy
	}
	wrapped, err := rest.HTTPWrappersForConfig(t.config, transport)
	if err != nil {
		return nil, fmt.Errorf("credentials for %s: %w", t, err)
	}
	return &http.Client{Transport: wrapped}, nil
}
