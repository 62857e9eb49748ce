// Package scheduler chooses a node for every pod that has none.
//
// # Vocabulary
//
// A snapshot is the nodes and what is asked of each. A filter rejects nodes with a reason; a score ranks the rest from
// 0 to 100. A pod is parked when no node fits, until something changes that may help.
//
// # Laws
//
//   - Decide is pure: the same snapshot, pod and seed give the same plan.
//   - No node is given more than it has: a binding counts from the moment it is planned until the API refuses it.
//   - A pod whose rules this release does not know is never placed; its condition names what is missing.
//   - One goroutine owns table and queue; streams send to it.
//
// # What it leaves to others
//
// Admission at the node belongs to node; preemption and the rules listed in missing come with later releases.
package scheduler

import (
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/klog/v2"
)

// Amounts are quantities by resource: millicores of cpu, units (bytes) of all else.
type Amounts map[corev1.ResourceName]int64

// What a container that names no request counts as in scores: upstream's values.
const (
	scoreCPU    = 100       // millicores
	scoreMemory = 200 << 20 // bytes
)

// Port is a host port in use. IP "" stands for all addresses.
type Port struct {
	IP       string
	Protocol corev1.Protocol
	Number   int32
}

// Node is one row of the table. Nothing but the table changes it.
type Node struct {
	Node        *corev1.Node
	Allocatable Amounts
	Requested   Amounts // sum over its pods
	Scored      Amounts // the same with defaults for missing requests
	Pods        int64
	Lowest      int32 // priority of the least important pod; MaxInt32 without pods
	ports       map[Port]int
}

// Snapshot is the nodes, sorted by name.
type Snapshot struct{ Nodes []*Node }

// Plan is a decision: a node, or why there is none.
type Plan struct {
	Node    string            // "" when no node fits
	Reasons map[string]string // by node: why not
	Message string            // of the event FailedScheduling when Node is ""
}

// Ask is what a pod needs, computed once.
type Ask struct {
	Requests, Scored Amounts
	Ports            []Port
}

// NewAsk computes what pod asks for, init containers and overhead included.
func NewAsk(pod *corev1.Pod) Ask {
	ask := Ask{
		Requests: amounts(resource.PodRequests(pod, resource.PodResourcesOptions{})),
		Scored: amounts(resource.PodRequests(pod, resource.PodResourcesOptions{NonMissingContainerRequests: corev1.ResourceList{
			corev1.ResourceCPU: *milli(scoreCPU), corev1.ResourceMemory: *units(scoreMemory)}})),
	}
	for _, c := range slices.Concat(pod.Spec.Containers, restartable(pod.Spec.InitContainers)) {
		for _, p := range c.Ports {
			if p.HostPort > 0 {
				port := Port{IP: p.HostIP, Protocol: p.Protocol, Number: p.HostPort}
				if port.IP == "0.0.0.0" {
					port.IP = ""
				}
				if port.Protocol == "" {
					port.Protocol = corev1.ProtocolTCP
				}
				ask.Ports = append(ask.Ports, port)
			}
		}
	}
	return ask
}

func restartable(containers []corev1.Container) []corev1.Container {
	return slices.DeleteFunc(slices.Clone(containers), func(c corev1.Container) bool {
		return c.RestartPolicy == nil || *c.RestartPolicy != corev1.ContainerRestartPolicyAlways
	})
}

func amounts(list corev1.ResourceList) Amounts {
	a := Amounts{}
	for name, q := range list {
		if name == corev1.ResourceCPU {
			a[name] = q.MilliValue()
		} else {
			a[name] = q.Value()
		}
	}
	return a
}

// verdict is what a filter says of a node: reasons, and whether taking pods away could never help.
type verdict struct {
	reasons  []string
	hopeless bool
}

// Decide is the core. rng breaks ties only.
func Decide(snap Snapshot, pod *corev1.Pod, rng *rand.Rand) Plan {
	ask := NewAsk(pod)
	if lacks := missing(pod); len(lacks) > 0 {
		return Plan{Message: "this release of floe cannot honour " + strings.Join(lacks, ", ")}
	}
	if len(snap.Nodes) == 0 {
		return Plan{Message: "no nodes available to schedule pods"}
	}
	r := newRules(pod, ask)
	var best []*Node
	var top int64 = math.MinInt64
	failed := map[string]verdict{}
	for _, n := range snap.Nodes {
		if v := r.filter(n); v != nil {
			failed[n.Node.Name] = *v
			continue
		}
		switch s := r.score(n); {
		case s > top:
			top, best = s, append(best[:0], n)
		case s == top:
			best = append(best, n)
		}
	}
	if len(best) > 0 {
		return Plan{Node: best[rng.Intn(len(best))].Node.Name}
	}
	return refuse(snap, pod, failed)
}

// missing names the rules of pod that this release lacks.
func missing(pod *corev1.Pod) []string {
	var lacks []string
	if a := pod.Spec.Affinity; a != nil {
		if a.PodAffinity != nil {
			lacks = append(lacks, "spec.affinity.podAffinity")
		}
		if a.PodAntiAffinity != nil {
			lacks = append(lacks, "spec.affinity.podAntiAffinity")
		}
	}
	for _, c := range pod.Spec.TopologySpreadConstraints {
		if c.WhenUnsatisfiable == corev1.DoNotSchedule {
			lacks = append(lacks, "spec.topologySpreadConstraints with DoNotSchedule")
			break
		}
	}
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil || v.Ephemeral != nil {
			lacks = append(lacks, fmt.Sprintf("the volume claim of volume %q", v.Name))
		}
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		lacks = append(lacks, "spec.resourceClaims")
	}
	return lacks
}

// refuse makes the plan and upstream's message of a pod that fits nowhere.
func refuse(snap Snapshot, pod *corev1.Pod, failed map[string]verdict) Plan {
	plan := Plan{Reasons: map[string]string{}}
	counts, preempt := map[string]int{}, map[string]int{}
	for _, n := range snap.Nodes {
		v := failed[n.Node.Name]
		plan.Reasons[n.Node.Name] = strings.Join(v.reasons, ", ")
		for _, reason := range v.reasons {
			counts[reason]++
		}
		switch {
		case v.hopeless:
			preempt["Preemption is not helpful for scheduling"]++
		case n.Lowest < schedulinghelpers.PodPriority(pod):
			preempt["Preemption is missing in this release"]++
		default:
			preempt["No preemption victims found for incoming pod"]++
		}
	}
	head := fmt.Sprintf("0/%d nodes are available: ", len(snap.Nodes))
	plan.Message = head + histogram(counts) + ". no new claims to deallocate, preemption: "
	if p := pod.Spec.PreemptionPolicy; p != nil && *p == corev1.PreemptNever {
		plan.Message += "not eligible due to preemptionPolicy=Never."
	} else {
		plan.Message += head + histogram(preempt) + "."
	}
	return plan
}

func histogram(counts map[string]int) string {
	var parts []string
	for _, reason := range slices.Collect(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[reason], reason))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// rules are one pod's filters and scores, parsed once for all nodes.
type rules struct {
	pod       *corev1.Pod
	ask       Ask
	required  nodeaffinity.RequiredNodeAffinity
	preferred *nodeaffinity.PreferredSchedulingTerms // nil: none
}

func newRules(pod *corev1.Pod, ask Ask) rules {
	r := rules{pod: pod, ask: ask, required: nodeaffinity.GetRequiredNodeAffinity(pod)}
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil {
		if terms, err := nodeaffinity.NewPreferredSchedulingTerms(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution); err == nil {
			r.preferred = terms
		} // a term that validation should have refused prefers nothing
	}
	return r
}

// filter returns nil when the pod may run on n; the first filter that says no is heard.
func (r rules) filter(n *Node) *verdict {
	no := func(reason string) *verdict { return &verdict{[]string{reason}, true} }
	if n.Node.Spec.Unschedulable {
		taint := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
		if !schedulinghelpers.TolerationsTolerateTaint(klog.Logger{}, r.pod.Spec.Tolerations, &taint, false) {
			return no("node(s) were unschedulable")
		}
	}
	if r.pod.Spec.NodeName != "" && r.pod.Spec.NodeName != n.Node.Name {
		return no("node(s) didn't match the requested node name")
	}
	hard := func(t *corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoSchedule || t.Effect == corev1.TaintEffectNoExecute
	}
	if _, bad := schedulinghelpers.FindMatchingUntoleratedTaint(klog.Logger{}, n.Node.Spec.Taints, r.pod.Spec.Tolerations, hard, false); bad {
		return no("node(s) had untolerated taint(s)")
	}
	if ok, err := r.required.Match(n.Node); err != nil || !ok {
		return no("node(s) didn't match Pod's node affinity/selector")
	}
	for _, p := range r.ask.Ports {
		if n.taken(p) {
			return &verdict{reasons: []string{"node(s) didn't have free ports for the requested pod ports"}}
		}
	}
	return r.fit(n)
}

func (n *Node) taken(p Port) bool {
	for used := range n.ports {
		if used.Number == p.Number && used.Protocol == p.Protocol && (used.IP == p.IP || used.IP == "" || p.IP == "") {
			return true
		}
	}
	return false
}

// fit says no when a resource is short; hopeless when even the empty node is too small.
func (r rules) fit(n *Node) *verdict {
	var v verdict
	if n.Pods+1 > n.Allocatable[corev1.ResourcePods] {
		v.reasons = append(v.reasons, "Too many pods")
	}
	for _, name := range slices.Sorted(maps.Keys(r.ask.Requests)) {
		want := r.ask.Requests[name]
		if want > 0 && want > n.Allocatable[name]-n.Requested[name] {
			v.reasons = append(v.reasons, fmt.Sprintf("Insufficient %s", name))
			v.hopeless = v.hopeless || want > n.Allocatable[name]
		}
	}
	if v.reasons == nil {
		return nil
	}
	return &v
}

// score weighs, as upstream's defaults: free room 1, balance 1, preferred affinity 2, soft taints 3.
func (r rules) score(n *Node) int64 {
	var room, fractions, kinds = int64(0), [2]float64{}, int64(0)
	for i, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		have := n.Allocatable[name]
		if have == 0 {
			continue
		}
		kinds++
		used := min(n.Scored[name]+r.ask.Scored[name], have)
		room += (have - used) * 100 / have
		fractions[i] = min(1, float64(n.Requested[name]+r.ask.Requests[name])/float64(have))
	}
	total := int64((1 - math.Abs(fractions[0]-fractions[1])/2) * 100)
	if kinds > 0 {
		total += room / kinds
	}
	if r.preferred != nil {
		total += 2 * r.preferred.Score(n.Node)
	}
	for _, t := range n.Node.Spec.Taints {
		if t.Effect == corev1.TaintEffectPreferNoSchedule && !schedulinghelpers.TolerationsTolerateTaint(klog.Logger{}, r.pod.Spec.Tolerations, &t, false) {
			total -= 3 * 100
		}
	}
	return total
}
