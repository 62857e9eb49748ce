// Package why says why a pod has the node that it has, or none, and what change would help: the answer of `floe why`.
//
// # Vocabulary
//
// A report is about one pod. A group is the nodes that one plug-in refused for the same reasons, or where the same taint stands in the way.
// What a group lacks is the least that any of its nodes would need more.
//
// # Laws
//
//   - A report is as things stand when it is asked for. For a pod that has a node the pod itself is thought away, so it tells what would be chosen
//     now, which need not be what was best when it was bound.
//   - Reasons are kube-scheduler's; Help is floe's.
package why

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	resourcehelper "k8s.io/component-helpers/resource"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/klog/v2"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// Report is about one pod.
type Report struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	Node      string `json:"node,omitempty"`    // where it is; "": nowhere
	State     string `json:"state"`             // in words
	Message   string `json:"message,omitempty"` // the scheduler's, as the pod's condition has it; "" when nodes would do
	Attempts  int    `json:"attempts,omitempty"`
	// Good are the nodes that would do, the best first, at most goodMost of them; Feasible is how many there are.
	Good     []Good  `json:"good,omitempty"`
	Feasible int     `json:"feasible"`
	Refused  []Group `json:"refused,omitempty"` // the largest first
}

// goodMost bounds Report.Good.
const goodMost = 5

// Good is a node that would do.
type Good struct {
	Node   string  `json:"node"`
	Total  int64   `json:"total"`
	Scores []Score `json:"scores"` // by plug-in, weighed
}

// Score is what a plug-in gives a node.
type Score struct {
	Plugin string `json:"plugin"`
	Score  int64  `json:"score"`
}

// Group is nodes that are refused alike.
type Group struct {
	Plugin  string   `json:"plugin"`
	Reasons []string `json:"reasons"`
	Help    string   `json:"help,omitempty"`
	Nodes   []string `json:"nodes"` // sorted
	lacks   map[corev1.ResourceName]lack
}

// lack is the least of a resource that would have to be added, and where.
type lack struct {
	amount int64
	node   string
}

// Facts are what a report goes by beside the explanation.
type Facts struct {
	Pod     *corev1.Pod
	Node    func(name string) *corev1.Node           // nil: it is gone
	Room    map[string]map[corev1.ResourceName]int64 // what nodes that lack resources have left, as place.Table.Room has it
	Explain place.Explanation
}

// New makes a report.
func New(f Facts) Report {
	r := Report{Namespace: f.Pod.Namespace, Pod: f.Pod.Name, Node: f.Pod.Spec.NodeName, Feasible: f.Explain.Feasible}
	if f.Explain.Failure != nil {
		r.Message = f.Explain.Failure.Message("")
	}
	groups := map[string]*Group{}
	for _, v := range f.Explain.Nodes {
		if v.Status == nil {
			good := Good{Node: v.Node, Total: v.Total}
			for _, s := range v.Scores {
				good.Scores = append(good.Scores, Score(s))
			}
			r.Good = append(r.Good, good)
			continue
		}
		help := f.help(v)
		key := strings.Join(append([]string{v.Status.Plugin, help}, v.Status.Reasons...), "\x00")
		g := groups[key]
		if g == nil {
			g = &Group{Plugin: v.Status.Plugin, Reasons: v.Status.Reasons, Help: help, lacks: map[corev1.ResourceName]lack{}}
			groups[key] = g
		}
		g.Nodes = append(g.Nodes, v.Node)
		f.lack(g, v.Node)
	}
	for _, g := range groups {
		if len(g.lacks) > 0 {
			g.Help = g.more()
		}
		r.Refused = append(r.Refused, *g)
	}
	slices.SortFunc(r.Refused, func(a, b Group) int {
		return cmp.Or(cmp.Compare(len(b.Nodes), len(a.Nodes)), cmp.Compare(a.Plugin, b.Plugin), slices.Compare(a.Nodes, b.Nodes))
	})
	slices.SortStableFunc(r.Good, func(a, b Good) int { return cmp.Compare(b.Total, a.Total) })
	r.Good = r.Good[:min(len(r.Good), goodMost)]
	return r
}

// lack adds what a node would need more to what its group lacks.
func (f *Facts) lack(g *Group, node string) {
	room := f.Room[node]
	if g.Plugin != place.NodeResourcesFit || room == nil {
		return
	}
	wants := map[corev1.ResourceName]int64{corev1.ResourcePods: 1}
	for name, q := range resourcehelper.PodRequests(f.Pod, resourcehelper.PodResourcesOptions{UseStatusResources: true}) {
		if wants[name] = q.Value(); name == corev1.ResourceCPU {
			wants[name] = q.MilliValue()
		}
	}
	for name, want := range wants {
		missing := want - room[name]
		if want == 0 || missing <= 0 {
			continue
		}
		if l, ok := g.lacks[name]; !ok || missing < l.amount {
			g.lacks[name] = lack{missing, node}
		}
	}
}

// more says what would have to be added.
func (g *Group) more() string {
	var parts []string
	for name, l := range g.lacks {
		amount := resource.NewQuantity(l.amount, resource.BinarySI)
		switch name {
		case corev1.ResourceCPU:
			amount = resource.NewMilliQuantity(l.amount, resource.DecimalSI)
		case corev1.ResourcePods:
			amount = resource.NewQuantity(l.amount, resource.DecimalSI)
		}
		where := ""
		if len(g.Nodes) > 1 {
			where = " on " + l.node
		}
		parts = append(parts, fmt.Sprintf("%s: %s more would do%s", name, amount, where))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

// help says what change would help a node to take the pod.
func (f *Facts) help(v place.Verdict) string {
	switch v.Status.Plugin {
	case place.NodeUnschedulable:
		return "uncordon the node, or tolerate node.kubernetes.io/unschedulable"
	case place.NodeName:
		return "the pod asks for the node " + f.Pod.Spec.NodeName
	case place.TaintToleration:
		return f.taint(v.Node)
	case place.NodeAffinity:
		return "label the node as the pod's nodeSelector and node affinity want it, or ask for less"
	case place.NodePorts:
		return "another pod on the node has a host port that this one asks for"
	case place.PodTopologySpread:
		return "more pods that match in other domains, or a larger maxSkew; or the label of the topologyKey, if the node lacks it"
	case place.InterPodAffinity:
		return "pods that the pod wants near must come, or those that keep it away must go"
	case place.NodeDeclaredFeatures:
		return "a kubelet that declares the features which the pod needs"
	case place.NodeResourcesFit:
		return "" // what is lacking says it
	}
	return ""
}

func (f *Facts) taint(name string) string {
	node := f.Node(name)
	if node == nil {
		return ""
	}
	t, found := schedulinghelpers.FindMatchingUntoleratedTaint(klog.Background(), node.Spec.Taints, f.Pod.Spec.Tolerations, func(t *corev1.Taint) bool {
		return t.Effect != corev1.TaintEffectPreferNoSchedule
	}, true)
	if !found {
		return ""
	}
	return "tolerate or remove the taint " + t.ToString()
}

// Write writes a report for people.
func Write(w io.Writer, r Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "pod %s/%s %s", r.Namespace, r.Pod, r.State)
	if r.Attempts > 0 {
		fmt.Fprintf(&b, " (tries: %d)", r.Attempts)
	}
	b.WriteByte('\n')
	if r.Message != "" {
		fmt.Fprintf(&b, "%s\n", r.Message)
	}
	if r.Feasible > 0 {
		fmt.Fprintf(&b, "%d nodes would do now; the best:\n", r.Feasible)
	}
	for _, g := range r.Good {
		var parts []string
		for _, s := range g.Scores {
			parts = append(parts, fmt.Sprintf("%s %d", s.Plugin, s.Score))
		}
		fmt.Fprintf(&b, "  %s: %d (%s)\n", g.Node, g.Total, strings.Join(parts, ", "))
	}
	for _, g := range r.Refused {
		fmt.Fprintf(&b, "%s: %s", nodes(g.Nodes), strings.Join(g.Reasons, ", "))
		if g.Plugin != "" {
			fmt.Fprintf(&b, " [%s]", g.Plugin)
		}
		if g.Help != "" {
			fmt.Fprintf(&b, ": %s", g.Help)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// nodesMost is how many nodes of a group are named.
const nodesMost = 8

func nodes(names []string) string {
	if len(names) == 1 {
		return "node " + names[0]
	}
	if more := len(names) - nodesMost; more > 0 {
		return fmt.Sprintf("nodes %s and %d more", strings.Join(names[:nodesMost], ", "), more)
	}
	return "nodes " + strings.Join(names, ", ")
}

// Read reads a report as Path answers it.
func Read(r io.Reader) (Report, error) {
	var out Report
	if err := json.NewDecoder(r).Decode(&out); err != nil {
		return out, fmt.Errorf("read the answer: %w", err)
	}
	return out, nil
}
