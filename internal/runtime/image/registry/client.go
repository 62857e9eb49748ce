package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// ErrNotFound says that a registry answered, and has no such thing.
var ErrNotFound = errors.New("not found in the registry")

// Config is what a Client needs. Fields without a stated default are required.
type Config struct {
	// HostsDir holds a directory for each registry with a hosts.toml or certificates, as containerd has them; it may be several, with colons
	// between, and "" means none. It is read anew for each Repository.
	HostsDir string
	// PlainHTTP asks registries of which HostsDir says nothing without TLS.
	PlainHTTP bool
	// Clock is for deadlines and waiting; default the real one.
	Clock clock.WithTicker
	// Random spreads retries; it is used under a lock. Default: no spreading.
	Random *rand.Rand
	// Idle is how long a server may say nothing; default 30 s.
	Idle time.Duration
	// Document is the size of the largest manifest or index, in bytes; default 8 MiB.
	Document int64
	// Attempts is how often in a row a host is asked without that anything comes; default 5.
	Attempts int
	// UserAgent names the program; default "floe".
	UserAgent string
}

func (c *Config) setDefaults() {
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Idle == 0 {
		c.Idle = 30 * time.Second
	}
	if c.Document == 0 {
		c.Document = 8 << 20
	}
	if c.Attempts == 0 {
		c.Attempts = 5
	}
	if c.UserAgent == "" {
		c.UserAgent = "floe"
	}
}

// Client opens repositories. It is safe for concurrent use.
type Client struct {
	cfg Config

	mu sync.Mutex // guards cfg.Random
}

// New makes a client; it starts nothing.
func New(cfg Config) *Client {
	cfg.setDefaults()
	return &Client{cfg: cfg}
}

// Repository is one repository, for one who asks. It is safe for concurrent use. Close gives its connections back.
type Repository struct {
	client   *Client
	registry string
	name     string
	hosts    []*endpoint
}

// endpoint is one host of a repository.
type endpoint struct {
	Host
	http     *http.Client
	auth     *authorizer
	query    string      // "ns=REGISTRY" for a mirror, so that one mirror may serve several registries
	fallback bool        // that it speaks TLS is not certain
	insecure atomic.Bool // it speaks none
}

// Open prepares to read the repository name ("library/nginx") of a registry ("docker.io", "localhost:5000"). Nothing is sent yet.
func (c *Client) Open(registry, name string, auth Auth) (*Repository, error) {
	hosts, err := hostsOf(c.cfg.HostsDir, registry, c.cfg.PlainHTTP)
	if err != nil {
		return nil, err
	}
	r := &Repository{client: c, registry: registry, name: name}
	for i := range hosts {
		e := &endpoint{Host: hosts[i]}
		if e.http, err = newHTTP(&e.Host, &c.cfg); err != nil {
			return nil, fmt.Errorf("host %s of registry %s: %w", e.Root.Host, registry, err)
		}
		e.fallback = e.ambiguous()
		e.insecure.Store(e.Root.Scheme == "http" && !e.fallback)
		if e.Root.Host != registry && !(registry == "docker.io" && e.Root.Host == "registry-1.docker.io") {
			e.query = url.Values{"ns": {registry}}.Encode()
		}
		e.auth = newAuthorizer(auth.forHost(e.Root.Host), name, e.http, e.Header)
		r.hosts = append(r.hosts, e)
	}
	return r, nil
}

// Close closes idle connections.
func (r *Repository) Close() {
	for _, e := range r.hosts {
		e.http.CloseIdleConnections()
	}
}

// able lists the hosts with a capability, in order.
func (r *Repository) able(can Capability) ([]*endpoint, error) {
	var all []*endpoint
	for _, e := range r.hosts {
		if e.Can&can == can {
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("registry %s: no host is configured that may be asked for this: %w", r.registry, ErrNotFound)
	}
	return all, nil
}

// get asks a host, as often as its challenges need. The caller closes the body of an answer with status 200 or 206; others are errors.
func (r *Repository) get(ctx context.Context, e *endpoint, path string, header http.Header) (*http.Response, error) {
	for try := 0; ; try++ {
		used := e.auth.current()
		resp, err := r.send(ctx, e, path, header, used)
		if err != nil {
			return nil, err
		}
		switch resp.StatusCode {
		case http.StatusOK, http.StatusPartialContent:
			return resp, nil
		}
		err = newStatusError(resp)
		drain(resp)
		// Twice: a token may have run out, and the next one be for less than what is asked.
		if resp.StatusCode != http.StatusUnauthorized || try == 2 || !sameOrigin(resp.Request.URL, e.address("")) {
			return nil, err
		}
		if err := e.auth.answer(ctx, resp, used); err != nil {
			return nil, err
		}
	}
}

// send asks once; a host that turns out not to speak TLS, and need not, is asked again without it.
func (r *Repository) send(ctx context.Context, e *endpoint, path string, header http.Header, authorization string) (*http.Response, error) {
	address := e.address("/" + r.name + path)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, e.Header)
	maps.Copy(req.Header, header)
	req.Header.Set("User-Agent", r.client.cfg.UserAgent)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := e.http.Do(req)
	var record tls.RecordHeaderError
	if err != nil && e.fallback && !e.insecure.Load() && (errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record)) {
		e.insecure.Store(true)
		return r.send(ctx, e, path, header, authorization)
	}
	return resp, err
}

// address is that of a path below the API's root.
func (e *endpoint) address(path string) *url.URL {
	u := e.Root
	u.Path += path
	u.RawQuery = e.query
	u.Scheme = "https"
	if e.insecure.Load() {
		u.Scheme = "http"
	}
	return &u
}

// drain reads what is left of a short answer, so that its connection can be used again, and closes it.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxHeader) // an error only means that the connection is not used again
	resp.Body.Close()
}

// StatusError is an answer that is no success.
type StatusError struct {
	Host   string
	Status int
	// Message is what the server said, cut short, in one line.
	Message string
	// RetryAfter is how long it asks to wait, as it wrote it.
	RetryAfter string
}

// Error says who answered what.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s answered %d %s", e.Host, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// Unwrap classes the answer.
func (e *StatusError) Unwrap() error {
	switch e.Status {
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return ErrUnauthorized
	}
	return nil
}

// maxMessage bounds what is kept of an error's text, in bytes.
const maxMessage = 512

func newStatusError(resp *http.Response) *StatusError {
	limit := int64(maxMessage)
	if resp.Request.Response != nil {
		limit = 0 // a redirect led here: what a server says to this machine is not for whoever wrote the image's name
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, limit)) // what cannot be read is not said
	line := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text), "?"))
	return &StatusError{
		Host: resp.Request.URL.Host, Status: resp.StatusCode, Message: strings.TrimSpace(line), RetryAfter: resp.Header.Get("Retry-After"),
	}
}
