package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/runtime/image/registry"
	"github.com/floe-k8s/floe/internal/runtime/layer"
)

// ErrNotFound says that no image of that name or ID is in the store.
var ErrNotFound = errors.New("image not found")

// Store is the images below one root directory. Its methods are safe for concurrent use, also by several processes.
type Store struct {
	root     string
	unpack   Unpacker
	clock    clock.WithTicker
	registry *registry.Client
	limits   Limits
	// downloads and unpackers are how many blobs and layers of one image arrive, and are unpacked, at the same time.
	downloads, unpackers int
	pulls                *semaphore.Weighted // pulls at work
	pulling              flights[Image]
	blobs                flights[incoming]
	chains               flights[layer.Result]
	syncs                syncs
	// crash is called between any two steps of which the first leaves something on disk; tests end the process there.
	crash func(step string)
	sizes sync.Map // what layers of Usage take: chain ID without "sha256:" → layer.Result; they never change

	mu      sync.Mutex // guards what follows
	cached  []*Image
	version seen
}

// Config is what Open needs. Fields without a stated default are required.
type Config struct {
	// Root is the directory of the store, made when absent; nobody but its owner may enter it.
	Root string
	// Unpack unpacks layers.
	Unpack Unpacker
	// Clock stamps images and tells what is old; default the real one.
	Clock clock.WithTicker
	// Registry is what Pull asks; default one without a hosts directory.
	Registry *registry.Client
	// Limits bound what images may make the store hold; default DefaultLimits.
	Limits *Limits
	// Pulls is how many images arrive at the same time, and Downloads how many blobs of each, so that a slow registry holds up its own images only;
	// default 8 and 6. Unpackers is how many layers of one image are unpacked at the same time; default the number of processors, from 2 to 4.
	Downloads, Pulls, Unpackers int
}

func (c *Config) setDefaults() {
	if c.Clock == nil {
		c.Clock = clock.RealClock{}
	}
	if c.Registry == nil {
		c.Registry = registry.New(registry.Config{Clock: c.Clock})
	}
	if c.Limits == nil {
		limits := DefaultLimits
		c.Limits = &limits
	}
	for _, n := range []struct {
		field    *int
		standard int
	}{{&c.Downloads, 6}, {&c.Pulls, 8}, {&c.Unpackers, min(max(runtime.GOMAXPROCS(0), 2), 4)}} {
		if *n.field == 0 {
			*n.field = n.standard
		}
	}
}

// Open opens the store that cfg describes, making its directories when absent. It starts nothing.
func Open(cfg Config) (*Store, error) {
	cfg.setDefaults()
	for _, dir := range []string{"", "blobs/sha256", "layers", "partial", "pins", "tmp"} {
		if err := os.MkdirAll(filepath.Join(cfg.Root, dir), 0o700); err != nil {
			return nil, fmt.Errorf("image store: %w", err)
		}
	}
	// Layers hold set-user-ID programs and device nodes; nobody but root may reach them, whatever made the directory.
	if err := os.Chmod(cfg.Root, 0o700); err != nil {
		return nil, fmt.Errorf("image store: %w", err)
	}
	return &Store{
		root: cfg.Root, unpack: cfg.Unpack, clock: cfg.Clock, registry: cfg.Registry, limits: *cfg.Limits, unpackers: cfg.Unpackers,
		downloads: cfg.Downloads, pulls: semaphore.NewWeighted(int64(cfg.Pulls)), crash: func(string) {},
	}, nil
}

// List returns all images, the eldest first.
func (s *Store) List() ([]*Image, error) {
	images, err := s.images()
	return slices.Clone(images), err
}

// Resolve finds the image that ref means: a name (completed as Normalize does), name@digest, an ID, or an ID's digits. The error is
// ErrNotFound when there is none.
func (s *Store) Resolve(ref string) (*Image, error) {
	images, err := s.images()
	if err != nil {
		return nil, err
	}
	match, err := matcher(ref)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(images, match); i >= 0 {
		return images[i], nil
	}
	return nil, fmt.Errorf("image %q: %w", ref, ErrNotFound)
}

func matcher(ref string) (func(*Image) bool, error) {
	if digest, ok := asDigest(ref); ok {
		return func(i *Image) bool { return i.ID == digest || slices.Contains(i.Manifests, digest) }, nil
	}
	full, err := Normalize(ref)
	if err != nil {
		return nil, err
	}
	if strings.Contains(full, "@") {
		return func(i *Image) bool { return slices.Contains(i.RepoDigests, full) }, nil
	}
	return func(i *Image) bool { return slices.Contains(i.Names, full) }, nil
}

// asDigest says whether ref is a bare digest or its 64 digits.
func asDigest(ref string) (string, bool) {
	digits := strings.TrimPrefix(ref, "sha256:")
	if len(digits) != 64 || strings.Trim(digits, "0123456789abcdef") != "" {
		return "", false
	}
	return "sha256:" + digits, true
}

// Config reads an image's configuration.
func (s *Store) Config(i *Image) (*v1.ConfigFile, error) {
	data, err := s.ConfigData(i)
	if err != nil {
		return nil, err
	}
	c, err := v1.ParseConfigFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("configuration of image %s: %w", i.ID, err)
	}
	return c, nil
}

// ConfigData reads an image's configuration as it came.
func (s *Store) ConfigData(i *Image) ([]byte, error) {
	data, err := os.ReadFile(s.blobPath(i.ID))
	if err != nil {
		return nil, fmt.Errorf("configuration of image %s: %w", i.ID, err)
	}
	return data, nil
}

// SetPinned asks others to keep the image that ref means, or no longer.
func (s *Store) SetPinned(ref string, pinned bool) error {
	match, err := matcher(ref)
	if err != nil {
		return err
	}
	return s.change(func(images []*Image) ([]*Image, error) {
		i := slices.IndexFunc(images, match)
		if i < 0 {
			return nil, fmt.Errorf("image %q: %w", ref, ErrNotFound)
		}
		c := *images[i]
		c.Pinned = pinned
		images[i] = &c
		return images, nil
	})
}

// Pin keeps the layers of image i until Unpin of the same owner, whatever happens to the image, and returns their directories, uppermost
// first, as overlayfs wants them. It may be repeated.
func (s *Store) Pin(owner string, i *Image) ([]string, error) {
	unlock, err := s.lock("gc.lock", unix.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := s.Resolve(i.ID); err != nil { // it may have been removed since the caller looked
		return nil, err
	}
	var chains strings.Builder
	for _, l := range i.Layers {
		chains.WriteString(l.Chain + "\n")
	}
	// Not synced: after a power failure no container runs, and floe unpins those it does not find any more.
	if err := os.WriteFile(filepath.Join(s.root, "pins", owner), []byte(chains.String()), 0o600); err != nil {
		return nil, fmt.Errorf("pin image %s: %w", i.ID, err)
	}
	return s.layerDirs(i), nil
}

// Unpin undoes Pin; an unknown owner is no error.
func (s *Store) Unpin(owner string) error {
	err := os.Remove(filepath.Join(s.root, "pins", owner))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Pins lists the owners of pins.
func (s *Store) Pins() ([]string, error) { return dirNames(filepath.Join(s.root, "pins")) }

func (s *Store) layerDirs(i *Image) []string {
	dirs := make([]string, 0, len(i.Layers))
	for _, l := range slices.Backward(i.Layers) {
		dirs = append(dirs, filepath.Join(s.layerPath(l.Chain), "fs"))
	}
	return dirs
}

func (s *Store) blobPath(digest string) string {
	return filepath.Join(s.root, "blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))
}

func (s *Store) layerPath(chain string) string {
	return filepath.Join(s.root, "layers", strings.TrimPrefix(chain, "sha256:"))
}

func dirNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}
