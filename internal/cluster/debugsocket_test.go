package cluster

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/wait"
)

// TestDebugSocketIsTheOwners: a socket that was left is replaced, readable by nobody else; another file stays. Blocking is recorded if it is asked for.
func TestDebugSocketIsTheOwners(t *testing.T) {
	path := filepath.Join(t.TempDir(), "debug.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	for range 2 {
		rate := 0
		c := &servedCluster{env: alone(filepath.Join(t.TempDir(), "data"))}
		c.env.Config.API.DebugSocketPath, c.env.Config.API.ContentionProfiling = path, true
		c.env.SetBlockProfileRate = func(n int) { rate = n }
		c.start(t)
		if err := wait.PollUntilContextTimeout(t.Context(), patience/1000, patience, true, func(context.Context) (bool, error) {
			info, err := os.Stat(path)
			return err == nil && info.Mode() == fs.ModeSocket|0o600, nil
		}); err != nil {
			t.Errorf("the socket: %v", err)
		}
		if c.stop(); rate != 1 {
			t.Errorf("blocking is recorded at the rate %d", rate)
		}
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := alone(filepath.Join(t.TempDir(), "data"))
	env.Config.API.DebugSocketPath = path
	if err := Run(t.Context(), env); err == nil || !strings.Contains(err.Error(), "is there, and no socket") {
		t.Errorf("another file: %v", err)
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "precious" {
		t.Errorf("another file is now %q, %v", data, err)
	}
}
