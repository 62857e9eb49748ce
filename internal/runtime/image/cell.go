package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/layer"
)

// Job is one layer to unpack.
type Job struct {
	// Blob opens the layer: plain, gzip or zstd. A file is handed to the process as it is; another reader ends with the context, and is closed.
	Blob func(context.Context) (io.ReadCloser, error)
	// Target is the empty directory it goes to.
	Target *os.File
	// Below waits for the layers below and opens their directories, uppermost first; the Unpacker closes them. It is nil for the lowest layer, and
	// called once at most.
	Below func(context.Context) ([]*os.File, error)
}

// Unpacker unpacks a layer. It must confine what the layer can do to Job.Target. It may be called concurrently.
type Unpacker func(context.Context, Job) (layer.Result, error)

// ShimUnpacker unpacks with `floe-shim unpack`, shimPath being that program: a process in mount, PID, network, IPC and UTS namespaces of
// its own that makes the target its root directory before it reads the first byte.
func ShimUnpacker(shimPath string) Unpacker {
	return func(outer context.Context, job Job) (layer.Result, error) {
		ctx, cancel := context.WithCancel(outer)
		var feeder feeder
		var lower bringer
		defer func() {
			cancel()
			feeder.wait()
			lower.wait()
		}()
		var stdout, stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, shimPath, "unpack")
		cmd.Stdout, cmd.Stderr = &bounded{w: &stdout}, &bounded{w: &stderr}
		cmd.ExtraFiles = []*os.File{job.Target}
		cmd.Env = []string{"GOMAXPROCS=2"}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
			Setsid:     true,
		}
		stdin, err := feeder.start(ctx, job.Blob)
		if err != nil {
			return layer.Result{}, err
		}
		defer stdin.Close()
		cmd.Stdin = stdin
		if job.Below != nil {
			cmd.Env = append(cmd.Env, "LAYERS_BELOW=1")
		}
		theirs, err := lower.start(ctx, job.Below)
		if err != nil {
			return layer.Result{}, err
		}
		defer theirs.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
		err = runAlone(cmd, stdin)
		cancel()
		if err != nil {
			return layer.Result{}, unpackError(outer, err, errors.Join(feeder.wait(), lower.wait()), stderr.String())
		}
		var result layer.Result
		if err := json.Unmarshal(stdout.Bytes(), &result); err != nil {
			return layer.Result{}, fmt.Errorf("unpack: answer: %w", err)
		}
		return result, nil
	}
}

// runAlone runs cmd as the only reader of its standard input, so that who writes it hears of its end.
func runAlone(cmd *exec.Cmd, stdin *os.File) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	stdin.Close()
	return cmd.Wait()
}

// unpackError is the cause behind what a failed process said.
func unpackError(ctx context.Context, err, around error, said string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if around != nil && !errors.Is(around, context.Canceled) {
		return fmt.Errorf("unpack: %w", around)
	}
	said = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(said), "floe-shim:"))
	if said == "" {
		said = err.Error()
	}
	return fmt.Errorf("unpack: %s", said)
}

// feeder writes the layer to the process.
type feeder struct {
	done sync.WaitGroup
	err  error
}

// start returns what the process reads. The goroutine ends with ctx, or with the process, at the latest.
func (f *feeder) start(ctx context.Context, open func(context.Context) (io.ReadCloser, error)) (*os.File, error) {
	blob, err := open(ctx)
	if err != nil {
		return nil, err
	}
	if file, ok := blob.(*os.File); ok {
		return file, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, blob.Close())
	}
	f.done.Go(func() {
		defer w.Close()
		defer blob.Close()
		if _, err := io.Copy(w, blob); !errors.Is(err, unix.EPIPE) { // then the process has ended, and says why itself
			f.err = err
		}
	})
	return r, nil
}

func (f *feeder) wait() error {
	f.done.Wait()
	return f.err
}

// bringer sends the directories of the layers below to the process when they are there, and keeps the socket, whose end would be ours.
type bringer struct {
	done sync.WaitGroup
	err  error
}

// start returns the process's end of the socket. The goroutine ends with ctx. below is nil when there are none.
func (b *bringer) start(ctx context.Context, below func(context.Context) ([]*os.File, error)) (theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	b.done.Go(func() {
		defer unix.Close(pair[0])
		if below != nil {
			b.err = bring(ctx, pair[0], below)
		}
		if b.err == nil {
			<-ctx.Done()
		}
	})
	return os.NewFile(uintptr(pair[1]), "below"), nil
}

func (b *bringer) wait() error {
	b.done.Wait()
	return b.err
}

// rightsAtOnce is fewer than the 253 descriptors that the kernel takes in one message.
const rightsAtOnce = 200

// bring sends messages of one byte: 0 with descriptors, 1 after the last of them.
func bring(ctx context.Context, socket int, below func(context.Context) ([]*os.File, error)) error {
	files, err := below(ctx)
	if err != nil {
		return err
	}
	defer closeAll(files)
	send := func(kind byte, some []*os.File) error {
		var rights []byte
		if len(some) > 0 {
			fds := make([]int, len(some))
			for i, f := range some {
				fds[i] = int(f.Fd())
			}
			rights = unix.UnixRights(fds...)
		}
		err := unix.Sendmsg(socket, []byte{kind}, rights, nil, unix.MSG_NOSIGNAL)
		if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
			return nil // the process did not need them, and is done
		}
		return err
	}
	for some := range slices.Chunk(files, rightsAtOnce) {
		if err := send(0, some); err != nil {
			return err
		}
	}
	return send(1, nil)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
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
