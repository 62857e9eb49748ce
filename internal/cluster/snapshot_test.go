package cluster

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/backup"
)

// alone is a server without a node, on a free loopback port.
func alone(dataDir string) Environment {
	cfg := DefaultConfig()
	cfg.DataDir, cfg.BindAddress, cfg.SecurePort = dataDir, "127.0.0.1", 0
	cfg.Node.Disabled = true
	cfg.Network.EndpointReconcilerType = reconcileNone // else a server's end is one more change
	return Environment{Config: cfg, Version: "test", Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)}
}

// runAlone runs the server until stop is called, and returns when it is ready.
func runAlone(t *testing.T, env Environment) (stop func()) {
	t.Helper()
	ready := make(chan struct{})
	env.Log = slog.New(notify{env.Log.Handler(), "ready", ready})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, env) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the server ended: %v", err)
	}
	return func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the server ended: %v", err)
		}
	}
}

// notify closes a channel when a message is logged for the first time, and passes on what it is told.
type notify struct {
	slog.Handler
	message string
	seen    chan struct{}
}

func (n notify) Enabled(context.Context, slog.Level) bool { return true }
func (n notify) WithAttrs(attrs []slog.Attr) slog.Handler {
	return notify{n.Handler.WithAttrs(attrs), n.message, n.seen}
}
func (n notify) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == n.message {
		close(n.seen)
	}
	return n.Handler.Handle(ctx, r)
}

// TestSnapshots saves a cluster while it runs and while it does not, and restores it.
func TestSnapshots(t *testing.T) {
	dir := t.TempDir()
	env := alone(filepath.Join(dir, "data"))
	env.Config.Controllers.Enabled = nil // which would go on writing while the first is saved
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	stop := runAlone(t, env)
	until(t, "the last of what a server writes by itself", func() (bool, error) {
		versions, err := History(t.Context(), env.Config.DataDir, "configmaps/kube-system/extension-apiserver-authentication")
		return err == nil && len(versions) == 1, nil // it has none before
	})
	running, err := SaveSnapshot(t.Context(), env, first, false)
	if err != nil || running.Records < 4 {
		t.Errorf("save while the server runs: %+v, %v", running, err)
	}
	if _, err := SaveSnapshot(t.Context(), env, first, false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("save over a file: %v", err)
	}
	if _, err := RestoreSnapshot(t.Context(), env, first); !errors.Is(err, errInUse) {
		t.Errorf("restore while the server runs: %v", err)
	}
	versions, err := History(t.Context(), env.Config.DataDir, "namespaces/default")
	if err != nil || len(versions) != 1 || versions[0].Actor != "system:apiserver" || !strings.Contains(string(versions[0].Object), `"name":"default"`) {
		t.Errorf("history: %+v, %v", versions, err)
	}
	stop()
	if s, err := SaveSnapshot(t.Context(), env, second, false); err != nil || s.Records != running.Records || s.Revision < running.Revision {
		t.Errorf("save while no server runs: %+v, %v, want as while it ran: %+v", s, err, running)
	}
	for _, file := range []string{first, second} {
		if s, err := VerifySnapshot(file); err != nil || s.Records != running.Records {
			t.Errorf("verify: %+v, %v", s, err)
		}
	}
	checkRestores(t, env, first, running)
}

// checkRestores restores twice, over what is there: revisions rise each time, and what was there is put aside.
func checkRestores(t *testing.T, env Environment, file string, saved backup.Summary) {
	t.Helper()
	last, at := saved.Revision, env
	for range 2 {
		r, err := RestoreSnapshot(t.Context(), at, file)
		if err != nil || r.Records != saved.Records || r.Base < last+store.RevisionLeap {
			t.Fatalf("restore: %+v, %v, want it above %d", r, err, last)
		}
		if _, err := os.Stat(filepath.Join(r.Replaced, "VERSION")); err != nil {
			t.Errorf("the log that was there: %v", err)
		}
		last = r.Base
		at.Clock = later{at.Clock, time.Hour} // or both would be put aside under one name
	}
	stop := runAlone(t, env)
	defer stop()
	versions, err := History(t.Context(), env.Config.DataDir, "namespaces/default")
	if err != nil || len(versions) != 1 || versions[0].Revision <= uint64(last) {
		t.Errorf("history after the restore: %+v, %v, want one version above %d", versions, err, last)
	}
}

type later struct {
	clock.WithTickerAndDelayedExecution
	by time.Duration
}

func (l later) Now() time.Time { return l.WithTickerAndDelayedExecution.Now().Add(l.by) }

// TestSnapshotRefusals asks for what cannot be, and sees that nothing is made.
func TestSnapshotRefusals(t *testing.T) {
	dir := t.TempDir()
	env := alone(filepath.Join(dir, "data"))
	file := filepath.Join(dir, "file")
	if _, err := SaveSnapshot(t.Context(), env, file, false); err == nil || !strings.Contains(err.Error(), "holds no cluster") {
		t.Errorf("save of nothing: %v", err)
	}
	if _, err := os.Stat(env.Config.DataDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("save of nothing made a data directory: %v", err)
	}
	if err := os.WriteFile(file, []byte("a photo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := VerifySnapshot(file); !errors.Is(err, backup.ErrDamaged) || !strings.Contains(err.Error(), file) {
		t.Errorf("verify: %v", err)
	}
	if _, err := RestoreSnapshot(t.Context(), env, file); !errors.Is(err, backup.ErrDamaged) {
		t.Errorf("restore: %v", err)
	}
	if _, err := os.Stat(filepath.Join(env.Config.DataDir, logFolder)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("restore of a photo made a log: %v", err)
	}
	if _, err := History(t.Context(), env.Config.DataDir, "pods/a"); err == nil || !strings.Contains(err.Error(), "no cluster has run") {
		t.Errorf("history: %v", err)
	}
}
