package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
)

// profile makes the process record what profiles are asked for.
func (s *server) profile() {
	cfg := &s.Config.API
	if cfg.ContentionProfiling && (*cfg.Profiling || cfg.DebugSocketPath != "") && s.SetBlockProfileRate != nil {
		s.SetBlockProfileRate(1)
	}
}

// debugSocket serves profiles at a path that only the server's own user may open. What an earlier server left there is removed; a file that is no socket
// is not.
func (s *server) debugSocket(ctx context.Context) error {
	path := s.Config.API.DebugSocketPath
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("api.debugSocketPath: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("api.debugSocketPath: %s: is there, and no socket", path)
	default:
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("api.debugSocketPath: %w", err)
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("api.debugSocketPath: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(fmt.Errorf("api.debugSocketPath: %w", err), listener.Close())
	}
	return s.door.ServeDebug(ctx, listener)
}
