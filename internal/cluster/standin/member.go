package standin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"time"
)

// StorePath is where a Member tells its Place.
const StorePath = "/floe/store"

const (
	headerTime = 5 * time.Second
	maxHeader  = 64 << 10 // bytes
)

// Place is where a server's store lies.
type Place struct {
	Directory string `json:"directory"` // absolute
	Unsynced  bool   `json:"unsynced"`  // writes are not to be synced
}

// Member is the etcd of the pair.
type Member struct {
	ClientURLs []string // http://HOST:PORT each, at least one
	Place      Place    // Directory may be relative to the working directory
	Log        *slog.Logger
}

// Run listens at all client URLs and answers until ctx ends, which is no error.
func (m Member) Run(ctx context.Context) error {
	var err error
	if m.Place.Directory, err = filepath.Abs(m.Place.Directory); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	var listeners []net.Listener
	for _, text := range m.ClientURLs {
		listener, err := listen(ctx, text)
		if err != nil {
			return errors.Join(err, closeAll(listeners))
		}
		listeners = append(listeners, listener)
	}
	if len(listeners) == 0 {
		return errors.New("--listen-client-urls: must name at least one URL")
	}
	server := &http.Server{Handler: m.handler(), ReadHeaderTimeout: headerTime, MaxHeaderBytes: maxHeader}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	m.Log.Info("this etcd stands in for one: it is well, and tells floe's kube-apiserver where the store is", "urls", m.ClientURLs, "directory", m.Place.Directory)
	errs := make([]error, len(listeners))
	var serving sync.WaitGroup
	for i, listener := range listeners {
		serving.Go(func() {
			if errs[i] = server.Serve(listener); ctx.Err() != nil {
				errs[i] = nil
			}
		})
	}
	serving.Wait()
	return errors.Join(errs...)
}

func closeAll(listeners []net.Listener) (err error) {
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

func listen(ctx context.Context, text string) (net.Listener, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("--listen-client-urls: %q: must be a URL such as http://127.0.0.1:2379", text)
	}
	if u.Scheme != "http" {
		return nil, fmt.Errorf("--listen-client-urls: %q: floe's stand-in for etcd speaks http only", text)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", u.Host)
	if err != nil {
		return nil, fmt.Errorf("--listen-client-urls: %w", err)
	}
	return listener, nil
}

func (m Member) handler() http.Handler {
	say := func(mediaType, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			if _, err := w.Write([]byte(text)); err != nil {
				m.Log.Debug("an answer did not get through", "err", err)
			}
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /health", say("application/json", `{"health":"true","reason":""}`))
	mux.Handle("GET /livez", say("text/plain", "ok\n"))
	mux.Handle("GET /readyz", say("text/plain", "ok\n"))
	place, err := json.Marshal(m.Place)
	if err != nil {
		panic(fmt.Sprintf("a string and a bool cannot be written as JSON: %v", err))
	}
	mux.Handle("GET "+StorePath, say("application/json", string(place)))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, fmt.Sprintf("%s is not here: this etcd is floe's stand-in for envtest, which holds nothing (the store is in %s)", r.URL.Path, m.Place.Directory), http.StatusNotFound)
	})
	return mux
}
