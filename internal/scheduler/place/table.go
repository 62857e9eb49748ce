package place

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	ndf "k8s.io/component-helpers/nodedeclaredfeatures"
)

// Table is the nodes, the pods on them and what rules ask about besides. It belongs to one goroutine.
type Table struct {
	byName map[string]int32
	free   []int32 // rows to be used again
	known  int     // rows with a node

	// Columns, by row.
	names    []string
	nodes    []*corev1.Node   // what rules read of a node: name, labels, taints, unschedulable; nil: not known
	features []ndf.FeatureSet // declared by the node
	version  []uint32         // moves with what of a node classes keep
	room     []int64          // how many pods the node takes
	pods     [][]int32        // the pods on it, by number
	ports    map[int32][]hostPort
	resources
	scored [2][]int64 // cpu and memory requested, with defaults for what is missing
	images imageStore

	uids   map[types.UID]int32
	placed []placed // by number; the free ones have no shape
	unused []int32

	shapes     map[string]map[string]*shape // by namespace, then key
	carried    map[string]*carried
	byPair     map[pair][]*carried // under a label that the pods it covers have
	carriedIDs uint64
	faded      int // terms that no pod carries any more
	tallies    map[string]*tally
	topologies map[string]*topology
	nominated  nominations

	namespaces map[string]labels.Set
	nsVersion  uint64
	services   map[string]map[string]labels.Set // by namespace and name: the selector
	owners     map[Owner]labels.Selector

	log     changeLog
	scratch []byte // for keys
	classCache
}

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{
		byName: map[string]int32{}, ports: map[int32][]hostPort{}, resources: newResources(), images: imageStore{byName: map[string]*image{}},
		uids: map[types.UID]int32{}, shapes: map[string]map[string]*shape{}, carried: map[string]*carried{}, byPair: map[pair][]*carried{},
		tallies: map[string]*tally{}, topologies: map[string]*topology{}, nominated: newNominations(),
		namespaces: map[string]labels.Set{}, services: map[string]map[string]labels.Set{}, owners: map[Owner]labels.Selector{},
		classCache: newClassCache(),
	}
}

// changeLog is the rows that changed, in order. Entry i of all time is kept while i >= first.
type changeLog struct {
	rows  []int32
	first uint64
}

func (l *changeLog) end() uint64 { return l.first + uint64(len(l.rows)) }

// since returns the rows that changed from position at; false when some are forgotten.
func (l *changeLog) since(at uint64) ([]int32, bool) {
	if at < l.first {
		return nil, false
	}
	return l.rows[at-l.first:], true
}

// touch says that something about row changed. A class that lags by more changes than there are rows had better look at
// all rows, so no more than that are kept (twice, so that forgetting is cheap).
func (t *Table) touch(row int32) {
	l := &t.log
	if n := len(l.rows); n > 0 && l.rows[n-1] == row && l.end() > t.seen {
		return
	}
	if most := max(len(t.nodes), 1024); len(l.rows) >= 2*most {
		l.first += uint64(most)
		l.rows = append(l.rows[:0], l.rows[most:]...)
	}
	l.rows = append(l.rows, row)
}

// row finds or makes the row of a name.
func (t *Table) row(name string) int32 {
	if row, ok := t.byName[name]; ok {
		return row
	}
	var row int32
	if n := len(t.free); n > 0 {
		row, t.free = t.free[n-1], t.free[:n-1]
	} else {
		row = int32(len(t.nodes))
		t.grow()
	}
	t.byName[name], t.names[row] = row, name
	return row
}

func (t *Table) grow() {
	n := len(t.nodes) + 1
	t.names = append(t.names, "")
	t.nodes, t.features, t.version = append(t.nodes, nil), append(t.features, ndf.FeatureSet{}), append(t.version, 1)
	t.room, t.pods = append(t.room, 0), append(t.pods, nil)
	t.resources.grow(n)
	t.scored[cpu], t.scored[memory] = extend(t.scored[cpu], n), extend(t.scored[memory], n)
	t.images.rows = append(t.images.rows, nil)
	for _, tl := range t.tallies {
		tl.counts = extend(tl.counts, n)
	}
	for _, tp := range t.topologies {
		tp.domains = append(tp.domains, none)
	}
}

// release frees a row that neither a node nor a pod needs.
func (t *Table) release(row int32) {
	if t.nodes[row] == nil && len(t.pods[row]) == 0 {
		delete(t.byName, t.names[row])
		t.pods[row] = nil
		t.free = append(t.free, row)
	}
}

// SetNode adds or replaces a node and reports whether anything changed that a rule reads: heartbeats do not. node is not
// kept; its label map is, and must not be changed.
func (t *Table) SetNode(node *corev1.Node) bool {
	row := t.row(node.Name)
	old := t.nodes[row]
	features := ndf.DefaultFramework.TryMap(node.Status.DeclaredFeatures)
	static := old == nil || old.Spec.Unschedulable != node.Spec.Unschedulable || !maps.Equal(old.Labels, node.Labels) ||
		!slices.EqualFunc(old.Spec.Taints, node.Spec.Taints, sameTaint) || !features.Equal(t.features[row])
	if static {
		slim := &corev1.Node{}
		slim.Name, slim.Labels = node.Name, node.Labels
		slim.Spec.Unschedulable, slim.Spec.Taints = node.Spec.Unschedulable, slices.Clone(node.Spec.Taints)
		t.nodes[row], t.features[row] = slim, features
		for _, tp := range t.topologies {
			tp.set(row, slim.Labels)
		}
	}
	if old == nil {
		t.known++
	}
	if t.images.set(row, node.Status.Images) || static {
		t.version[row]++
		static = true
	}
	if !t.setAllocatable(row, node.Status.Allocatable) && !static {
		return false
	}
	t.touch(row)
	return true
}

// sameTaint compares all but the time.
func sameTaint(a, b corev1.Taint) bool {
	return a.Key == b.Key && a.Value == b.Value && a.Effect == b.Effect
}

func (t *Table) setAllocatable(row int32, list corev1.ResourceList) (changed bool) {
	amounts, i := t.amounts(list), 0
	for id := range t.columns {
		var value int64
		if i < len(amounts) && amounts[i].resource == id {
			value = amounts[i].value
			i++
		}
		if c := &t.columns[id]; c.allocatable[row] != value {
			c.allocatable[row], changed = value, true
		}
	}
	room := list[corev1.ResourcePods]
	if t.room[row] != room.Value() {
		t.room[row], changed = room.Value(), true
	}
	return changed
}

// RemoveNode forgets a node; the pods on it stay until they go themselves. False when it was not known.
func (t *Table) RemoveNode(name string) bool {
	row, ok := t.byName[name]
	if !ok || t.nodes[row] == nil {
		return false
	}
	t.nodes[row], t.features[row] = nil, ndf.FeatureSet{}
	t.known--
	t.version[row]++
	t.setAllocatable(row, nil)
	t.images.set(row, nil)
	for _, tp := range t.topologies {
		tp.set(row, nil)
	}
	t.touch(row)
	t.release(row)
	return true
}

// Nodes is how many nodes the table knows.
func (t *Table) Nodes() int { return t.known }

// Pods is how many pods are on nodes, known or not.
func (t *Table) Pods() int { return len(t.uids) }

// SetNamespace tells the labels of a namespace, for namespace selectors. The map is kept and must not be changed.
func (t *Table) SetNamespace(name string, set map[string]string) {
	if old, ok := t.namespaces[name]; !ok || !maps.Equal(old, set) {
		t.namespaces[name] = set
		t.namespacesChanged()
	}
}

// RemoveNamespace forgets a namespace.
func (t *Table) RemoveNamespace(name string) {
	if _, ok := t.namespaces[name]; ok {
		delete(t.namespaces, name)
		t.namespacesChanged()
	}
}

// namespacesChanged drops what was counted by the labels of namespaces. They hardly ever change.
func (t *Table) namespacesChanged() {
	t.nsVersion++
	t.dropChoosy()
}

// OwnerKind is a kind whose selector makes part of a pod's default spreading.
type OwnerKind string

// The owners that upstream asks.
const (
	ReplicationController OwnerKind = "ReplicationController"
	ReplicaSet            OwnerKind = "ReplicaSet"
	StatefulSet           OwnerKind = "StatefulSet"
)

// Owner names a controller of pods.
type Owner struct {
	Kind            OwnerKind
	Namespace, Name string
}

// SetOwner tells the selector of a controller; nil forgets it.
func (t *Table) SetOwner(o Owner, selector labels.Selector) {
	if selector == nil {
		delete(t.owners, o)
		return
	}
	t.owners[o] = selector
}

// SetService tells the selector of a service; nil (a service without, or none at all) forgets it. The map is kept.
func (t *Table) SetService(namespace, name string, selector map[string]string) {
	of := t.services[namespace]
	if selector == nil {
		if delete(of, name); len(of) == 0 {
			delete(t.services, namespace)
		}
		return
	}
	if of == nil {
		of = map[string]labels.Set{}
		t.services[namespace] = of
	}
	of[name] = selector
}
