package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// logRows are the scenarios of the logs, in the order of the table: etcd's, floe's ("": none that is alike), and their name.
var logRows = [...][3]string{
	{"put-one", "put-one", "put, 1 client"}, {"put-many", "put-many", "put, 256 clients"}, {"get-one", "get-one", "get of one object, 1 client"},
	{"get", "get", "get of one object, 256 clients; floe: as many as cores"}, {"get-serializable", "", "the same, serializable"},
	{"range", "range", "range of 10,000 objects, 1 client"},
}

const logPreamble = `
## The log beside etcd

The same run puts 1 KiB values into etcd, with etcd's own benchmark tool, and into floe's log and table (test/peers/logbench), one after the other on the
same disk. On both sides a put is a transaction of its own, over 10,000 keys in turn, and is answered after its sync; the values are random bytes.
Times are in microseconds; CPU is that of the etcd process, and of its tool beside it, for each operation.

What is not alike:

- etcd is a server: each operation is a gRPC call over loopback from a second process that shares the cores, and passes through raft (one member). floe's log
  is called in the process that measures, so that its figures hold no network and no encoding of requests, and its CPU is that of the log and of its
  callers together. What a client of the API sees is in the table above.
- etcd's gets and ranges are linearizable unless the row says otherwise, and its tool asks for one key again and again. floe's read a snapshot of the table in
  memory, which is never older than a write that was answered, at all keys in turn; nothing is copied, while etcd encodes and sends 10 MB for each range.
- etcd keeps all versions here, since nothing compacts it; floe's log prunes its history to its limit while it is measured.

`

const logHead = `
| what | etcd per s | floe per s | etcd p50 | floe p50 | etcd p99 | floe p99 | etcd CPU | etcd's tool CPU | floe CPU |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`

// machine is what logbench recorded of the machine, as far as the document needs it.
type machine struct {
	Cores      int                `json:"cores"`
	Memory     float64            `json:"memoryBytes"`
	Kernel     string             `json:"kernel"`
	Filesystem string             `json:"filesystem"`
	Go         string             `json:"go"`
	Etcd       string             `json:"etcd"`
	Tool       string             `json:"etcdBenchmark"`
	BeforeEtcd map[string]float64 `json:"syncMillisecondsBeforeEtcd"`
	BeforeFloe map[string]float64 `json:"syncMillisecondsBeforeFloe"`
}

// logSection is the part of the document that compares the logs.
func logSection(dir string) (string, error) {
	var m machine
	if err := readJSON(filepath.Join(dir, "machine.json"), &m); err != nil {
		return "", err
	}
	theirs, err := scenarios(filepath.Join(dir, "etcd.json"))
	if err != nil {
		return "", err
	}
	ours, err := scenarios(filepath.Join(dir, "floe.json"))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString(logPreamble)
	fmt.Fprintf(&out, "The machine: %d cores, %.0f GB of memory, kernel %s, data on %s; etcd %s, its tool %s; built with %s. To write 1 KiB over and wait for the disk\n",
		m.Cores, m.Memory/1e9, m.Kernel, m.Filesystem, m.Etcd, m.Tool, m.Go)
	fmt.Fprintf(&out, "(fdatasync) took %.0f µs p50 and %.0f p99 right before etcd was measured, %.0f and %.0f right before floe: a put of one client cannot take less.\n",
		m.BeforeEtcd["p50"]*1e3, m.BeforeEtcd["p99"]*1e3, m.BeforeFloe["p50"]*1e3, m.BeforeFloe["p99"]*1e3)
	out.WriteString(logHead)
	for _, row := range logRows {
		their, found := theirs[row[0]]
		our, alike := ours[row[1]]
		if !found || row[1] != "" && !alike {
			return "", fmt.Errorf("%s: scenario %s or %s is not recorded", dir, row[0], row[1])
		}
		out.WriteString(logRow(row[2], their, our))
	}
	return out.String(), nil
}

// logRow is one row of the table.
func logRow(name string, etcd, floe scenario) string {
	return "| " + strings.Join([]string{
		name, rate(etcd), rate(floe), micro(etcd.Milliseconds["p50"]), micro(floe.Milliseconds["p50"]), micro(etcd.Milliseconds["p99"]), micro(floe.Milliseconds["p99"]),
		cpu(etcd, "etcd"), cpu(etcd, "etcd-benchmark"), cpu(floe, "floe"),
	}, " | ") + " |\n"
}

// scenarios reads a file of them, by name.
func scenarios(file string) (map[string]scenario, error) {
	var all []scenario
	if err := readJSON(file, &all); err != nil {
		return nil, err
	}
	out := map[string]scenario{}
	for _, s := range all {
		if s.Operations == 0 || s.Failed > 0 {
			return nil, fmt.Errorf("%s: %s has no operations, or some failed", file, s.Name)
		}
		out[s.Name] = s
	}
	return out, nil
}

func readJSON(file string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// rate, micro and cpu are one cell each; it is empty when there is nothing to show.
func rate(s scenario) string {
	if s.Operations == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f", s.PerSecond)
}

func micro(milliseconds float64) string {
	switch us := milliseconds * 1e3; {
	case us == 0:
		return ""
	case us < 10:
		return fmt.Sprintf("%.2f", us)
	default:
		return fmt.Sprintf("%.0f", us)
	}
}

func cpu(s scenario, process string) string {
	for _, p := range s.Processes {
		if p.Name == process {
			return micro(p.CPU)
		}
	}
	return ""
}
