package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// decide answers for all pods of a case. What has been answered is returned with the first error.
func decide(ctx context.Context, c Case) ([]Answer, error) {
	objects, err := decoded(c.Objects)
	if err != nil {
		return nil, err
	}
	var answers []Answer
	var cl *cluster
	defer func() {
		if cl != nil {
			cl.close()
		}
	}()
	for _, name := range c.Ask {
		if cl == nil {
			if cl, err = newCluster(ctx, objects, c.Configuration, 1); err != nil {
				return answers, err
			}
		}
		a := Answer{Case: c.Name, Pod: name}
		changed, err := cl.ask(ctx, &a)
		if err != nil {
			return answers, fmt.Errorf("pod %s: %w", name, err)
		}
		answers = append(answers, a)
		if changed { // it believes to have evicted pods
			cl.close()
			cl = nil
		}
	}
	return answers, nil
}

// attempt is a pod being decided.
type attempt struct {
	*cluster
	framework.Framework
	pod   *v1.Pod
	state fwk.CycleState
	nodes []fwk.NodeInfo
	*Answer
}

// ask decides a pod twice, and holds the two against each other: once by SchedulePod, as the scheduler does, and once plug-in by plug-in for what it
// keeps to itself. It says whether the scheduler has changed what it knows.
func (c *cluster) ask(ctx context.Context, a *Answer) (changed bool, err error) {
	pod := c.pods[a.Pod]
	if pod == nil {
		return false, errors.New("the case has no such pod")
	}
	f, snapshot, err := c.framework(pod)
	if err != nil {
		return false, err
	}
	nodes, err := snapshot.List()
	if err != nil {
		return false, err
	}
	a.Gated = gated(ctx, f, pod)
	t := &attempt{cluster: c, Framework: f, pod: pod, nodes: nodes, Answer: a}
	info, err := framework.NewPodInfo(pod)
	if err != nil {
		return false, fmt.Errorf("read its affinity: %w", err)
	}
	t.state = newState()
	result, err := c.SchedulePod(ctx, f, t.state, &framework.QueuedPodInfo{PodInfo: info})
	if err == nil {
		return false, t.placed(ctx, result)
	}
	var unfit *framework.FitError
	if !errors.As(err, &unfit) {
		a.Error = err.Error()
		return false, nil
	}
	return t.unplaced(ctx, unfit)
}

func newState() fwk.CycleState {
	s := framework.NewCycleState()
	s.Write(framework.PodsToActivateKey, framework.NewPodsToActivate())
	return s
}

// gated is the status of the first plug-in that keeps a pod out of the queue, or nil.
func gated(ctx context.Context, f framework.Framework, pod *v1.Pod) *Status {
	for _, p := range f.PreEnqueuePlugins() {
		if s := p.PreEnqueue(ctx, pod); !s.IsSuccess() {
			return &Status{Code: s.Code().String(), Plugin: p.Name(), Reasons: s.Reasons()}
		}
	}
	return nil
}

// unplaced reports why no node fits, and what preemption would do.
func (t *attempt) unplaced(ctx context.Context, unfit *framework.FitError) (changed bool, err error) {
	statuses := map[string]*fwk.Status{}
	for _, n := range t.nodes {
		statuses[n.Node().Name] = unfit.Diagnosis.NodeToStatus.Get(n.Node().Name)
	}
	t.refuse(statuses)
	if err := t.preempt(ctx, unfit.Diagnosis.NodeToStatus); err != nil {
		return false, err
	}
	result, status := t.RunPostFilterPlugins(ctx, t.state, t.pod, unfit.Diagnosis.NodeToStatus)
	unfit.Diagnosis.PostFilterMsg = status.Message()
	t.Message, t.Post = unfit.Error(), status.Message()
	if status.Code() == fwk.Error || !status.IsSuccess() && result == nil {
		t.Best, t.Victims = nil, nil // it has not come to preemption
	}
	if nominated := result != nil && result.NominatingInfo != nil && result.NominatedNodeName != ""; nominated && !slices.Contains(t.Best,
		result.NominatedNodeName) {
		return true, fmt.Errorf("%s is nominated, and the best are %v", result.NominatedNodeName, t.Best)
	}
	return status.IsSuccess(), nil
}

// placed reports the nodes that fit and those that do not.
func (t *attempt) placed(ctx context.Context, result scheduler.ScheduleResult) error {
	state := newState()
	t.state = state
	statuses := map[string]*fwk.Status{}
	only, status, rejecting := t.RunPreFilterPlugins(ctx, state, t.pod)
	if !status.IsSuccess() {
		return fmt.Errorf("the second time it is refused before any node is looked at: %s", status.Message())
	}
	var fit []fwk.NodeInfo
	for _, n := range t.nodes {
		name := n.Node().Name
		if !only.AllNodes() && !only.NodeNames.Has(name) {
			statuses[name] = fwk.NewStatus(fwk.UnschedulableAndUnresolvable, fmt.Sprintf("node(s) didn't satisfy plugin(s) %v", sets.List(rejecting)))
			continue
		}
		if s := t.RunFilterPluginsWithNominatedPods(ctx, state, t.pod, n); !s.IsSuccess() {
			statuses[name] = s
			continue
		}
		fit = append(fit, n)
	}
	own := t.pod.Status.NominatedNodeName
	if i := slices.IndexFunc(fit, func(n fwk.NodeInfo) bool { return n.Node().Name == own }); i >= 0 {
		fit, statuses, t.Own = fit[i:i+1], nil, true
	}
	if len(fit) != result.FeasibleNodes {
		return fmt.Errorf("%d nodes fit, and the second time %d", result.FeasibleNodes, len(fit))
	}
	t.refuse(statuses)
	slices.SortFunc(fit, func(a, b fwk.NodeInfo) int { return strings.Compare(a.Node().Name, b.Node().Name) })
	for _, n := range fit {
		t.Feasible = append(t.Feasible, n.Node().Name)
	}
	if len(fit) > 1 {
		if err := t.score(ctx, fit); err != nil {
			return err
		}
		if i := slices.Index(t.Feasible, result.SuggestedHost); i < 0 || t.Totals[i] != slices.Max(t.Totals) {
			return fmt.Errorf("%s is chosen, and does not have the highest score", result.SuggestedHost)
		}
	}
	return nil
}

// score reports the scores of the nodes that fit.
func (t *attempt) score(ctx context.Context, fit []fwk.NodeInfo) error {
	if s := t.RunPreScorePlugins(ctx, t.state, t.pod, fit); !s.IsSuccess() {
		return s.AsError()
	}
	scores, s := t.RunScorePlugins(ctx, t.state, t.pod, fit)
	if !s.IsSuccess() {
		return s.AsError()
	}
	t.Scores = map[string][]int64{}
	for _, n := range scores {
		t.Totals = append(t.Totals, n.TotalScore)
		for _, p := range n.Scores {
			t.Scores[p.Name] = append(t.Scores[p.Name], p.Score)
		}
	}
	return nil
}

// refuse reports the statuses of nodes, those that are alike together.
func (t *attempt) refuse(statuses map[string]*fwk.Status) {
	alike := map[string]int{}
	for _, node := range slices.Sorted(maps.Keys(statuses)) {
		s := statuses[node]
		status := Status{Code: s.Code().String(), Plugin: s.Plugin(), Reasons: slices.Sorted(slices.Values(s.Reasons()))} // their order is chance
		key := fmt.Sprint(status)
		if _, ok := alike[key]; !ok {
			alike[key] = len(t.Refused)
			t.Refused = append(t.Refused, Refusal{Status: status})
		}
		r := &t.Refused[alike[key]]
		r.Nodes = append(r.Nodes, node)
	}
}
