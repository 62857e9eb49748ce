package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// mountOverlay mounts lower (uppermost first) with upper and work at target, which it makes. Without upper it is read-only, and needs two layers.
//
// mount(2) takes one page of options, enough for some forty layers. Images with more need the newer mount interface, which takes layers
// one by one (Linux 6.5).
func mountOverlay(target string, lower []string, upper, work string) error {
	if len(lower) == 0 {
		return errors.New("root file system: no layer")
	}
	if err := makeMountPoint(target); err != nil {
		return err
	}
	escaped := make([]string, len(lower))
	for i, l := range lower {
		escaped[i] = overlayEscape.Replace(l)
	}
	options := "lowerdir=" + strings.Join(escaped, ":")
	if upper != "" {
		options += ",upperdir=" + overlayEscape.Replace(upper) + ",workdir=" + overlayEscape.Replace(work)
	}
	var err error
	if len(options) < os.Getpagesize() {
		err = unix.Mount("overlay", target, "overlay", 0, options)
	} else {
		err = mountManyLayers(target, lower, upper, work)
	}
	if err != nil {
		os.Remove(target)
		return fmt.Errorf("root file system of %d layers: overlay mount: %w", len(lower), err)
	}
	return nil
}

func makeMountPoint(target string) error {
	if err := os.Mkdir(target, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// overlayEscape protects what has a meaning in overlayfs's options.
var overlayEscape = strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`)

func mountManyLayers(target string, lower []string, upper, work string) error {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fs)
	for _, l := range lower {
		if err := unix.FsconfigSetString(fs, "lowerdir+", l); err != nil {
			return fmt.Errorf("layer by layer (needs Linux 6.5): %w", err)
		}
	}
	for key, dir := range map[string]string{"upperdir": upper, "workdir": work} {
		if dir == "" {
			continue
		}
		if err := unix.FsconfigSetString(fs, key, dir); err != nil {
			return err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return err
	}
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(mnt)
	return unix.MoveMount(mnt, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// unmountOverlay undoes mountOverlay. It detaches, because a process elsewhere may look at the mount at this very moment.
func unmountOverlay(target string) error {
	err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
