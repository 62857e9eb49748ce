package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/layer"
)

// unpack unpacks one layer. floe started this process in new mount, PID, network, IPC and UTS namespaces, with these descriptors:
//
//	0   the layer: a tar stream, plain, gzip or zstd
//	1   gets the layer.Result as JSON
//	2   gets the error's text
//	3   the empty directory to unpack into
//	4…  the directories of the layers below, uppermost first
//
// Before the first byte of the layer is read, the directory becomes the root of all this process can name, so nothing a layer says can
// reach anything else. The layers below stay open to read the attributes of directories.
func unpack() error {
	if err := enterCell(); err != nil {
		return fmt.Errorf("unpack: cell: %w", err)
	}
	parents, err := parentLayers()
	if err != nil {
		return err
	}
	stream, err := layer.Decompress(bufio.NewReaderSize(os.Stdin, 1<<20))
	if err != nil {
		return err
	}
	result, err := layer.Unpack(stream, parents, layer.DefaultLimits)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// enterCell makes the directory at descriptor 3 the root directory and forgets every other mount.
func enterCell() error {
	const target = 3
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", target))
	if err != nil {
		return err
	}
	steps := []struct {
		what string
		do   func() error
	}{
		{"make mounts private", func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") }},
		{"bind", func() error { return unix.Mount(path, path, "", unix.MS_BIND, "") }},
		{"enter", func() error { return unix.Chdir(path) }},
		{"pivot", func() error { return unix.PivotRoot(".", ".") }},
		{"leave the old root", func() error { return unix.Unmount(".", unix.MNT_DETACH) }},
		{"enter the new root", func() error { return unix.Chdir("/") }},
		{"no new privileges", func() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }},
		{"close the target", func() error { return unix.Close(target) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	unix.Umask(0)
	return nil
}

// parentLayers takes the directories from descriptor 4 on.
func parentLayers() ([]int, error) {
	var fds []int
	for fd := 4; ; fd++ {
		var st unix.Stat_t
		err := unix.Fstat(fd, &st)
		if errors.Is(err, unix.EBADF) || (err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR) {
			return fds, nil // what comes after belongs to the Go runtime
		}
		if err != nil {
			return nil, err
		}
		fds = append(fds, fd)
	}
}
