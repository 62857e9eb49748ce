package runtime

import (
	"context"
	"io"
	"os"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// attachTo copies between a running container's streams and the given ones, of which nil are not asked, until the container ends (nil), or ctx
// does (its error), or, when no output is asked, the input does.
func (r *Runtime) attachTo(ctx context.Context, c *container, stdin io.Reader, stdout, stderr io.Writer, resize <-chan remotecommand.TerminalSize) error {
	ctx, cancel := r.whileRunning(ctx)
	defer cancel()
	leash, err := newLeash()
	if err != nil {
		return err
	}
	defer leash.close()
	s := &streams{owner: r}
	defer s.close()
	files, err := s.pipes(stdin != nil, stdout != nil, stderr != nil)
	if err != nil {
		return err
	}
	request := shim.AttachRequest{ID: c.id, WantStreams: shim.WantStreams{Stdin: stdin != nil, Stdout: stdout != nil, Stderr: stderr != nil}}
	err = r.call(ctx, c, shim.MethodAttach, request, nil, append([]*os.File{leash.theirs}, files...)...)
	leash.theirs.Close()
	s.started()
	if err != nil {
		return err
	}
	eachSize(ctx, r, resize, func(size remotecommand.TerminalSize) {
		// Fails only when the container has ended.
		_ = r.call(ctx, c, shim.MethodResize, shim.ResizeRequest{ID: c.id, Width: size.Width, Height: size.Height}, nil)
	})
	s.copy(stdin, stdout, stderr)
	// The shim says nothing through the leash, but lets go of it when the container has ended.
	stop := context.AfterFunc(ctx, func() { leash.conn.Close() })
	defer stop()
	_, _ = io.Copy(io.Discard, leash.conn)
	s.finish(ctx, ctx.Err() == nil)
	return ctx.Err()
}
