package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/floe-k8s/floe/internal/runtime/image"
)

// containerd is one with a directory of its own.
type containerd struct{ peers, dir string }

// pause is the image of containerd's sandboxes: floe's own, with a command that waits. configuration's arguments: directory, programs, image.
const (
	pause         = "floe.dev/pause:v1"
	configuration = `version = 3
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "%[1]s/containerd.sock"
[ttrpc]
  address = "%[1]s/containerd.sock.ttrpc"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "%[3]s"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["%[2]s"]
  conf_dir = "%[1]s/net.d"
  use_internal_loopback = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "%[2]s/runc"
`
	network = `{"cniVersion":"1.0.0","name":"peers","plugins":[{"type":"ptp","ipMasq":false,"ipam":{"type":"host-local","dataDir":"%s/leases",
"ranges":[[{"subnet":"10.99.8.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
`
)

// with runs do beside it, and ends it.
func (c containerd) with(ctx context.Context, do func(socket string) error) error {
	if err := c.configure(); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.peers, "containerd"), "--config", filepath.Join(c.dir, "config.toml"), "--log-level", "warn")
	cmd.Env = append(os.Environ(), "PATH="+c.peers+":"+os.Getenv("PATH"))
	socket := filepath.Join(c.dir, "containerd.sock")
	return beside(ctx, cmd, socket, func() error {
		for _, file := range []string{"self.tar", "pause.tar"} {
			load := exec.CommandContext(ctx, filepath.Join(c.peers, "ctr"), "--address", socket, "--namespace", "k8s.io", "images", "import", filepath.Join(c.dir, file))
			if out, err := load.CombinedOutput(); err != nil {
				return fmt.Errorf("ctr: load %s: %w: %s", file, err, out)
			}
		}
		return do("unix://" + socket)
	})
}

// configure writes its files: configuration, network, images.
func (c containerd) configure() error {
	if err := os.MkdirAll(filepath.Join(c.dir, "net.d"), 0o755); err != nil {
		return err
	}
	for name, content := range map[string]string{
		"config.toml":             fmt.Sprintf(configuration, c.dir, c.peers, pause),
		"net.d/10-peers.conflist": fmt.Sprintf(network, c.dir),
	} {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	tool := filepath.Join(c.peers, "floe-tool")
	if err := archive(filepath.Join(c.dir, "self.tar"), tool); err != nil {
		return err
	}
	return waiting(filepath.Join(c.dir, "self.tar"), filepath.Join(c.dir, "pause.tar"))
}

// archive writes floe's own image.
func archive(path, tool string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(image.BuildSelf(f, tool), f.Close())
}

// floe is its runtime alone, with a directory of its own.
type floe struct{ program, dir string }

func (f floe) with(ctx context.Context, do func(socket string) error) error {
	data, socket := filepath.Join(f.dir, "data"), filepath.Join(f.dir, "floe.sock")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return err
	}
	load := exec.CommandContext(ctx, f.program, "images", "build-self", "--data-dir", data)
	if out, err := load.CombinedOutput(); err != nil {
		return fmt.Errorf("floe images build-self: %w: %s", err, out)
	}
	cmd := exec.CommandContext(ctx, f.program, "runtime", "--data-dir", data, "--listen", "unix://"+socket, "--cgroup-parent", "/floe-peers")
	return beside(ctx, cmd, socket, func() error { return do("unix://" + socket) })
}

// patience is how long a program may take to listen, or to end.
const patience = 30 * time.Second

// beside runs do while cmd runs and listens on socket, and ends cmd.
func beside(ctx context.Context, cmd *exec.Cmd, socket string, do func() error) (err error) {
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = patience
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
		_ = cmd.Wait() // how it ends says nothing more
	}()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			conn.Close()
			return do()
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("%s does not listen: %w", filepath.Base(cmd.Path), err)
		}
	}
}
