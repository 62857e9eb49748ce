package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// mapped are mounts of layers whose owners are seen as the users of a pod's namespace. They are there while an overlay is being made, which
// takes mounts of its own; the kernel takes ID-mapped layers since Linux 5.19.
type mapped struct {
	dir    string // where they are mounted, each under its number
	mounts []string
}

// mapLayers mounts layers mapped to the user namespace at path users. Without one it returns them as they are.
func (c *container) mapLayers(users string, layers []string) (*mapped, []string, error) {
	if users == "" {
		return &mapped{}, layers, nil
	}
	m := &mapped{dir: c.layers}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return m, nil, err
	}
	for i, layer := range layers {
		target := filepath.Join(m.dir, strconv.Itoa(i))
		if err := os.Mkdir(target, 0o700); err != nil {
			return m, nil, errors.Join(err, m.unmount())
		}
		m.mounts = append(m.mounts, target)
		if err := mountMapped(users, layer, target, 0); err != nil {
			return m, nil, errors.Join(err, m.unmount())
		}
	}
	return m, m.mounts, nil
}

// unmount takes the mounts off; an overlay made of them keeps its own.
func (m *mapped) unmount() error {
	var errs []error
	for _, target := range m.mounts {
		errs = append(errs, unmountOverlay(target))
	}
	m.mounts = nil
	return errors.Join(errs...)
}

// mountMapped mounts dir at target, its owners seen as the users of the namespace at path users, with more attributes of mount_setattr(2).
func mountMapped(users, dir, target string, attributes uint64) error {
	ns, err := os.Open(users)
	if err != nil {
		return err
	}
	defer ns.Close()
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return fmt.Errorf("layer %s: %w", dir, err)
	}
	defer unix.Close(tree)
	set := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP | attributes, Userns_fd: uint64(ns.Fd())}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, set); err != nil {
		return fmt.Errorf("layer %s: map its IDs: %w", dir, err)
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// mountRoot mounts the container's root file system.
func (c *container) mountRoot(r shim.StartRequest) error {
	m, lower, err := c.mapLayers(r.Users, r.Lower)
	if err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	return errors.Join(mountOverlay(c.rootfs, lower, r.Upper, r.Work), m.unmount())
}
