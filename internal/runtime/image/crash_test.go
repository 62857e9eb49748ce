package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/image/registry"
	"github.com/floe-k8s/floe/internal/runtime/image/registry/registrytest"
)

// crashEnv makes the test binary the process that crashes: "ROOT SHIM NAME ARCHIVE N" means to do crashWork and to kill itself at the N-th step.
const crashEnv = "FLOE_CRASH_IMAGES"

func crashProcess(job string) error {
	words := strings.Fields(job)
	left, err := strconv.Atoi(words[4])
	if err != nil {
		return err
	}
	s, err := Open(Config{Root: words[0], Unpack: ShimUnpacker(words[1]), Unpackers: 1, Downloads: 1})
	if err != nil {
		return err
	}
	var done atomic.Int64
	s.crash = func(step string) { // from several goroutines
		if done.Add(1) == int64(left) {
			fmt.Println(step)
			_ = unix.Kill(os.Getpid(), unix.SIGKILL) // a process may always kill itself
			select {}
		}
	}
	return crashWork(s, words[2], words[3])
}

// crashWork does everything that changes the store.
func crashWork(s *Store, name, archive string) error {
	if _, err := s.Pull(context.Background(), name, registry.Auth{}, nil); err != nil {
		return err
	}
	if _, err := s.LoadFile(context.Background(), archive); err != nil {
		return err
	}
	if err := s.Remove(name); err != nil {
		return err
	}
	return s.Collect()
}

// TestKilledAtEveryStep kills the process that pulls, loads and removes at each step in turn. After each time, what the index has is whole, the
// work can be done again, and then nothing is left but what the index has.
func TestKilledAtEveryStep(t *testing.T) {
	r := registrytest.New(t)
	r.AddImage(t, "app:v1", linux, gzipLayer(t, file("a", strings.Repeat("1", 1<<16))), zstdLayer(t, file("b", "2")))
	archive := filepath.Join(t.TempDir(), "self.tar")
	if err := os.WriteFile(archive, self(t, "x"), 0o600); err != nil {
		t.Fatal(err)
	}
	name := r.Host() + "/app:v1"
	steps := map[string]bool{}
	for n := 1; ; n++ {
		root := filepath.Join(t.TempDir(), "images")
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s %s %d", crashEnv, root, shimPath, name, archive, n))
		out, err := cmd.CombinedOutput()
		if err == nil {
			if len(steps) < 12 {
				t.Errorf("only %d kinds of steps were seen: %v", len(steps), steps)
			}
			t.Logf("%d steps of %d kinds", n-1, len(steps))
			return
		}
		step := strings.TrimSpace(string(out))
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("step %d: %v: %s", n, err, step)
		}
		steps[step] = true
		s := openStore(t, Config{Root: root})
		checkWhole(t, s, fmt.Sprintf("killed at step %d (%s)", n, step))
		if err := crashWork(s, name, archive); err != nil {
			t.Fatalf("after step %d (%s): %v", n, step, err)
		}
		checkWhole(t, s, fmt.Sprintf("after step %d (%s) and all again", n, step))
		if err := s.Prune(); err != nil {
			t.Fatal(err)
		}
		noTrace(t, s, "tmp", "partial")
		if blobs, err := dirNames(filepath.Join(root, "blobs", "sha256")); err != nil || len(blobs) != 3 {
			t.Errorf("after step %d (%s): blobs %v, want those of one image (%v)", n, step, blobs, err)
		}
	}
}

// checkWhole fails when an image of the index lacks something.
func checkWhole(t *testing.T, s *Store, when string) {
	t.Helper()
	images, err := s.List()
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	for _, i := range images {
		digests := append([]string{i.ID}, i.Manifests...)
		for _, l := range i.Layers {
			digests = append(digests, l.Digest)
			if _, ok, err := readLayer(s.layerPath(l.Chain)); !ok || err != nil {
				t.Errorf("%s: layer %s: %v", when, l.Chain, err)
			}
		}
		for _, d := range digests {
			if data, err := os.ReadFile(s.blobPath(d)); err != nil || digestOf(data) != d {
				t.Errorf("%s: blob %s: %v", when, d, err)
			}
		}
	}
}

// TestUnpackerKilled kills the unpacker. The pull fails, and the next one goes on with what arrived.
func TestUnpackerKilled(t *testing.T) {
	r := registrytest.New(t)
	r.AddImage(t, "app:v1", linux, gzipLayer(t, file("a", "1")))
	script := filepath.Join(t.TempDir(), "shim")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nkill -9 $$\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "images")
	s := openStore(t, Config{Root: root, Unpack: ShimUnpacker(script)})
	if _, err := s.Pull(context.Background(), r.Host()+"/app:v1", registry.Auth{}, nil); err == nil {
		t.Error("pulled without unpacker")
	}
	noTrace(t, s, "tmp", "layers")
	before := len(r.Requests())
	pull(t, openStore(t, Config{Root: root}), r.Host()+"/app:v1")
	if asked := r.Requests()[before:]; len(asked) != 1 {
		t.Errorf("asked again for %v", asked)
	}
}
