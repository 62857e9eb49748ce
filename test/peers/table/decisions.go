package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/floe-k8s/floe/test/peers/scheduling/workloads"
)

const decisionsPreamble = `
## A decision of the scheduler

How long it takes to decide where one pod goes: %d nodes, %d decisions one after the other, each pod placed before the next is decided, on clusters as upstream's
scheduler_perf makes them (test/peers/scheduling/workloads). Queue, API and binding are left out on both sides. Upstream is kube-scheduler's own framework with all
default plug-ins, 16 at once, percentageOfNodesToScore 100, its snapshot brought up to date as a part of the decision (test/peers/upstream/decide).
Times are in microseconds; CPU is that of the whole program, garbage collection included, the first decision too, which has nothing to build on. floe's
scheduler has no rules of volumes and resource claims yet, which none of these pods asks for. An empty cell: floe does not decide it here yet.

| what | pods there before | upstream CPU | floe CPU | times less | upstream p50 | floe p50 | upstream p99 | floe p99 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
`

// decisionsSection is the part of the document that says how long decisions take.
func decisionsSection(dir string) (string, error) {
	var theirs, ours []workloads.Result
	if err := readJSON(filepath.Join(dir, "upstream", "decisions.json"), &theirs); err != nil {
		return "", err
	}
	if err := readJSON(filepath.Join(dir, "floe", "decisions.json"), &ours); err != nil {
		return "", err
	}
	if len(theirs) == 0 {
		return "", fmt.Errorf("%s: no decision is recorded", dir)
	}
	mine := map[string]workloads.Result{}
	for _, r := range ours {
		mine[r.Name] = r
	}
	var out strings.Builder
	fmt.Fprintf(&out, decisionsPreamble, theirs[0].Nodes, theirs[0].Decisions)
	var lines []line
	for _, r := range theirs {
		f, ok := mine[r.Name]
		lines = append(lines, line{r.Name, r.CPU, f.CPU})
		if !ok {
			fmt.Fprintf(&out, "| %s | %d | %.0f |  |  | %.0f |  | %.0f |  |\n", r.Name, r.Placed, r.CPU, r.P50, r.P99)
			continue
		}
		fmt.Fprintf(&out, "| %s | %d | %.0f | %.1f | %.0f | %.0f | %.1f | %.0f | %.1f |\n", r.Name, r.Placed, r.CPU, f.CPU, r.CPU/f.CPU, r.P50, f.P50, r.P99, f.P99)
	}
	return out.String() + drawing("CPU of a decision, µs", lines), nil
}
