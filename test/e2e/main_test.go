package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/test/alone"
)

// TestMain runs the tests in namespaces of their own: it starts this program again inside them.
func TestMain(m *testing.M) {
	if alone.Inside() == "" {
		os.Exit(alone.Again("e2e"))
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := sweep(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: left behind:", err)
		code = 1
	}
	os.Exit(code)
}

func prepare() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	if _, err := os.Stat(program()); err != nil {
		return fmt.Errorf("%w: run `make build` first", err)
	}
	return nil
}

// program is the built floe.
func program() string {
	path, err := filepath.Abs("../../bin/floe")
	if err != nil {
		panic(err)
	}
	return path
}

// cgroupRoot is where all pods of this run stand.
func cgroupRoot() string { return fmt.Sprintf("/floe-e2e-%d", os.Getpid()) }

// cgroupDirs are the run's cgroups in every hierarchy, the deepest first.
func cgroupDirs() []string {
	var dirs []string
	hierarchies, _ := filepath.Glob("/sys/fs/cgroup/*" + cgroupRoot())
	for _, top := range append(hierarchies, "/sys/fs/cgroup"+cgroupRoot()) {
		_ = filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append([]string{path}, dirs...)
			}
			return nil
		})
	}
	return dirs
}

// podProcesses are the process ids of everything that runs in the run's cgroups.
func podProcesses() []string {
	seen := map[string]bool{}
	var pids []string
	for _, dir := range cgroupDirs() {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue
		}
		for _, pid := range strings.Fields(string(data)) {
			if !seen[pid] {
				seen[pid] = true
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// sweep ends what tests left in the run's cgroups and removes them. What was found running is an error: floe should have ended it.
func sweep() error {
	var errs []error
	for range 50 {
		pids := podProcesses()
		if len(pids) == 0 {
			break
		}
		for _, pid := range pids {
			comm, _ := os.ReadFile("/proc/" + pid + "/comm")
			errs = append(errs, fmt.Errorf("process %s (%s)", pid, strings.TrimSpace(string(comm))))
			var n int
			if _, err := fmt.Sscan(pid, &n); err == nil && n > 1 {
				_ = unix.Kill(n, unix.SIGKILL)
			}
		}
	}
	for _, dir := range cgroupDirs() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
