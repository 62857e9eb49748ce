package extend

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/preempt"
)

// Preempts says whether the extender takes part in preemption.
func (e *Extender) Preempts() bool { return e.cfg.PreemptVerb != "" }

// Pods are the pods on nodes: as the scheduler counts them (false: it does not know the node), and whole ones, for extenders that keep none of
// their own.
type Pods struct {
	On    func(node string) (pods []place.Placed, known bool)
	Whole func(place.Placed) *corev1.Pod
}

// Preempt asks which of the candidates will do, and with which victims: it may name others on the same nodes. The answer is ordered by the
// nodes' names.
func (e *Extender) Preempt(ctx context.Context, pod *corev1.Pod, list []preempt.Candidate, pods Pods) ([]preempt.Candidate, error) {
	var result extenderv1.ExtenderPreemptionResult
	err := e.send(ctx, e.cfg.PreemptVerb, e.preemptionArgs(pod, list, pods), &result)
	var left []preempt.Candidate
	if err == nil {
		left, err = e.victims(&result, pods)
	}
	if err != nil && e.cfg.Ignorable {
		return list, nil
	}
	if err != nil {
		return nil, err
	}
	for _, c := range left {
		if len(c.Victims) == 0 && !e.cfg.Ignorable {
			return nil, fmt.Errorf("expected at least one victim pod on node %q", c.Node)
		}
	}
	return slices.DeleteFunc(left, func(c preempt.Candidate) bool { return len(c.Victims) == 0 }), nil
}

func (e *Extender) preemptionArgs(pod *corev1.Pod, list []preempt.Candidate, pods Pods) *extenderv1.ExtenderPreemptionArgs {
	args := &extenderv1.ExtenderPreemptionArgs{Pod: pod}
	if e.cfg.NodeCacheCapable {
		args.NodeNameToMetaVictims = make(map[string]*extenderv1.MetaVictims, len(list))
		for _, c := range list {
			v := &extenderv1.MetaVictims{NumPDBViolations: int64(c.Violations)}
			for _, p := range c.Victims {
				v.Pods = append(v.Pods, &extenderv1.MetaPod{UID: string(p.UID)})
			}
			args.NodeNameToMetaVictims[c.Node] = v
		}
		return args
	}
	args.NodeNameToVictims = make(map[string]*extenderv1.Victims, len(list))
	for _, c := range list {
		v := &extenderv1.Victims{NumPDBViolations: int64(c.Violations)}
		for _, p := range c.Victims {
			v.Pods = append(v.Pods, pods.Whole(p))
		}
		args.NodeNameToVictims[c.Node] = v
	}
	return args
}

// victims finds the pods that an answer names.
func (e *Extender) victims(result *extenderv1.ExtenderPreemptionResult, pods Pods) ([]preempt.Candidate, error) {
	var out []preempt.Candidate
	for node, named := range result.NodeNameToMetaVictims {
		there, known := pods.On(node)
		if !known {
			return nil, fmt.Errorf("nodeinfo not found for node name %q", node)
		}
		c := preempt.Candidate{Node: node}
		if named == nil { // as of no victims
			named = &extenderv1.MetaVictims{}
		}
		c.Violations = int(named.NumPDBViolations)
		for _, meta := range named.Pods {
			i := slices.IndexFunc(there, func(p place.Placed) bool { return meta != nil && string(p.UID) == meta.UID })
			if i < 0 {
				return nil, fmt.Errorf("extender: %v claims to preempt pod (UID: %v) on node: %v, but the pod is not found on that node", e.cfg.URLPrefix, meta, node)
			}
			c.Victims = append(c.Victims, there[i])
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b preempt.Candidate) int { return cmp.Compare(a.Node, b.Node) })
	return out, nil
}
