package scheduler

import (
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
	schedulinghelpers "k8s.io/component-helpers/scheduling/corev1"
)

func milli(n int64) *apiresource.Quantity {
	return apiresource.NewMilliQuantity(n, apiresource.DecimalSI)
}
func units(n int64) *apiresource.Quantity { return apiresource.NewQuantity(n, apiresource.BinarySI) }

// Table is the nodes and the pods on them, changed in place. Pods on nodes that are not known wait in it. Not
// safe for concurrent use.
type Table struct {
	nodes  []*Node // with a Node object, sorted by name
	byName map[string]*Node
	placed map[types.UID]placement
}

type placement struct {
	node     string
	ask      Ask
	priority int32
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{byName: map[string]*Node{}, placed: map[types.UID]placement{}}
}

// Snapshot shares the rows: it is good until the table changes.
func (t *Table) Snapshot() Snapshot { return Snapshot{t.nodes} }

func (t *Table) row(name string) *Node {
	n := t.byName[name]
	if n == nil {
		n = &Node{Requested: Amounts{}, Scored: Amounts{}, ports: map[Port]int{}, Lowest: math.MaxInt32}
		t.byName[name] = n
	}
	return n
}

// SetNode adds or replaces a node.
func (t *Table) SetNode(node *corev1.Node) {
	n := t.row(node.Name)
	if n.Node == nil {
		i, _ := slices.BinarySearchFunc(t.nodes, node.Name, byName)
		t.nodes = slices.Insert(t.nodes, i, n)
	}
	n.Node, n.Allocatable = node, amounts(node.Status.Allocatable)
}

func byName(n *Node, name string) int { return strings.Compare(n.Node.Name, name) }

// RemoveNode takes a node out of the snapshots; what its pods ask for is kept until they go.
func (t *Table) RemoveNode(name string) {
	n := t.byName[name]
	if n == nil || n.Node == nil {
		return
	}
	if i, ok := slices.BinarySearchFunc(t.nodes, name, byName); ok {
		t.nodes = slices.Delete(slices.Clone(t.nodes), i, i+1)
	}
	n.Node, n.Allocatable = nil, nil
	if n.Pods == 0 {
		delete(t.byName, name)
	}
}

// Place counts pod on node, instead of where it was before.
func (t *Table) Place(pod *corev1.Pod, node string) {
	t.Remove(pod.UID)
	p := placement{node, NewAsk(pod), schedulinghelpers.PodPriority(pod)}
	t.placed[pod.UID] = p
	n := t.row(node)
	n.Pods++
	n.Lowest = min(n.Lowest, p.priority)
	n.add(p.ask, 1)
}

// Remove forgets a pod; false when it was not placed.
func (t *Table) Remove(uid types.UID) bool {
	p, ok := t.placed[uid]
	if !ok {
		return false
	}
	delete(t.placed, uid)
	n := t.byName[p.node]
	n.Pods--
	n.add(p.ask, -1)
	if n.Pods == 0 {
		n.Lowest = math.MaxInt32 // otherwise a bound that may be too low: it serves a message only
	}
	if n.Pods == 0 && n.Node == nil {
		delete(t.byName, p.node)
	}
	return true
}

func (n *Node) add(ask Ask, sign int64) {
	for name, v := range ask.Requests {
		n.Requested[name] += sign * v
	}
	for name, v := range ask.Scored {
		n.Scored[name] += sign * v
	}
	for _, p := range ask.Ports {
		if n.ports[p] += int(sign); n.ports[p] == 0 {
			delete(n.ports, p)
		}
	}
}
