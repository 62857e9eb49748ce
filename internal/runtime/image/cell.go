package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/layer"
)

// ShimUnpacker unpacks with `floe-shim unpack`, shimPath being that program: a process in mount, PID, network, IPC and UTS namespaces of
// its own that makes the target its root directory before it reads the first byte.
func ShimUnpacker(shimPath string) Unpacker {
	return func(ctx context.Context, blob, target *os.File, parents []*os.File) (layer.Result, error) {
		var stdout, stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, shimPath, "unpack")
		cmd.Stdin = blob
		cmd.Stdout, cmd.Stderr = &bounded{w: &stdout}, &bounded{w: &stderr}
		cmd.ExtraFiles = append([]*os.File{target}, parents...)
		cmd.Env = []string{"GOMAXPROCS=2"}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
			Setsid:     true,
		}
		if err := cmd.Run(); err != nil {
			if ctx.Err() != nil {
				return layer.Result{}, ctx.Err()
			}
			return layer.Result{}, fmt.Errorf("unpack: %w: %s", err, strings.TrimSpace(stderr.String()))
		}
		var result layer.Result
		if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
			return layer.Result{}, fmt.Errorf("unpack: answer: %w", err)
		}
		return result, nil
	}
}

// bounded passes the first 64 KiB on and drops the rest: the child's words end up in memory and in errors.
type bounded struct {
	w    io.Writer
	used int
}

func (b *bounded) Write(p []byte) (int, error) {
	room := max(0, min(len(p), 64<<10-b.used))
	b.used += room
	if _, err := b.w.Write(p[:room]); err != nil {
		return 0, err
	}
	return len(p), nil
}
