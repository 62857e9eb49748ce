package main

import (
	"context"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultpreemption"
	"k8s.io/kubernetes/pkg/scheduler/framework/preemption"
)

// chances is how often two candidates are offered to find whether they are equally good: upstream then takes either, by chance.
const chances = 48

// preempt reports the victims of every candidate, and the candidates that are equally good, by upstream's own evaluator.
func (t *attempt) preempt(ctx context.Context, statuses fwk.NodeToStatusReader) error {
	plugin := t.preemption()
	if plugin == nil {
		return nil
	}
	ev := plugin.Evaluator
	if ok, _ := ev.PodEligibleToPreemptOthers(ctx, t.pod, statuses.Get(t.pod.Status.NominatedNodeName)); !ok {
		return nil
	}
	potential, err := statuses.NodesForStatusCode(t.SnapshotSharedLister().NodeInfos(), fwk.Unschedulable)
	if err != nil || len(potential) == 0 {
		return err
	}
	budgets, err := t.budgets()
	if err != nil {
		return err
	}
	candidates, _, _ := ev.DryRunPreemption(ctx, t.state, t.pod, potential, budgets, 0, int32(len(potential)))
	if len(candidates) == 0 {
		return nil // the attempt itself reports why, and what failed
	}
	t.Victims = map[string]Victims{}
	for _, c := range candidates {
		v := Victims{Violations: c.Victims().NumPDBViolations}
		for _, p := range c.Victims().Pods {
			v.Pods = append(v.Pods, nameOf(p))
		}
		t.Victims[c.Name()] = v
	}
	t.Best = best(ctx, ev, candidates)
	return nil
}

// preemption is the profile's plug-in, or nil. A framework shows its PreEnqueue plug-ins, of which this is one.
func (t *attempt) preemption() *defaultpreemption.DefaultPreemption {
	for _, p := range t.PreEnqueuePlugins() {
		if d, ok := p.(*defaultpreemption.DefaultPreemption); ok {
			return d
		}
	}
	return nil
}

func (t *attempt) budgets() ([]*policyv1.PodDisruptionBudget, error) {
	list, err := t.informers.Policy().V1().PodDisruptionBudgets().Lister().List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list the disruption budgets: %w", err)
	}
	return list, nil
}

// best are the candidates that are not worse than any other.
func best(ctx context.Context, ev *preemption.Evaluator, candidates []preemption.Candidate) []string {
	first := ev.SelectCandidate(ctx, candidates)
	names := []string{first.Name()}
	for _, c := range candidates {
		if c.Name() == first.Name() {
			continue
		}
		for range chances {
			if ev.SelectCandidate(ctx, []preemption.Candidate{first, c}).Name() == c.Name() {
				names = append(names, c.Name())
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

func nameOf(p *v1.Pod) string { return p.Namespace + "/" + p.Name }
