package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/bench"
	"github.com/floe-k8s/floe/test/peers/scheduling/workloads"
)

// Limits of a workload on a server, so that what is slow or missing does not take the day.
const (
	beginning = time.Minute // how long pods are made
	patience  = time.Minute // for one of them, and a fifth of what removing a cluster may take
)

// bound measures the workloads of these names, or all, on the server of KUBECONFIG, one after the other: each makes its cluster and removes it. PIDS names the
// server's processes, as test/peers/with does. A workload whose pods the server does not bind is written as missing.
func bound(ctx context.Context, file, pods string, names []string) error {
	count, err := strconv.Atoi(pods)
	if err != nil || count < 1 {
		return fmt.Errorf("pods %q: want a number from 1", pods)
	}
	o := bench.Options{
		Clock: clock.RealClock{}, Clients: workloads.Clients, Count: count, Duration: beginning, Timeout: patience, Kind: "pods", Encoding: "protobuf", Nodes: nodes,
		OnProgress: func(step string) { fmt.Fprintln(os.Stderr, step+" …") },
	}
	if o.Target, err = bench.LoadTarget("", ""); err != nil {
		return err
	}
	for _, text := range strings.Fields(os.Getenv("PIDS")) {
		p, err := bench.ParseProcess(text)
		if err != nil {
			return err
		}
		o.Processes = append(o.Processes, p)
	}
	var all []workloads.Bound
	for i, name := range workloads.ClusterNames() {
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		o.RunID = strconv.FormatInt(o.Clock.Now().UnixMilli(), 36) + strconv.Itoa(i)
		b, err := onServer(ctx, name, o)
		if err != nil {
			return fmt.Errorf("workload %s: %w", name, err)
		}
		fmt.Println(b)
		all = append(all, b)
		if err := save(file, all); err != nil {
			return err
		}
	}
	return nil
}

// onServer measures one workload. A server that does not bind its pods is no error.
func onServer(ctx context.Context, name string, o bench.Options) (workloads.Bound, error) {
	c, err := workloads.MakeCluster(name, nodes, o.Count)
	if err != nil {
		return workloads.Bound{}, err
	}
	o.Namespace = c.Pods[0].Namespace
	report, err := bench.Measure(ctx, bench.Scheduling(c), o)
	if errors.Is(err, bench.ErrUnbound) && !errors.Is(err, bench.ErrServerGone) {
		return workloads.Bound{Name: name, Nodes: nodes, Missing: err.Error()}, nil
	}
	if err != nil {
		return workloads.Bound{}, err
	}
	b := workloads.Bound{
		Name: name, Nodes: nodes, Placed: report.Objects, Pods: int(report.Operations), PerSecond: report.Rate, P50: report.Latency.P50, P99: report.Latency.P99,
	}
	for _, p := range report.Processes {
		b.CPU += p.CPUPerOperation
	}
	for class, n := range report.Errors {
		b.Missing += fmt.Sprintf("%d x %s, such as: %s\n", n.Count, class, n.Example)
	}
	return b, nil
}
