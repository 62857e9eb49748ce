package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/layer"
)

// The descriptors of floe-shim unpack besides the usual three.
const (
	targetFD = 3
	belowFD  = 4
)

// unpackMemory is what the garbage collector is asked to stay below, in bytes; a zstd stream alone may want 64 MiB.
const unpackMemory = 160 << 20

// unpack unpacks one layer. floe started this process in new mount, PID, network, IPC and UTS namespaces, with these descriptors:
//
//	0   the layer: a tar stream, plain, gzip or zstd; a file or a pipe
//	1   gets the layer.Result as JSON
//	2   gets the error's text
//	3   the empty directory to unpack into
//	4   a socket that brings the directories of the layers below, uppermost first, when they are there, and whose end is floe's end
//
// With the environment variable LAYERS_BELOW there are layers below.
//
// Before the first byte of the layer is read, the directory becomes the root of all this process can name, so nothing a layer says can
// reach anything else. The layers below stay open to read the attributes of directories.
func unpack() error {
	debug.SetMemoryLimit(unpackMemory)
	if err := enterCell(); err != nil {
		return fmt.Errorf("unpack: cell: %w", err)
	}
	lower := lowerLayers{there: make(chan struct{})}
	go lower.receive() // ends with this process
	var below layer.Below
	if os.Getenv("LAYERS_BELOW") != "" {
		below = lower.wait
	}
	stream, err := layer.Open(os.Stdin, layer.DefaultLimits)
	if err != nil {
		return err
	}
	result, err := layer.Unpack(stream, below, layer.DefaultLimits)
	if err != nil {
		return err // the stream ends with this process
	}
	stream.Close()
	return json.NewEncoder(os.Stdout).Encode(result)
}

// enterCell makes the directory at targetFD the root directory, forgets every other mount, and bounds what this process may do.
func enterCell() error {
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", targetFD))
	if err != nil {
		return err
	}
	limit := func(resource int, n uint64) func() error {
		return func() error { return unix.Setrlimit(resource, &unix.Rlimit{Cur: n, Max: n}) }
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
		{"limit the size of files", limit(unix.RLIMIT_FSIZE, uint64(layer.DefaultLimits.Bytes))},
		{"no core files", limit(unix.RLIMIT_CORE, 0)},
		{"close the target", func() error { return unix.Close(targetFD) }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	unix.Umask(0)
	return nil
}

// lowerLayers are the directories of the layers below, once they are there.
type lowerLayers struct {
	there chan struct{} // closed when fds and err are set
	fds   []int
	err   error
}

func (l *lowerLayers) wait() ([]int, error) {
	<-l.there
	return l.fds, l.err
}

// receive takes messages of one byte from the socket: 0 with descriptors, 1 after the last of them. The socket's end before this process's own
// is that of floe; nobody wants the layer any more.
func (l *lowerLayers) receive() {
	const atOnce = 253 // SCM_MAX_FD
	data, rights := make([]byte, 1), make([]byte, unix.CmsgSpace(4*atOnce))
	for {
		n, nrights, flags, _, err := unix.Recvmsg(belowFD, data, rights, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n == 0:
			fmt.Fprintln(os.Stderr, "floe-shim: unpack: floe has ended")
			os.Exit(1)
		case data[0] == 1:
			close(l.there)
			continue
		}
		if l.err == nil {
			l.err = l.take(rights[:nrights], flags)
		}
	}
}

func (l *lowerLayers) take(rights []byte, flags int) error {
	if flags&unix.MSG_CTRUNC != 0 {
		return errors.New("more descriptors than this process may have")
	}
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return err
	}
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			return err
		}
		l.fds = append(l.fds, got...)
	}
	return nil
}
