package runtime

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// discardFiles removes what a container has on disk. Its own directory goes last: as long as it is there, Run finds the container.
func (r *Runtime) discardFiles(c *container) error {
	if err := c.unmount(); err != nil {
		return err
	}
	if err := r.removeMappedRoot(c); err != nil {
		return err
	}
	r.cfg.Fault("remove container: unmounted")
	if err := os.RemoveAll(r.writableLayer(c.id)); err != nil {
		return err
	}
	r.cfg.Fault("remove container: layer")
	if err := r.images.Unpin(c.id); err != nil {
		return err
	}
	for i, m := range c.config.GetMounts() { // of a half-made container, whose request nobody knows, Run sweeps them
		if m.GetImage() == nil {
			continue
		}
		if err := r.images.Unpin(volumePin(c.id, i)); err != nil {
			return err
		}
	}
	return os.RemoveAll(c.dir)
}

// unmount takes off what a shim mounted for the container, and did not take off itself.
func (c *container) unmount() error {
	for _, dir := range []string{volumesDir, shim.LayersDir} {
		mounts, err := os.ReadDir(filepath.Join(c.dir, dir))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		for _, m := range mounts {
			if err := unmount(filepath.Join(c.dir, dir, m.Name())); err != nil {
				return err
			}
		}
	}
	return unmount(filepath.Join(c.dir, shim.RootfsName))
}

// maxSpec bounds a container's specification, in bytes, such that asking a shim to start it fits a frame.
const maxSpec = shim.MaxFrame / 2

// logPath is where a container's log lies: below the sandbox's log directory; "" when one of the two is not named.
func logPath(dir, file string) (string, error) {
	switch {
	case dir == "" || file == "":
		return "", nil
	case !filepath.IsAbs(dir):
		return "", invalid("log directory %q is not absolute", dir)
	case !filepath.IsLocal(file):
		return "", invalid("log path %q leads out of the sandbox's log directory", file)
	}
	return filepath.Join(dir, file), nil
}

// writableLayer is the directory of a container's writable layer.
func (r *Runtime) writableLayer(id string) string {
	return filepath.Join(r.cfg.Root, "containers", id)
}

// filters is where compiled seccomp filters are kept.
func (r *Runtime) filters() string { return filepath.Join(r.cfg.Root, "filters") }

// upper is where what a container writes to its root file system lies.
func (r *Runtime) upper(id string) string { return filepath.Join(r.writableLayer(id), "upper") }
