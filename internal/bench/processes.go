package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of utime and stime in /proc/PID/stat: USER_HZ, 100 on every architecture that floe runs on (proc_pid_stat(5)).
const tick = 10 * time.Millisecond

// Process is a local server process that is measured along.
type Process struct {
	Name string
	PID  int
}

// ParseProcess reads NAME=PID.
func ParseProcess(text string) (Process, error) {
	name, number, found := strings.Cut(text, "=")
	pid, err := strconv.Atoi(number)
	if !found || name == "" || err != nil || pid <= 0 {
		return Process{}, fmt.Errorf("process %q: want NAME=PID, such as apiserver=4711", text)
	}
	return Process{Name: name, PID: pid}, nil
}

// Memory is what a process holds, in bytes.
type Memory struct {
	Resident  int64 `json:"residentBytes"`     // all of its pages in memory, shared ones too
	Anonymous int64 `json:"anonymousBytes"`    // of these, pages with no file behind them: heap and stacks
	Share     int64 `json:"proportionalBytes"` // PSS: each shared page divided by the number of processes that map it
}

// cpuTime is the user and system time that a process has used, without its children.
func cpuTime(procRoot string, pid int) (time.Duration, error) {
	path := filepath.Join(procRoot, strconv.Itoa(pid), "stat")
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses; the name may itself hold spaces and parentheses.
	end := bytes.LastIndexByte(raw, ')')
	fields := strings.Fields(string(raw[end+1:]))
	const utime, stime = 14 - 3, 15 - 3 // fields are numbered from 1, and two stand before the parenthesis
	if end < 0 || len(fields) <= stime {
		return 0, fmt.Errorf("%s: no process statistics: %.80q", path, raw)
	}
	user, err := strconv.ParseUint(fields[utime], 10, 48)
	if err != nil {
		return 0, fmt.Errorf("%s: user time: %w", path, err)
	}
	system, err := strconv.ParseUint(fields[stime], 10, 48)
	if err != nil {
		return 0, fmt.Errorf("%s: system time: %w", path, err)
	}
	return time.Duration(user+system) * tick, nil
}

// memoryOf reads /proc/PID/smaps_rollup, which needs the right to trace the process.
func memoryOf(procRoot string, pid int) (Memory, error) {
	path := filepath.Join(procRoot, strconv.Itoa(pid), "smaps_rollup")
	raw, err := os.ReadFile(path)
	if err != nil {
		return Memory{}, err
	}
	var m Memory
	want := map[string]*int64{"Rss:": &m.Resident, "Anonymous:": &m.Anonymous, "Pss:": &m.Share}
	for lines := bufio.NewScanner(bytes.NewReader(raw)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[2] != "kB" || want[fields[0]] == nil {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 48)
		if err != nil {
			return Memory{}, fmt.Errorf("%s: %s %w", path, fields[0], err)
		}
		*want[fields[0]] = kib << 10
		delete(want, fields[0])
	}
	if len(want) > 0 {
		return Memory{}, fmt.Errorf("%s: lacks one of Rss, Pss, Anonymous", path)
	}
	return m, nil
}

// cpuTimes reads all processes' CPU times, in their order. A process that has ended is an error that names it.
func cpuTimes(procRoot string, processes []Process) ([]time.Duration, error) {
	times := make([]time.Duration, len(processes))
	for i, p := range processes {
		t, err := cpuTime(procRoot, p.PID)
		if err != nil {
			return nil, fmt.Errorf("process %s (%d): %w", p.Name, p.PID, err)
		}
		times[i] = t
	}
	return times, nil
}
