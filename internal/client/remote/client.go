package remote

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"net/http"
	"net/url"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/store"
)

var _ client.Client = (*Client)(nil)

// Config is what a Client is made from. All but Views and the bounds is needed.
type Config struct {
	Server    *url.URL          // such as https://10.0.0.1:6443
	Transport http.RoundTripper // carries the identity; see function Transport. It belongs to the caller
	Kinds     []*kinds.Kind     // what the API serves
	Views     []Selection       // what the component views and watches, each resource once
	Clock     clock.WithTicker
	Rand      *rand.Rand // spreads attempts; the client alone uses it
	Log       *slog.Logger
	// RingBytes and FormBytes bound the table's memory for past events, and for decoded objects. 0: as store.Config.
	RingBytes, FormBytes int64
}

// Client is one identity's way to an API in another process. It is safe for concurrent use. Views and streams need Run.
type Client struct {
	*wire
	cfg     Config
	served  map[client.Resource]*kinds.Kind
	viewed  map[client.Resource]*kinds.Kind
	source  *source
	table   *store.Table  // set before loaded is closed
	loaded  chan struct{} // closed by Run
	stopped chan struct{} // closed by Run

	mu      sync.Mutex
	failure error // guarded by mu: why the server could not be followed the last time; nil while it is
}

// New returns a client. It starts nothing and asks nothing. It returns an error for views that no server could give.
func New(cfg Config) (*Client, error) {
	c := &Client{
		wire: newWire(cfg.Server, cfg.Transport, cfg.Clock), cfg: cfg,
		served: map[client.Resource]*kinds.Kind{}, viewed: map[client.Resource]*kinds.Kind{},
		loaded: make(chan struct{}), stopped: make(chan struct{}),
	}
	c.source = &source{
		wire: c.wire, selections: cfg.Views, kinds: map[schema.GroupVersionKind]*kinds.Kind{},
		rests: rests{clock: cfg.Clock, rand: cfg.Rand}, failed: c.failed,
	}
	for _, k := range cfg.Kinds {
		c.served[k.GVR()] = k
	}
	for _, sel := range cfg.Views {
		k := c.served[sel.Resource]
		if err := sel.check(k); err != nil {
			return nil, err
		}
		if c.viewed[sel.Resource] != nil {
			return nil, fmt.Errorf("view of %s: it is declared twice", sel.Resource)
		}
		c.viewed[sel.Resource], c.source.kinds[k.GVK] = k, k
	}
	return c, nil
}

// Run loads the state and follows it until ctx ends, and returns nil then. It is called once. When the server cannot be reached it tries
// for ever. After it views stay as they are, and streams end.
func (c *Client) Run(ctx context.Context) error {
	defer close(c.stopped)
	var viewed []*kinds.Kind
	for _, sel := range c.cfg.Views {
		viewed = append(viewed, c.viewed[sel.Resource])
	}
	table, err := store.OpenTable(ctx, c.source, store.Config{
		Collections: api.Collections(viewed), Clock: c.cfg.Clock, RingBytes: c.cfg.RingBytes, FormBytes: c.cfg.FormBytes,
	})
	if err == nil {
		c.table = table
		close(c.loaded)
		err = table.Run(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("remote client of %s: %w", c.server.Host, err)
}

// failed notes why the server cannot be followed; nil: it is.
func (c *Client) failed(err error) {
	c.mu.Lock()
	before := c.failure
	c.failure = err
	c.mu.Unlock()
	switch {
	case err == nil && before != nil:
		c.cfg.Log.Info("the server is followed again", "server", c.server.Host)
	case err != nil && before == nil:
		c.cfg.Log.Info("the server cannot be followed now", "server", c.server.Host, "err", err)
	case err != nil:
		c.cfg.Log.Debug("the server still cannot be followed", "server", c.server.Host, "err", err)
	}
}

// Err says why the server is not followed now: nil while it is, or before the first attempt. It is for status pages: views stay good.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// ready waits for the first load.
func (c *Client) ready(ctx context.Context) error {
	select {
	case <-c.loaded:
		return nil
	default:
	}
	select {
	case <-c.loaded:
		return nil
	case <-ctx.Done():
		if err := c.Err(); err != nil {
			return fmt.Errorf("%w; before it: %w", ctx.Err(), err)
		}
		return ctx.Err()
	case <-c.stopped:
		return errStopped(errors.New("it has loaded nothing"))
	}
}

func errStopped(err error) error {
	return apierrors.NewServiceUnavailable("the client has stopped: " + err.Error())
}
