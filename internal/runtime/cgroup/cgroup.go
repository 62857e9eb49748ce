// Package cgroup does what floe and floe-shim need of control groups beside what libcontainer does for containers: find the hierarchies,
// put a shim into its place, end everything in a sandbox's group, tell what a group
// uses, remove it.
//
// A group is named by its absolute path from the root of a hierarchy, the same in all. On a v2 host there is one hierarchy; on a v1 host one per
// controller; on a hybrid host those and a v2 one without controllers, which still knows cgroup.kill.
package cgroup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/pidfd"
)

// Host is the hierarchies of this machine. The zero value has none.
type Host struct {
	// V1 maps a controller (or name=NAME) to its mount point; empty on a v2 host.
	V1 map[string]string
	// Unified is the mount point of the v2 hierarchy; "" when there is none.
	Unified string
}

// Detect reads the hierarchies from this process's mounts.
func Detect() (Host, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Host{}, err
	}
	defer f.Close()
	h := Host{V1: map[string]string{}}
	for s := bufio.NewScanner(f); s.Scan(); {
		h.addMount(s.Text())
	}
	if h.Unified == "" && len(h.V1) == 0 {
		return h, errors.New("no cgroup hierarchy is mounted")
	}
	return h, nil
}

// addMount understands one line of mountinfo: "… mountpoint … - fstype source superoptions".
func (h *Host) addMount(line string) {
	before, after, ok := strings.Cut(line, " - ")
	fields, kind := strings.Fields(before), strings.Fields(after)
	if !ok || len(fields) < 5 || len(kind) < 3 || !strings.HasPrefix(fields[4], "/sys/fs/cgroup") {
		return // a container's or a test's own mounts are not ours
	}
	switch kind[0] {
	case "cgroup2":
		h.Unified = fields[4]
	case "cgroup":
		for _, opt := range strings.Split(kind[2], ",") {
			if slices.Contains(v1Controllers, opt) || strings.HasPrefix(opt, "name=") {
				h.V1[opt] = fields[4]
			}
		}
	}
}

var v1Controllers = []string{
	"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "hugetlb", "memory", "misc", "net_cls", "net_prio", "perf_event", "pids", "rdma",
}

// V2 says whether the host has only the v2 hierarchy.
func (h Host) V2() bool { return len(h.V1) == 0 && h.Unified != "" }

// mounts lists every mount point once; co-mounted controllers share one.
func (h Host) mounts() []string {
	var all []string
	for _, m := range h.V1 {
		all = append(all, m)
	}
	if h.Unified != "" {
		all = append(all, h.Unified)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Join makes the group at path and moves this process there: where it is to be accounted (memory, pids, cpu), in the v2 hierarchy where there
// is one, and in systemd's own, lest it ends with the service that started it. Parents are made too.
func (h Host) Join(path string) error {
	into := []string{h.Unified, h.V1["memory"], h.V1["pids"], h.V1["cpu"], h.V1["name=systemd"]}
	slices.Sort(into)
	for _, m := range slices.Compact(into) {
		if m == "" {
			continue
		}
		dir := filepath.Join(m, path)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("cgroup %s: %w", path, err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("cgroup %s: join: %w", path, err)
		}
	}
	return nil
}

// Open makes the group at path in the v2 hierarchy and opens its directory, for a process to be born into; nil on a host without one.
func (h Host) Open(path string) (*os.File, error) {
	if h.Unified == "" {
		return nil, nil
	}
	dir := filepath.Join(h.Unified, path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", path, err)
	}
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", path, err)
	}
	return f, nil
}

// Kill ends every process in the group at path and below, in any hierarchy, and returns when none is left. A missing group is empty.
func (h Host) Kill(ctx context.Context, path string) error {
	// A process can fork while the list is read, so it is read until it is empty; cgroup.kill, where it exists, leaves nothing to a
	// second round. The bound only ends a loop against a kernel that does not kill.
	for range 100 {
		if h.Unified != "" {
			err := os.WriteFile(filepath.Join(h.Unified, path, "cgroup.kill"), []byte("1"), 0)
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
				return fmt.Errorf("cgroup %s: kill: %w", path, err)
			}
		}
		pids, err := h.Processes(path)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := kill(ctx, pid); err != nil {
				return fmt.Errorf("cgroup %s: %w", path, err)
			}
		}
	}
	return fmt.Errorf("cgroup %s: processes keep appearing", path)
}

func kill(ctx context.Context, pid int) error {
	if pid == os.Getpid() {
		return fmt.Errorf("refusing to kill process %d: it is this one", pid)
	}
	p, err := pidfd.Open(pid, 0)
	if errors.Is(err, pidfd.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer p.Close()
	if err := p.Signal(unix.SIGKILL); err != nil && !errors.Is(err, pidfd.ErrGone) {
		return err
	}
	return p.Wait(ctx)
}

// Processes lists the processes in the group at path and below, of all hierarchies, each once.
func (h Host) Processes(path string) ([]int, error) {
	var pids []int
	for _, m := range h.mounts() {
		err := filepath.WalkDir(filepath.Join(m, path), func(dir string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed meanwhile
			}
			if err != nil || !d.IsDir() {
				return err
			}
			pids, err = appendProcs(pids, dir)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("cgroup %s: %w", path, err)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

func appendProcs(pids []int, dir string) ([]int, error) {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return pids, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		if pid != 0 { // 0: a process of another PID namespace that has no number here
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Remove removes the group at path and those below it from every hierarchy. They must hold no process; a missing group is removed.
func (h Host) Remove(path string) error {
	var errs []error
	for _, m := range h.mounts() {
		if err := removeTree(filepath.Join(m, path)); err != nil {
			errs = append(errs, fmt.Errorf("cgroup %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

func removeTree(dir string) error {
	err := unix.Rmdir(dir)
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	entries, readErr := os.ReadDir(dir)
	if errors.Is(readErr, fs.ErrNotExist) {
		return nil
	}
	if readErr != nil {
		return readErr
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return &fs.PathError{Op: "rmdir", Path: dir, Err: err}
	}
	return nil
}
