package runtime

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/cri-streaming/pkg/streaming"

	"github.com/floe-k8s/floe/internal/runtime/cgroup"
	"github.com/floe-k8s/floe/internal/runtime/image"
	"github.com/floe-k8s/floe/internal/runtime/image/registry"
)

// Runtime runs pods. Its methods are CRI's: same names, messages and meaning, safe for concurrent use, errors with gRPC codes. They wait
// until Run has found what was running before. Messages given to it are copied; messages it returns share memory with what it remembers
// and must not be changed.
type Runtime struct {
	cfg     Config
	images  *image.Store
	cgroups cgroup.Host
	host    hostFacts
	events  *events

	recovered chan struct{} // closed by Run: sandboxes of before are known
	stopped   chan struct{} // closed by Run: nothing works any more
	base      context.Context
	work      sync.WaitGroup // what Run waits for besides itself: one per shim, and what streams
	streaming streamServer
	handlers  map[string]*handler
	mapsUsers func() error // nil when pods may have user namespaces; tried once

	mu         sync.Mutex // guards what follows and what pod and container say it guards
	pods       map[string]*pod
	containers map[string]*container
	closing    bool              // Run is ending: no shim is watched any more
	reserved   map[string]string // "pod/…" or "container/…" name → ID of who has it or is getting it
}

// New prepares a runtime. It makes directories, but starts and touches nothing that runs; Run does.
func New(cfg Config) (*Runtime, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if err := os.MkdirAll(cfg.State, 0o700); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	if err := os.Chmod(cfg.State, 0o700); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(cfg.Root, "filters"), 0o700); err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	images, err := image.Open(image.Config{
		Root: cfg.Root, Unpack: image.ShimUnpacker(cfg.ShimPath), Clock: cfg.Clock,
		Registry: registry.New(registry.Config{HostsDir: cfg.RegistryConfigDir, Clock: cfg.Clock, UserAgent: "floe/" + cfg.Version}),
	})
	if err != nil {
		return nil, err
	}
	host, err := cgroup.Detect()
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	facts, err := learnHost(host)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	return &Runtime{
		cfg: cfg, images: images, cgroups: host, host: facts, events: newEvents(),
		recovered: make(chan struct{}), stopped: make(chan struct{}),
		handlers: newHandlers(cfg.Handlers), mapsUsers: sync.OnceValue(func() error { return canMapUsers(cfg.Root) }),
		pods: map[string]*pod{}, containers: map[string]*container{}, reserved: map[string]string{},
	}, nil
}

// Images is the store that the runtime's images live in.
func (r *Runtime) Images() *image.Store { return r.images }

// Run finds the sandboxes of before, then watches all until ctx ends, and returns when its goroutines have. It stops no container. It
// may be called once. Its error is why the runtime cannot work: another one uses the same State, or the disk fails.
func (r *Runtime) Run(ctx context.Context) error {
	defer close(r.stopped)
	lock, err := r.lockState(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.base = ctx
	defer r.drain(cancel)
	if err := r.recover(ctx); err != nil {
		return fmt.Errorf("runtime: find what was running: %w", err)
	}
	close(r.recovered)
	<-ctx.Done()
	return nil
}

// drain ends the watching of shims and waits until it has ended.
func (r *Runtime) drain(cancel context.CancelFunc) {
	cancel()
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	r.work.Wait()
}

// also runs do in a goroutine that Run waits for; false, and nothing is run, when Run is ending.
func (r *Runtime) also(do func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.work.Go(do)
	return true
}

// streamServer is the server behind streaming URLs; see its method.
type streamServer struct {
	mu      sync.Mutex // held while the server is being started
	started streaming.Server
}

// lockLimit is how long a lock may be held by what is no floe: a shim that a killed floe was just starting holds it until it is itself.
const (
	lockLimit = 3 * time.Second
	lockEvery = 20 * time.Millisecond
)

// lockState makes sure that no other floe works on the same State.
func (r *Runtime) lockState(ctx context.Context) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(r.cfg.State, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("runtime: %w", err)
	}
	tick := r.cfg.Clock.NewTicker(lockEvery)
	defer tick.Stop()
	for range lockLimit / lockEvery {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			break
		}
		select {
		case <-tick.C():
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		}
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("runtime: another floe works on %s", r.cfg.State)
	}
	return nil, fmt.Errorf("runtime: lock %s: %w", r.cfg.State, err)
}

// ready waits until Run has recovered.
func (r *Runtime) ready(ctx context.Context) error {
	select {
	case <-r.stopped:
		return unavailable("the container runtime has stopped")
	default:
	}
	select {
	case <-r.recovered:
		return nil
	case <-r.stopped:
		return unavailable("the container runtime has stopped")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newID makes an identifier of 64 hexadecimal digits.
func (r *Runtime) newID() (string, error) {
	var b [32]byte
	if _, err := io.ReadFull(r.cfg.Random, b[:]); err != nil {
		return "", fmt.Errorf("make an identifier: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// reserve takes a name for id; release gives it back. CRI's names (metadata with attempt) are unique for as long as their owner exists.
func (r *Runtime) reserve(name, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if other, ok := r.reserved[name]; ok {
		return alreadyExists("name %q is reserved for %q", name, other)
	}
	r.reserved[name] = id
	return nil
}

func (r *Runtime) release(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.reserved, name)
}
