package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What starts containers is tested by package runtime, which runs this program; here are the parts that stand alone.

func TestOnlyOrphansAreReaped(t *testing.T) {
	var o orphans
	run := func(known bool) error {
		cmd := exec.Command("true")
		o.starts(func() int {
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if known {
				return cmd.Process.Pid
			}
			return 0
		})
		// Wait until it ended, leaving it to be reaped.
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
			t.Fatal(err)
		}
		o.reap()
		err := cmd.Wait()
		o.waited(cmd.Process.Pid)
		return err
	}
	if err := run(true); err != nil {
		t.Errorf("a child that somebody waits for was taken away: %v", err)
	}
	if err := run(false); !errors.Is(err, unix.ECHILD) {
		t.Errorf("an orphan was not reaped: %v", err)
	}
}

// TestManyLayers mounts more layers than one page of mount options holds, and names that mean something to overlayfs.
func TestManyLayers(t *testing.T) {
	for name, count := range map[string]int{"few": 2, "many": 120} {
		dir := filepath.Join(t.TempDir(), "with:colon,and comma")
		var lower []string
		for i := range count {
			l := filepath.Join(dir, "layers", strings.Repeat("0", 60)+fmt.Sprintf("%04d", i))
			if err := os.MkdirAll(l, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(l, fmt.Sprintf("from-%d", i)), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			lower = append(lower, l)
		}
		upper, work, target := filepath.Join(dir, "upper"), filepath.Join(dir, "work"), filepath.Join(dir, "rootfs")
		for _, d := range []string{upper, work} {
			if err := os.Mkdir(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := mountOverlay(target, lower, upper, work); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, i := range []int{0, count - 1} {
			if _, err := os.Stat(filepath.Join(target, fmt.Sprintf("from-%d", i))); err != nil {
				t.Errorf("%s: layer %d is not there: %v", name, i, err)
			}
		}
		for range 2 {
			if err := unmountOverlay(target); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestMapSpans(t *testing.T) {
	if b, e := addresses("00401000-00775000"); b != 0x401000 || e != 0x775000 {
		t.Errorf("got %x, %x", b, e)
	}
	for _, bad := range []string{"", "x-y", "1000"} {
		if b, e := addresses(bad); b != 0 || e != 0 {
			t.Errorf("%q: got %x, %x", bad, b, e)
		}
	}
}
