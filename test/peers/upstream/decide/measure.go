package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/parallelize"
)

// Workload is a large cluster and the pods that come, as package workloads of the main module makes it.
type Workload struct {
	Name    string            `json:"name"`
	Objects []json.RawMessage `json:"objects"`
	Pods    []*v1.Pod         `json:"pods"`
	Between []*v1.Pod         `json:"between"`
}

// Result is what was measured of a workload. Times are in microseconds.
type Result struct {
	Name      string  `json:"name"`
	Nodes     int     `json:"nodes"`
	Placed    int     `json:"placed"`
	Decisions int     `json:"decisions"`
	CPU       float64 `json:"cpu"`
	Mean      float64 `json:"mean"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
}

// measure reads workloads and writes a result for each.
func measure(ctx context.Context, in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var w Workload
		if err := dec.Decode(&w); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a workload: %w", err)
		}
		r, err := timed(ctx, w)
		if err != nil {
			return fmt.Errorf("workload %s: %w", w.Name, err)
		}
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
}

// timed decides the pods of a workload one after the other, with upstream's default parallelism.
func timed(ctx context.Context, w Workload) (Result, error) {
	r := Result{Name: w.Name, Decisions: len(w.Pods)}
	objects, err := decoded(w.Objects)
	if err != nil {
		return r, err
	}
	for _, p := range w.Pods { // preemption looks them up
		objects = append(objects, p)
	}
	c, err := newCluster(ctx, slices.Clone(objects), nil, int32(parallelize.DefaultParallelism))
	if err != nil {
		return r, err
	}
	defer c.close()
	r.Nodes = c.Cache.NodeCount()
	if r.Placed, err = c.Cache.PodCount(); err != nil {
		return r, err
	}
	if _, _, err := c.framework(w.Pods[0]); err != nil { // the first snapshot takes in the whole cluster
		return r, err
	}
	runtime.GC() // what making the cluster left behind is nobody's decision
	var times []float64
	for i, pod := range w.Pods {
		took, cpu, err := c.timed(ctx, pod)
		if err != nil {
			return r, fmt.Errorf("pod %s: %w", pod.Name, err)
		}
		r.CPU += cpu / float64(len(w.Pods))
		r.Mean += took / float64(len(w.Pods))
		times = append(times, took)
		if i < len(w.Between) {
			if err := c.Cache.AddPod(klog.Background(), w.Between[i]); err != nil {
				return r, err
			}
		}
	}
	slices.Sort(times)
	r.P50, r.P99 = times[len(times)/2], times[len(times)*99/100]
	return r, nil
}

// used is the processor time that this program has taken, in microseconds: the figure to trust on a machine with other work.
func used() float64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		panic(err) // every Linux has this clock
	}
	return float64(t.Nano()) / 1000
}

// timed decides a pod, and then does what was decided, which is not timed. It returns microseconds, of the clock and of processors.
func (c *cluster) timed(ctx context.Context, pod *v1.Pod) (took, cpu float64, err error) {
	info, err := framework.NewPodInfo(pod)
	if err != nil {
		return 0, 0, err
	}
	before, start := used(), time.Now()
	node, evict, err := c.decision(ctx, pod, info)
	took, cpu = float64(time.Since(start).Nanoseconds())/1000, used()-before
	if err != nil || node == "" {
		return took, cpu, err
	}
	for _, v := range evict {
		if err := c.Cache.RemovePod(klog.Background(), v); err != nil {
			return 0, 0, err
		}
	}
	placed := pod.DeepCopy()
	placed.Spec.NodeName = node
	return took, cpu, c.Cache.AddPod(klog.Background(), placed)
}

// decision is where a pod goes, and who has to go for it; no node is "".
func (c *cluster) decision(ctx context.Context, pod *v1.Pod, info *framework.PodInfo) (string, []*v1.Pod, error) {
	f, snapshot, err := c.framework(pod)
	if err != nil {
		return "", nil, err
	}
	state := newState()
	result, err := c.SchedulePod(ctx, f, state, &framework.QueuedPodInfo{PodInfo: info})
	if err == nil {
		return result.SuggestedHost, nil, nil
	}
	var unfit *framework.FitError
	if !errors.As(err, &unfit) {
		return "", nil, err
	}
	nodes, err := snapshot.List()
	if err != nil {
		return "", nil, err
	}
	a := &attempt{cluster: c, Framework: f, pod: pod, state: state, nodes: nodes, Answer: &Answer{}}
	evict, node, err := a.choose(ctx, unfit.Diagnosis.NodeToStatus)
	return node, evict, err
}

// choose is preemption as DefaultPreemption does it by default, up to the decision: nobody is evicted.
func (t *attempt) choose(ctx context.Context, statuses fwk.NodeToStatusReader) ([]*v1.Pod, string, error) {
	ev := t.preemption().Evaluator
	potential, err := statuses.NodesForStatusCode(t.SnapshotSharedLister().NodeInfos(), fwk.Unschedulable)
	if err != nil || len(potential) == 0 {
		return nil, "", err
	}
	budgets, err := t.budgets()
	if err != nil {
		return nil, "", err
	}
	offset, n := ev.GetOffsetAndNumCandidates(int32(len(potential)))
	candidates, _, err := ev.DryRunPreemption(ctx, t.state, t.pod, potential, budgets, offset, n)
	if err != nil || len(candidates) == 0 {
		return nil, "", err
	}
	best := ev.SelectCandidate(ctx, candidates)
	return best.Victims().Pods, best.Name(), nil
}
