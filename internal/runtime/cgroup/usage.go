package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Usage is what a group and those below it use. A nil pointer is what this host does not count.
type Usage struct {
	// CPU is the time that its processes ran, in nanoseconds; User and System are its parts.
	CPU, User, System *uint64
	// Throttled is for how long, in nanoseconds, a CPU limit held it up; Periods and ThrottledPeriods count the periods of that limit.
	Throttled, Periods, ThrottledPeriods *uint64
	// Memory is all memory in bytes, WorkingSet that without file pages that are easily given up, RSS anonymous memory, Cache file pages.
	Memory, WorkingSet, RSS, Cache, MappedFile *uint64
	// MaxMemory is the most that Memory ever was. Limit is the memory limit in bytes; nil for none.
	MaxMemory, Limit *uint64
	// Swap and SwapLimit are in bytes; SwapLimit is nil for none.
	Swap, SwapLimit *uint64
	// Faults and MajorFaults count page faults. Failures counts how often the limit was met, OOMKills processes killed for it.
	Faults, MajorFaults, Failures, OOMKills *uint64
	// Processes counts processes and threads, ProcessLimit is nil for none.
	Processes, ProcessLimit *uint64
	// ReadBytes, WriteBytes, Reads and Writes are those of block devices, all together.
	ReadBytes, WriteBytes, Reads, Writes *uint64
	// CPUPressure, MemoryPressure and IOPressure say how long tasks waited; v2 only.
	CPUPressure, MemoryPressure, IOPressure *Pressure
}

// Pressure is one of the kernel's pressure files.
type Pressure struct{ Some, Full Stall }

// Stall says how long some or all tasks waited: Total in nanoseconds, averages in percent.
type Stall struct {
	Total                uint64
	Avg10, Avg60, Avg300 float64
}

// Usage reads what the group at path uses. A group that does not exist is fs.ErrNotExist.
func (h Host) Usage(path string) (*Usage, error) {
	if h.V2() {
		dir := filepath.Join(h.Unified, path)
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("cgroup %s: %w", path, err)
		}
		return usage2(group(dir)), nil
	}
	return h.usage1(path)
}

// group is a directory of a hierarchy, "" for one that the host does not have.
type group string

// text is the content of a file, "" when there is none.
func (g group) text(name string) string {
	if g == "" {
		return ""
	}
	data, _ := os.ReadFile(filepath.Join(string(g), name)) // absent: not counted
	return strings.TrimSpace(string(data))
}

// number is a file's only number; nil when there is none, or it says that there is no limit.
func (g group) number(name string) *uint64 {
	n, err := strconv.ParseUint(g.text(name), 10, 64)
	if err != nil || n >= math.MaxInt64&^0xffff { // v1 writes "no limit" as the largest multiple of a page
		return nil
	}
	return &n
}

// table reads lines of "key value".
func (g group) table(name string) map[string]*uint64 {
	all := map[string]*uint64{}
	for line := range strings.Lines(g.text(name)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			all[key] = &n
		}
	}
	return all
}

// pressure reads lines of "some avg10=0.00 avg60=0.00 avg300=0.00 total=0".
func (g group) pressure(name string) *Pressure {
	var p *Pressure
	for line := range strings.Lines(g.text(name)) {
		fields := strings.Fields(line)
		if len(fields) != 5 {
			continue
		}
		if p == nil {
			p = &Pressure{}
		}
		stall := &p.Some
		if fields[0] == "full" {
			stall = &p.Full
		}
		for i, to := range []*float64{&stall.Avg10, &stall.Avg60, &stall.Avg300} {
			_, value, _ := strings.Cut(fields[i+1], "=")
			*to, _ = strconv.ParseFloat(value, 64) // the kernel's own
		}
		_, value, _ := strings.Cut(fields[4], "=")
		micros, _ := strconv.ParseUint(value, 10, 64)
		stall.Total = micros * 1000
	}
	return p
}

// times multiplies; nil stays nil.
func times(n *uint64, by uint64) *uint64 {
	if n == nil {
		return nil
	}
	product := *n * by
	return &product
}

// less subtracts, but not below 0; what is subtracted may be nil.
func less(n, by *uint64) *uint64 {
	if n == nil || by == nil {
		return n
	}
	rest := *n - min(*n, *by)
	return &rest
}

func usage2(g group) *Usage {
	cpu, memory := g.table("cpu.stat"), g.table("memory.stat")
	events := g.table("memory.events")
	u := &Usage{
		CPU: times(cpu["usage_usec"], 1000), User: times(cpu["user_usec"], 1000), System: times(cpu["system_usec"], 1000),
		Throttled: times(cpu["throttled_usec"], 1000), Periods: cpu["nr_periods"], ThrottledPeriods: cpu["nr_throttled"],
		Memory: g.number("memory.current"), RSS: memory["anon"], Cache: memory["file"], MappedFile: memory["file_mapped"],
		MaxMemory: g.number("memory.peak"), Limit: g.number("memory.max"),
		Swap: g.number("memory.swap.current"), SwapLimit: g.number("memory.swap.max"),
		Faults: memory["pgfault"], MajorFaults: memory["pgmajfault"], Failures: events["max"], OOMKills: events["oom_kill"],
		Processes: g.number("pids.current"), ProcessLimit: g.number("pids.max"),
		CPUPressure: g.pressure("cpu.pressure"), MemoryPressure: g.pressure("memory.pressure"), IOPressure: g.pressure("io.pressure"),
	}
	u.WorkingSet = less(u.Memory, memory["inactive_file"])
	u.addDevices(g.text("io.stat"))
	return u
}

// addDevices sums lines of "8:0 rbytes=0 wbytes=0 rios=0 wios=0 …".
func (u *Usage) addDevices(stat string) {
	if stat == "" {
		return
	}
	sums := map[string]*uint64{"rbytes": new(uint64), "wbytes": new(uint64), "rios": new(uint64), "wios": new(uint64)}
	for _, field := range strings.Fields(stat) {
		key, value, _ := strings.Cut(field, "=")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil && sums[key] != nil {
			*sums[key] += n
		}
	}
	u.ReadBytes, u.WriteBytes, u.Reads, u.Writes = sums["rbytes"], sums["wbytes"], sums["rios"], sums["wios"]
}

// userTick is the length of the clock tick that v1 counts user and system time in, in nanoseconds.
const userTick = 10_000_000

func (h Host) usage1(path string) (*Usage, error) {
	at := func(controller string) group {
		if h.V1[controller] == "" {
			return ""
		}
		return group(filepath.Join(h.V1[controller], path))
	}
	cpu, memory, pids := at("cpuacct"), at("memory"), at("pids")
	if err := exists(memory, pids, cpu); err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", path, err)
	}
	ticks, stat, throttle := cpu.table("cpuacct.stat"), memory.table("memory.stat"), at("cpu").table("cpu.stat")
	u := &Usage{
		CPU: cpu.number("cpuacct.usage"), User: times(ticks["user"], userTick), System: times(ticks["system"], userTick),
		Throttled: throttle["throttled_time"], Periods: throttle["nr_periods"], ThrottledPeriods: throttle["nr_throttled"],
		Memory: memory.number("memory.usage_in_bytes"), RSS: stat["total_rss"], Cache: stat["total_cache"], MappedFile: stat["total_mapped_file"],
		MaxMemory: memory.number("memory.max_usage_in_bytes"), Limit: memory.number("memory.limit_in_bytes"),
		Swap: stat["total_swap"], SwapLimit: less(memory.number("memory.memsw.limit_in_bytes"), memory.number("memory.limit_in_bytes")),
		Faults: stat["total_pgfault"], MajorFaults: stat["total_pgmajfault"], Failures: memory.number("memory.failcnt"),
		OOMKills:  memory.table("memory.oom_control")["oom_kill"],
		Processes: pids.number("pids.current"), ProcessLimit: pids.number("pids.max"),
	}
	u.WorkingSet = less(u.Memory, stat["total_inactive_file"])
	u.ReadBytes, u.WriteBytes = blocks(at("blkio").text("blkio.throttle.io_service_bytes_recursive"))
	u.Reads, u.Writes = blocks(at("blkio").text("blkio.throttle.io_serviced_recursive"))
	if h.Unified != "" { // hybrid: the v2 hierarchy has no controllers, but pressure
		g := group(filepath.Join(h.Unified, path))
		u.CPUPressure, u.MemoryPressure, u.IOPressure = g.pressure("cpu.pressure"), g.pressure("memory.pressure"), g.pressure("io.pressure")
	}
	return u, nil
}

// exists says fs.ErrNotExist when none of the groups does.
func exists(groups ...group) error {
	for _, g := range groups {
		if g == "" {
			continue
		}
		if _, err := os.Stat(string(g)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return fs.ErrNotExist
}

// blocks sums lines of "8:0 Read 0".
func blocks(text string) (read, write *uint64) {
	if text == "" {
		return nil, nil
	}
	read, write = new(uint64), new(uint64)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		n, _ := strconv.ParseUint(fields[2], 10, 64) // the kernel's own
		switch fields[1] {
		case "Read":
			*read += n
		case "Write":
			*write += n
		}
	}
	return read, write
}
