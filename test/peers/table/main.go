// Command table writes docs/benchmarks.md from the answers that `make compare` recorded. Arguments: the directory of the answers, the document.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// scenario is one element of what floe bench prints with --output json, as far as the table needs it.
type scenario struct {
	Name         string             `json:"scenario"`
	Operations   int                `json:"operations"` // that succeeded
	Failed       int                `json:"failed"`
	PerSecond    float64            `json:"operationsPerSecond"`
	Milliseconds map[string]float64 `json:"latencyMilliseconds"`
	Processes    []process          `json:"processes"`
}

type process struct {
	Name     string  `json:"name"`
	CPU      float64 `json:"cpuMillisecondsPerOperation"`
	Resident float64 `json:"residentBytes"`
}

func main() {
	text, err := document(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[2], []byte(text+byHand(os.Args[2])), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

// byHand is the end of the page, which people write: what is measured of floe alone. It stays as it is.
func byHand(page string) string {
	old, err := os.ReadFile(page)
	if err != nil {
		return "" // a new page
	}
	if i := strings.Index(string(old), "\n## Simulated nodes\n"); i >= 0 {
		return string(old[i:])
	}
	return ""
}

// rows are the recorded scenarios, in the order of the table.
var rows = [...][2]string{
	{"create", "pod create, 32 clients"}, {"get", "pod get, 32 clients"}, {"lease", "lease update, 64 clients"}, {"patch", "pod merge patch, 32 clients"},
	{"watch", "watch delivery, 200 watchers"}, {"list-protobuf", "list of 10,000 pods, protobuf"}, {"list-gzip", "the same, gzip"},
	{"list-json", "list of 10,000 pods, JSON"}, {"bound", "pod created to bound, 1,000 nodes"},
}

const preamble = `# Benchmarks

` + "`make compare`" + ` builds upstream's kube-apiserver, kube-scheduler and etcd from their Go modules (test/peers), runs ` + "`floe bench`" + ` against them and then
against ` + "`floe server --no-node`" + `, one after the other on the same machine, and writes this page from the answers in test/peers/recorded. Upstream runs with its
throttles lifted and all default features on. CPU is that of the server's processes together, for each operation, and is the figure to trust: wall
times and rates are noisy and share two cores with the load generator. Resident memory is that after the scenario,
and after all before it in the same server.

floe is durable in each of these: an answer comes after the sync. It does not do yet what upstream does beside: admission plug-ins
but the few that every pod needs, and audit.

| what | upstream CPU ms | floe CPU ms | upstream p50 ms | floe p50 ms | upstream per s | floe per s | upstream MB | floe MB |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
`

func document(dir string) (string, error) {
	var out strings.Builder
	out.WriteString(preamble)
	for _, row := range rows {
		theirs, err := cells(filepath.Join(dir, "upstream", row[0]+".json"))
		if err != nil {
			return "", err
		}
		ours, err := cells(filepath.Join(dir, "floe", row[0]+".json"))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "| %s |", row[1])
		for i := range theirs {
			fmt.Fprintf(&out, " %s | %s |", theirs[i], ours[i])
		}
		out.WriteString("\n")
	}
	memory, err := memorySection(dir)
	if err != nil {
		return "", err
	}
	flood, err := floodSection(dir)
	if err != nil {
		return "", err
	}
	decisions, err := decisionsSection(dir)
	if err != nil {
		return "", err
	}
	bound, err := boundSection(dir)
	if err != nil {
		return "", err
	}
	logs, err := logSection(filepath.Join(dir, "log"))
	return out.String() + memory + flood + decisions + bound + logs, err
}

// cells are CPU, median latency, rate and memory of one answer.
func cells(file string) ([4]string, error) {
	var all []scenario
	if err := readJSON(file, &all); err != nil {
		return [4]string{}, err
	}
	if len(all) != 1 || all[0].Operations == 0 || all[0].Failed > 0 {
		return [4]string{}, fmt.Errorf("%s: want one scenario in which nothing failed", file)
	}
	s := all[0]
	cpu, memory := 0.0, 0.0
	for _, p := range s.Processes {
		cpu += p.CPU
		memory += p.Resident
	}
	return [4]string{
		fmt.Sprintf("%.3f", cpu), fmt.Sprintf("%.2f", s.Milliseconds["p50"]), fmt.Sprintf("%.0f", s.PerSecond), fmt.Sprintf("%.0f", memory/1e6),
	}, nil
}
