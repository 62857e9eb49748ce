package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of the times in /proc/PID/stat: USER_HZ, 100 on every architecture that floe runs on (proc_pid_stat(5)).
const tick = 10 * time.Millisecond

// cpuOf is the user and system time that another process has used, without its children.
func cpuOf(pid int) (time.Duration, error) {
	path := filepath.Join("/proc", strconv.Itoa(pid), "stat")
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	// The second field, in parentheses, is the program's name, and may hold anything. User and system time are the 14th and the 15th.
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s: %q is too short", path, raw)
	}
	var sum time.Duration
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		sum += time.Duration(ticks) * tick
	}
	return sum, nil
}

// memoryOf reads one of the amounts in /proc/PID/status, in bytes: VmRSS is resident now, VmHWM was at most.
func memoryOf(pid, name string) (int64, error) {
	return amount(filepath.Join("/proc", pid, "status"), name)
}

// amount reads a line such as "VmRSS:	 1234 kB" from a file, in bytes.
func amount(path, name string) (int64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == name+":" && fields[2] == "kB" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, name)
}
