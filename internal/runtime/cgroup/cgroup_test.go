package cgroup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func TestMountLines(t *testing.T) {
	h := Host{V1: map[string]string{}}
	for _, line := range []string{
		"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct",
		"41 31 0:38 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd",
		"42 31 0:39 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate",
		"43 31 0:40 / /tmp/x/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
		"44 31 0:41 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755",
		"nonsense",
	} {
		h.addMount(line)
	}
	want := fmt.Sprint(map[string]string{
		"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct", "name=systemd": "/sys/fs/cgroup/systemd",
	})
	if got := fmt.Sprint(h.V1); got != want || h.Unified != "/sys/fs/cgroup/unified" || h.V2() || len(h.mounts()) != 3 {
		t.Errorf("got %s and %q", got, h.Unified)
	}
}

// TestKillAndRemove ends a process and its child, in groups below each other, in every hierarchy of this machine.
func TestKillAndRemove(t *testing.T) {
	h, err := Detect()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	group := fmt.Sprintf("/floe-cgroup-test-%d", os.Getpid())
	defer func() {
		if err := h.Remove(group); err != nil {
			t.Error(err)
		}
	}()
	cmd := exec.Command("sh", "-c", "cat; true")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, m := range h.mounts() {
		dir := filepath.Join(m, group, "inner")
		if filepath.Base(m) == "cpuset" {
			continue // takes no process before it has processors
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	if pids, err := h.Processes(group); err != nil || len(pids) == 0 {
		t.Errorf("processes %v, %v", pids, err)
	}
	if err := h.Remove(group); err == nil {
		t.Error("a group with processes was removed")
	}
	if err := h.Kill(ctx, group); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the process ended by itself")
	}
	if pids, err := h.Processes(group); err != nil || len(pids) != 0 {
		t.Errorf("processes left: %v, %v", pids, err)
	}
	if err := h.Kill(ctx, "/floe-cgroup-test-absent"); err != nil {
		t.Errorf("kill in a group that is not there: %v", err)
	}
}
