package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"k8s.io/utils/clock"
)

// machine is what the figures rest on.
type machine struct {
	Cores      int     `json:"cores"`
	Memory     int64   `json:"memoryBytes"`
	Kernel     string  `json:"kernel"`
	Filesystem string  `json:"filesystem"` // of the data
	Go         string  `json:"go"`
	Etcd       string  `json:"etcd"`
	Tool       string  `json:"etcdBenchmark"`
	BeforeEtcd latency `json:"syncMillisecondsBeforeEtcd"` // of measureSyncs, right before etcd was measured
	BeforeFloe latency `json:"syncMillisecondsBeforeFloe"` // and floe
}

// describe says what data in dir will lie on, and what programs are measured.
func describe(dir, programs string) (machine, error) {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	var errs [5]error
	m.Memory, errs[0] = amount("/proc/meminfo", "MemTotal")
	var kernel, version []byte
	kernel, errs[1] = os.ReadFile("/proc/sys/kernel/osrelease")
	m.Kernel = string(bytes.TrimSpace(kernel))
	m.Filesystem, errs[2] = filesystem(dir)
	version, errs[3] = exec.Command(filepath.Join(programs, "etcd"), "--version").Output()
	first, _, _ := strings.Cut(string(version), "\n")
	m.Etcd = strings.TrimPrefix(first, "etcd Version: ")
	var tool *buildinfo.BuildInfo
	if tool, errs[4] = buildinfo.ReadFile(filepath.Join(programs, "etcd-benchmark")); tool != nil {
		m.Tool = strings.TrimPrefix(tool.Main.Version, "v")
	}
	return m, errors.Join(errs[:]...)
}

// filesystem is the type of the one that a directory lies on, as /proc/self/mountinfo has it (proc_pid_mountinfo(5)).
func filesystem(dir string) (string, error) {
	var stat syscall.Stat_t
	if err := syscall.Stat(dir, &stat); err != nil {
		return "", fmt.Errorf("stat %s: %w", dir, err)
	}
	raw, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	// glibc's major and minor; device numbers of disks are far below where the parts meet.
	device := fmt.Sprintf("%d:%d", stat.Dev>>8&0xfff, stat.Dev&0xff|stat.Dev>>12&0xfff00)
	for line := range strings.Lines(string(raw)) {
		left, right, _ := strings.Cut(line, " - ")
		if fields, kind := strings.Fields(left), strings.Fields(right); len(fields) > 2 && fields[2] == device && len(kind) > 0 {
			return kind[0], nil
		}
	}
	return "", fmt.Errorf("%s: device %s is not mounted", dir, device)
}

const (
	probeSyncs = 1000
	probeBytes = 4 << 20 // of the file that is written over
)

// measureSyncs writes 1 KiB and waits for the disk, again and again, as the least that a durable put can take. The file is written over, as etcd does with its log and
// floe's engine does once it has files to use again: one that grows costs a second write for its length.
func measureSyncs(ctx context.Context, c clock.PassiveClock, dir string) (latency, error) {
	f, err := os.Create(filepath.Join(dir, "probe"))
	if err != nil {
		return latency{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(make([]byte, probeBytes)); err != nil {
		return latency{}, err
	}
	if err := f.Sync(); err != nil {
		return latency{}, err
	}
	value := bytes.Repeat([]byte{1}, valueBytes)
	r, err := load{name: "sync", clients: 1, total: probeSyncs, run: 1, do: func(_ context.Context, i int) error {
		if _, err := f.WriteAt(value, int64(i*valueBytes%probeBytes)); err != nil {
			return err
		}
		return syscall.Fdatasync(int(f.Fd()))
	}}.measure(ctx, c)
	return r.Latency, err
}
