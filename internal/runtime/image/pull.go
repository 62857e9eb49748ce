package image

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/semaphore"

	"github.com/floe-k8s/floe/internal/runtime/image/registry"
)

// ErrContent says that something has another digest or size than what refers to it says.
var ErrContent = registry.ErrContent

// Pull brings the image that name means from its registry, or from where the hosts directory says, and returns it. Its blobs are received side by side
// and unpacked while they arrive. Concurrent pulls of the same name by the same one share the work; different images share blobs and layers.
// What a Pull that failed or was killed has received is there for the next one. progress may be nil.
//
// The errors are registry.ErrNotFound, registry.ErrUnauthorized, ErrContent, ErrUnusable, and others of network and disk.
func (s *Store) Pull(ctx context.Context, name string, auth registry.Auth, progress *Progress) (*Image, error) {
	named, err := parseName(name)
	if err != nil {
		return nil, err
	}
	key, err := pullKey(named, auth)
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		f, led := s.pulling.join(ctx, key, func(ctx context.Context, img *Image) error {
			if err := s.pulls.Acquire(ctx, 1); err != nil {
				return err
			}
			defer s.pulls.Release(1)
			got, err := s.pull(ctx, named, auth, progress)
			if err == nil {
				*img = *got
			}
			return err
		})
		err := f.wait(ctx)
		f.leave()
		if err == nil {
			return &f.state, nil
		}
		// What another one began may have failed for reasons of its own: that it was cancelled, or may not read what we may.
		if ctx.Err() != nil || try == sharedTries || (led && !errors.Is(err, errShared)) {
			return nil, fmt.Errorf("pull %s: %w", named, err)
		}
	}
}

// sharedTries is how often a Pull is repeated when others have failed it.
const sharedTries = 3

// pullKey tells pulls apart: who has other credentials may not get what these give.
func pullKey(named reference.Named, auth registry.Auth) (string, error) {
	data, err := json.Marshal(auth)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return named.String() + " " + hex.EncodeToString(sum[:]), nil
}

// pulling is one pull at work.
type pulling struct {
	store *Store
	repo  *registry.Repository
	lease *lease
	meter *Progress
	// downloads has a place for each blob that may arrive at the same time.
	downloads *semaphore.Weighted
	// top is the digest that the name means: an index's, or the manifest's. docs are the documents on the way, the manifest last.
	top  string
	docs []*registry.Document
}

func (s *Store) pull(ctx context.Context, named reference.Named, auth registry.Auth, meter *Progress) (*Image, error) {
	repo, err := s.registry.Open(reference.Domain(named), reference.Path(named), auth)
	if err != nil {
		return nil, err
	}
	defer repo.Close()
	work, err := s.newLease()
	if err != nil {
		return nil, err
	}
	defer work.release()
	p := &pulling{store: s, repo: repo, lease: work, meter: meter, downloads: semaphore.NewWeighted(int64(s.downloads))}
	manifest, err := p.resolve(ctx, named)
	if err != nil {
		return nil, err
	}
	img, err := p.content(ctx, manifest)
	if err != nil {
		return nil, err
	}
	img.RepoDigests = []string{named.Name() + "@" + p.top}
	if _, ok := named.(reference.NamedTagged); ok {
		img.Names = []string{named.String()}
	}
	for _, d := range slices.Backward(p.docs) {
		if err := s.putBlob(work, d.Digest, d.Data); err != nil {
			return nil, err
		}
		img.Manifests = append(img.Manifests, d.Digest)
	}
	recorded, err := s.record([]*Image{img})
	if err != nil {
		return nil, err
	}
	return recorded[0], nil
}

// resolve finds the manifest for this machine.
func (p *pulling) resolve(ctx context.Context, named reference.Named) (*v1.Manifest, error) {
	ref := ""
	switch n := named.(type) {
	case reference.Canonical:
		ref = n.Digest().String()
	case reference.NamedTagged:
		ref = n.Tag()
	}
	doc, err := p.repo.Manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	p.top = doc.Digest
	for depth := 0; ; depth++ {
		if err := p.lease.claim(doc.Digest); err != nil {
			return nil, err
		}
		p.docs = append(p.docs, doc)
		if doc.MediaType.IsImage() {
			return parseManifest(doc.Data, p.store.limits)
		}
		if depth == maxIndexDepth {
			return nil, fmt.Errorf("%w: indexes nest deeper than %d", ErrUnusable, maxIndexDepth)
		}
		if doc, err = p.descend(ctx, doc); err != nil {
			return nil, err
		}
	}
}

// descend reads what an index has for this machine, from disk when it is there.
func (p *pulling) descend(ctx context.Context, index *registry.Document) (*registry.Document, error) {
	idx, err := v1.ParseIndexManifest(bytes.NewReader(index.Data))
	if err != nil {
		return nil, fmt.Errorf("%w: index %s: %w", ErrUnusable, index.Digest, err)
	}
	fit := suited(idx.Manifests)
	if len(fit) == 0 {
		return nil, fmt.Errorf("%w: no match for platform linux/%s in its index", ErrUnusable, runtime.GOARCH)
	}
	d := fit[0]
	if !isDigest(d.Digest.String()) || d.Size > p.store.limits.Document {
		return nil, fmt.Errorf("%w: its index refers to %s with %d bytes", ErrUnusable, d.Digest, d.Size)
	}
	doc, err := p.repo.Manifest(ctx, d.Digest.String())
	if err != nil {
		return nil, err
	}
	if int64(len(doc.Data)) != d.Size {
		return nil, fmt.Errorf("%s has %d bytes instead of %d: %w", d.Digest, len(doc.Data), d.Size, ErrContent)
	}
	return doc, nil
}

// content brings configuration and layers.
func (p *pulling) content(ctx context.Context, m *v1.Manifest) (*Image, error) {
	var digests []string
	total := m.Config.Size
	for _, l := range m.Layers {
		if !slices.Contains(digests, l.Digest.String()) {
			total += l.Size
		}
		digests = append(digests, l.Digest.String())
	}
	p.meter.expect(total, len(m.Layers))
	if err := p.lease.claim(append(digests, m.Config.Digest.String())...); err != nil {
		return nil, err
	}
	config, err := p.config(ctx, m.Config)
	if err != nil {
		return nil, err
	}
	c, err := parseConfig(config, len(m.Layers))
	if err != nil {
		return nil, err
	}
	layers := chainLayers(m, c)
	if err := p.layers(ctx, layers); err != nil {
		return nil, err
	}
	img := &Image{ID: m.Config.Digest.String(), Layers: layers, Size: m.Config.Size, User: c.Config.User, LoadedAt: p.store.clock.Now().UnixNano()}
	for _, l := range layers {
		img.Size += l.Size
	}
	return img, nil
}

func (p *pulling) config(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	f := p.receive(ctx, d.Digest.String(), d.Size, p.meter)
	defer f.leave()
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	return os.ReadFile(p.store.blobPath(d.Digest.String()))
}

// arrival is a pull's part in the work that brings a blob.
type arrival struct {
	*flight[incoming]
	led bool
}

// wait waits for the blob. Of work that another pull began the error says so.
func (a arrival) wait(ctx context.Context) error {
	err := a.flight.wait(ctx)
	if err != nil && !a.led && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", errShared, err)
	}
	return err
}

// receive joins the work that brings a blob.
func (p *pulling) receive(ctx context.Context, digest string, size int64, meter *Progress) arrival {
	f, led := p.store.blobs.join(ctx, digest, func(ctx context.Context, in *incoming) error {
		if err := p.downloads.Acquire(ctx, 1); err != nil {
			in.change(func() { in.ended = true })
			return err
		}
		defer p.downloads.Release(1)
		return p.store.receive(ctx, in, digest, size, p.repo.Fetch, meter)
	})
	return arrival{f, led}
}

// layers receives and unpacks all layers.
func (p *pulling) layers(ctx context.Context, layers []Layer) error {
	chains := make([]string, len(layers))
	blobs := make([]arrival, len(layers))
	for i, l := range layers {
		chains[i] = l.Chain
	}
	if err := p.lease.claim(chains...); err != nil {
		return err
	}
	for i, l := range layers {
		blobs[i] = p.receive(ctx, l.Digest, l.Size, p.meter)
		defer blobs[i].leave()
	}
	source := func(ctx context.Context, i int) blobSource { return p.source(ctx, layers[i], blobs[i].led) }
	if err := p.store.unpackLayers(ctx, layers, source, p.meter); err != nil {
		return err
	}
	for i, f := range blobs { // of chains that were there already
		if err := f.wait(ctx); err != nil {
			return fmt.Errorf("layer %s: %w", layers[i].Digest, err)
		}
	}
	return nil
}

// source lets a layer be unpacked while it arrives. It takes part in the blob's work itself, since it may go on when this pull has ended.
// led says whether this pull began it.
func (p *pulling) source(ctx context.Context, l Layer, led bool) blobSource {
	f := p.receive(ctx, l.Digest, l.Size, nil) // the pull itself has counted it
	f.led = f.led || led
	round := 0
	return blobSource{
		open: func(ctx context.Context) (r io.ReadCloser, err error) {
			r, round, err = p.store.follow(ctx, &f.state, l.Digest)
			return r, err
		},
		settle: func(ctx context.Context) (bool, error) {
			if err := f.wait(ctx); err != nil {
				return false, err
			}
			return !f.state.sound(round), nil
		},
		close: f.leave,
	}
}

// putBlob writes a small blob.
func (s *Store) putBlob(l *lease, digest string, data []byte) error {
	if s.hasBlob(digest, int64(len(data))) {
		return nil
	}
	temporary := filepath.Join(l.dir, "document")
	if err := writeFileSynced(temporary, data); err != nil {
		return err
	}
	s.crash("document synced")
	return os.Rename(temporary, s.blobPath(digest))
}
