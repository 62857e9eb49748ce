package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/layer"
)

// blobSource is where the bytes of a layer come from while it is unpacked.
type blobSource struct {
	// open starts reading; it may be called again.
	open func(context.Context) (io.ReadCloser, error)
	// settle waits until the bytes are known to be the blob's, and says whether those of the last open were others.
	settle func(context.Context) (again bool, err error)
	// close is called once, at the end.
	close func()
}

// errShared is a failure of work that another caller began: with its own credentials and hosts, a repetition may succeed.
var errShared = errors.New("shared work failed")

// unpackLayers makes sure that the layers of an image, the lowest first, are unpacked, several at the same time, and fills in what each unpacked to.
//
// A place among the unpackers is taken in the order of the layers, and each place is held by a layer whose lower ones have had theirs. So the lowest
// one at work never waits for a place, and those above it, which may have to wait for it, get what they wait for.
func (s *Store) unpackLayers(ctx context.Context, layers []Layer, source func(ctx context.Context, i int) blobSource, meter *Progress) error {
	places := semaphore.NewWeighted(int64(s.unpackers))
	group, ctx := errgroup.WithContext(ctx)
	chains := make([]string, len(layers))
	for i := range layers {
		chains[i] = layers[i].Chain
	}
	for i := range layers {
		if err := places.Acquire(ctx, 1); err != nil {
			group.Go(func() error { return context.Cause(ctx) })
			break
		}
		f, led := s.chains.join(ctx, layers[i].Chain, func(ctx context.Context, result *layer.Result) error {
			defer places.Release(1)
			r, err := s.unpackChain(ctx, layers[i], chains[:i], func() blobSource { return source(ctx, i) })
			*result = r
			return err
		})
		if !led {
			places.Release(1)
		}
		group.Go(func() error {
			defer f.leave()
			if err := f.wait(ctx); err != nil {
				if !led && ctx.Err() == nil {
					err = fmt.Errorf("%w: %w", errShared, err)
				}
				return fmt.Errorf("layer %s: %w", layers[i].Digest, err)
			}
			layers[i].Bytes, layers[i].Entries = f.state.Bytes, f.state.Entries
			meter.layer()
			return nil
		})
	}
	return group.Wait()
}

// unpackChain makes sure that the chain of l, whose lower chains are below, is unpacked. Another process may do the same at the same time; the
// first one's result stays.
func (s *Store) unpackChain(ctx context.Context, l Layer, below []string, source func() blobSource) (layer.Result, error) {
	target := s.layerPath(l.Chain)
	if r, ok, err := readLayer(target); ok || err != nil {
		return r, err
	}
	src := source()
	defer src.close()
	work, err := s.newLease(append(slices.Clone(below), l.Chain, l.Digest)...)
	if err != nil {
		return layer.Result{}, err
	}
	defer work.release()
	for {
		result, err := s.runUnpacker(ctx, work.dir, src, below)
		again, settled := src.settle(ctx)
		switch {
		case settled != nil:
			return layer.Result{}, settled
		case again:
			if err := os.RemoveAll(filepath.Join(work.dir, unpacked)); err != nil {
				return layer.Result{}, err
			}
			continue
		case err != nil:
			return layer.Result{}, err
		case result.DiffID != l.DiffID:
			return layer.Result{}, fmt.Errorf("%w: it unpacks to diff ID %s instead of %s", ErrContent, result.DiffID, l.DiffID)
		}
		return s.publish(work.dir, target, result)
	}
}

// unpacked is the directory, in a lease's, that becomes layers/HEX.
const unpacked = "layer"

func (s *Store) publish(dir, target string, result layer.Result) (layer.Result, error) {
	data, err := json.Marshal(result)
	if err != nil {
		return layer.Result{}, err
	}
	made := filepath.Join(dir, unpacked)
	s.crash("layer unpacked")
	if err := os.WriteFile(filepath.Join(made, "layer.json"), data, 0o600); err != nil {
		return layer.Result{}, err
	}
	if err := s.syncs.sync(made); err != nil {
		return layer.Result{}, err
	}
	s.crash("layer synced")
	err = os.Rename(made, target)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		result, _, err = readLayer(target)
	}
	return result, err
}

func readLayer(target string) (r layer.Result, ok bool, err error) {
	data, err := os.ReadFile(filepath.Join(target, "layer.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, false, fmt.Errorf("%s: %w", target, err)
	}
	return r, true, nil
}

func (s *Store) runUnpacker(ctx context.Context, dir string, src blobSource, below []string) (layer.Result, error) {
	path := filepath.Join(dir, unpacked, "fs")
	if err := os.MkdirAll(path, 0o755); err != nil {
		return layer.Result{}, err
	}
	target, err := os.Open(path)
	if err != nil {
		return layer.Result{}, err
	}
	defer target.Close()
	job := Job{Blob: src.open, Target: target}
	if len(below) > 0 {
		job.Below = func(ctx context.Context) ([]*os.File, error) { return s.openChains(ctx, below) }
	}
	return s.unpack(ctx, job)
}

// openChains waits for chains that are unpacked or on the way, and opens their directories, the last one first.
func (s *Store) openChains(ctx context.Context, chains []string) ([]*os.File, error) {
	var files []*os.File
	for _, c := range slices.Backward(chains) {
		f, err := s.openChain(ctx, c)
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (s *Store) openChain(ctx context.Context, chain string) (*os.File, error) {
	if f := s.chains.find(chain); f != nil {
		err := f.wait(ctx)
		f.leave()
		if err != nil {
			return nil, err
		}
	}
	return os.Open(filepath.Join(s.layerPath(chain), "fs"))
}

// syncs writes everything on a file system to disk: thousands of files at once, instead of one by one. Who asks while that goes on shares the
// next one.
type syncs struct {
	running sync.Mutex // held over the sync, taken before mu
	mu      sync.Mutex // guards next
	next    *syncRound
}

type syncRound struct {
	done chan struct{}
	err  error
}

func (s *syncs) sync(dir string) error {
	s.mu.Lock()
	r := s.next
	mine := r == nil
	if mine {
		r = &syncRound{done: make(chan struct{})}
		s.next = r
	}
	s.mu.Unlock()
	if !mine {
		<-r.done
		return r.err
	}
	s.running.Lock()
	defer s.running.Unlock()
	s.mu.Lock()
	s.next = nil // whoever comes now may have written what this one misses
	s.mu.Unlock()
	r.err = syncFileSystem(dir)
	close(r.done)
	return r.err
}

func syncFileSystem(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}
