package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/floe-k8s/floe/test/peers/scheduling/workloads"
)

const boundPreamble = `
## Pods from created to bound

The workloads of scheduler_perf, end to end: %d nodes, and pods on them as there said (test/peers/scheduling/workloads); then %d clients create pods over HTTPS, each
waiting until a watch shows its pod bound before it creates the next. Upstream is etcd, kube-apiserver and kube-scheduler, throttles lifted; floe is its server, with a
log on the same disk. On both sides no controller runs but what gives namespaces their service accounts, since scheduler_perf has none either; nodes and claims have
nobody behind them. At most %d pods are measured, and none is begun after a minute. CPU is that of all processes of the server, for each measured pod; times are in
milliseconds. An empty cell: the pods of this workload are not all bound there.

- Pods that are there before have their node from the beginning.
- preemption: four pods on each node leave no room, and each pod that comes makes three of them go. Their deletion is part of what is measured.
- unschedulable, and the churn: before every tenth pod comes a pod that fits nowhere, or a node, such a pod and a service in turn. They are part of what is measured.
- gated: as many pods as nodes, with an affinity, wait behind a gate.
- volumes: each pod has a claim that is bound to a volume of a CSI driver. devices: each has a ResourceClaim for one of ten devices of each node.

| what | pods there before | pods measured: upstream | floe | upstream CPU ms | floe CPU ms | times less | upstream per s | floe per s | upstream p50 | floe p50 | upstream p99 | floe p99 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`

// boundSection is the part of the document that says how pods are bound on large clusters. There is none where nothing is recorded yet.
func boundSection(dir string) (string, error) {
	sides := map[string]map[string]workloads.Bound{}
	for _, side := range []string{"upstream", "floe"} {
		var all []workloads.Bound
		if err := readJSON(filepath.Join(dir, side, "scheduling.json"), &all); errors.Is(err, fs.ErrNotExist) {
			return "", nil
		} else if err != nil {
			return "", err
		}
		sides[side] = map[string]workloads.Bound{}
		for _, b := range all {
			if b.Missing == "" {
				sides[side][b.Name] = b
			}
		}
	}
	var rows strings.Builder
	var lines []line
	nodes, most := 0, 0
	for _, name := range workloads.ClusterNames() {
		theirs, ours := sides["upstream"][name], sides["floe"][name]
		if theirs.Pods == 0 && ours.Pods == 0 {
			continue
		}
		nodes, most = max(nodes, theirs.Nodes, ours.Nodes), max(most, theirs.Pods, ours.Pods)
		lines = append(lines, line{name, theirs.CPU, ours.CPU})
		less := 0.0
		if ours.CPU > 0 {
			less = theirs.CPU / ours.CPU
		}
		fmt.Fprintf(&rows, "| %s | %d |", name, max(theirs.Placed, ours.Placed))
		for _, v := range []float64{
			float64(theirs.Pods), float64(ours.Pods), theirs.CPU, ours.CPU, less, theirs.PerSecond, ours.PerSecond, theirs.P50, ours.P50, theirs.P99, ours.P99,
		} {
			fmt.Fprintf(&rows, " %s |", cell(v))
		}
		rows.WriteString("\n")
	}
	return fmt.Sprintf(boundPreamble, nodes, workloads.Clients, most) + rows.String() + drawing("CPU of the server for a pod, ms", lines), nil
}

// cell writes a number with three digits at least, or nothing where there is none.
func cell(v float64) string {
	switch {
	case v == 0:
		return ""
	case v < 10:
		return fmt.Sprintf("%.3f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
