package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// mountVolumes mounts the images that a container has as volumes and leads the specification's mounts of them to where, below the image's
// root, they are asked from.
func (c *container) mountVolumes(spec *specs.Spec, volumes []shim.Volume) error {
	for _, v := range volumes {
		if err := c.mountImage(v.Target, v.Lower); err != nil {
			return fmt.Errorf("image volume: %w", err)
		}
		c.volumes = append(c.volumes, v.Target)
		source, err := below(v.Target, v.SubPath)
		if err != nil {
			return fmt.Errorf("image volume: path %q of the image: %w", v.SubPath, err)
		}
		for i, m := range spec.Mounts {
			if m.Source == v.Target {
				spec.Mounts[i].Source = source
			}
		}
	}
	return nil
}

// mountImage mounts layers, uppermost first, at target, read-only. An overlay has two at least, so a single one is bound.
func (c *container) mountImage(target string, lower []string) error {
	if len(lower) != 1 {
		m, lower, err := c.mapLayers(c.users, lower)
		if err != nil {
			return err
		}
		return errors.Join(mountOverlay(target, lower, "", ""), m.unmount())
	}
	if err := makeMountPoint(target); err != nil {
		return err
	}
	if c.users != "" {
		return mountMapped(c.users, lower[0], target, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	}
	if err := unix.Mount(lower[0], target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind layer: %w", err)
	}
	return unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, "")
}

// below finds what path means inside root, as the image itself would see it: its links, absolute ones too, lead to places below root.
func below(root, path string) (string, error) {
	if path == "" {
		return root, nil
	}
	dir, err := os.Open(root)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	fd, err := unix.Openat2(int(dir.Fd()), path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return "", err
	}
	found := os.NewFile(uintptr(fd), path)
	defer found.Close()
	return os.Readlink(fmt.Sprintf("/proc/self/fd/%d", found.Fd()))
}
