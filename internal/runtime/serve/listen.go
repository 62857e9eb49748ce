package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// DefaultListen is where `floe runtime` listens unless told otherwise.
const DefaultListen = "unix:///run/floe/floe.sock"

// maxSocketPath is what the kernel allows a unix socket's path, without its end.
const maxSocketPath = 107

// Listen makes the socket that address ("unix:///path") names, of mode 0600, and its directory when that is absent. A socket that a dead
// process left is replaced; one that somebody answers on is an error, and so is any other file in its place.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	path, ok := strings.CutPrefix(address, "unix://")
	switch {
	case !ok || !filepath.IsAbs(path) || filepath.Clean(path) != path:
		return nil, fmt.Errorf("cannot listen on %q: allowed is unix://PATH with a clean absolute path", address)
	case len(path) > maxSocketPath:
		return nil, fmt.Errorf("cannot listen on %q: the path of a socket has at most %d bytes, this one has %d", address, maxSocketPath, len(path))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", address, err)
	}
	if err := removeDead(ctx, path); err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", address, err)
	}
	// The name gets the mode that the socket has when it is bound, so there is no moment in which others may connect.
	private := func(_, _ string, conn syscall.RawConn) error {
		var chmod error
		err := conn.Control(func(fd uintptr) { chmod = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmod)
	}
	config := net.ListenConfig{Control: private}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", address, err)
	}
	return l, nil
}

// removeDead removes the socket at path when nobody answers there.
func removeDead(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != os.ModeSocket {
		return errors.New("there is a file in its place that is no socket")
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
		return errors.New("another process answers there")
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
