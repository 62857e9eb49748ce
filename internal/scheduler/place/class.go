package place

import (
	"encoding/binary"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/version"
)

const (
	classesFew   = 32      // kept however large the table
	classesMany  = 1024    // kept at most
	classesRows  = 8 << 20 // rows of all classes together, beyond the few
	templatesMax = 4096
)

// classCache is what decisions leave behind. It bounds itself; nothing in it is needed.
type classCache struct {
	templates   map[string]*template
	templateIDs uint64
	policies    map[*Policy]int
	classes     map[string]*class
	clock       uint64 // of uses
	seen        uint64 // the furthest that any class has read the change log
	made        uint64 // classes, ever
	features136 *version.Version
}

func newClassCache() classCache {
	return classCache{templates: map[string]*template{}, policies: map[*Policy]int{}, classes: map[string]*class{},
		features136: version.MajorMinor(1, 36)}
}

func (c *classCache) policyID(p *Policy) int {
	id, ok := c.policies[p]
	if !ok {
		id = len(c.policies) + 1
		c.policies[p] = id
	}
	return id
}

func (c *classCache) keepTemplate(key string, tm *template) {
	if len(c.templates) >= templatesMax {
		clear(c.templates)
	}
	c.templateIDs++
	tm.id = c.templateIDs
	c.templates[key] = tm
}

// Stats are for metrics.
type Stats struct {
	Nodes, Pods, Shapes, Terms, Topologies int
	Classes, Templates                     int
	ClassesMade                            uint64 // ever; more than a few a second with few kinds of pods means that the cache is too small
}

// Stats counts what the table holds.
func (t *Table) Stats() Stats {
	s := Stats{Nodes: t.known, Pods: len(t.uids), Terms: len(t.carried), Topologies: len(t.topologies), Classes: len(t.classes),
		Templates: len(t.templates), ClassesMade: t.made}
	for _, of := range t.shapes {
		s.Shapes += len(of)
	}
	return s
}

// absent is the verdict on a row without a node.
const absent = ^uint16(0)

// verdict is a status and when it is given.
type verdict struct {
	status *Status
	order  int // of its filter
}

// class is the answers for pods alike.
type class struct {
	t         *Table
	tm        *template
	key       string
	used      uint64
	at        uint64 // position in the change log
	built     bool   // otherwise at means nothing
	nsVersion uint64
	choosy    bool // depends on the labels of namespaces

	verdicts   []verdict // by code; code 0 is success
	fitCodes   map[uint64]uint16
	dynamic    []dynamic
	rules      []*rule
	topologies []classTopology
	spreads    bool // has rules of topology spread
	requireAll bool // nodes must have all labels of soft constraints to be ranked by them
	extras     []extra
	provided   []int // resources that rules find where a node has none

	fitWeight, balanceWeight int64 // of the scores that go by a row's own resources

	// By row.
	version []uint32
	kind    []int32
	verdict []uint16
	group   []*group
	local   []int32

	kinds   []kind
	kindIDs map[string]int32
	counts  []int32 // rows by verdict, of those that are in no group
	groups  map[string]*group
	live    []*group

	// Scratch.
	buf    []byte
	soft   []int     // soft constraints, in rules
	damp   []float64 // by soft constraint
	marked []uint64  // by domain: met when mark
	mark   uint64
	last   *group // that a row entered
	good   []*group
	best   [][]int32
}

// dynamic is a filter whose answer may change with the pods on a row.
type dynamic struct {
	order int
	ask   func(row int32) uint16
}

// extra is a rule from outside that ranks.
type extra struct {
	name  string
	score func(Site) int64
}

type classTopology struct {
	*topology
	rows bool // it was rowwise when the class was built
}

// classOf finds or makes the class of a prepared pod and brings it up to date.
func (t *Table) classOf(pod *corev1.Pod, pr *prepared) *class {
	w := writer{t.scratch[:0]}
	w.buf = binary.AppendUvarint(w.buf, pr.tm.id)
	if pr.spread != nil {
		w.str(pod.Namespace)
		w.str(selectorKey(pr.spread))
	}
	for _, self := range append(pr.selfHard, pr.selfAll) {
		w.buf = append(w.buf, b2i(self))
	}
	for _, c := range pr.carried {
		w.buf = binary.AppendUvarint(w.buf, c.id)
	}
	for i := range pr.rules {
		w.str(pr.rules[i].Key)
		for _, name := range pr.rules[i].Provides {
			w.str(string(name))
		}
		w.buf = append(w.buf, b2i(pr.rules[i].Filter != nil)<<1|b2i(pr.rules[i].Score != nil))
	}
	t.scratch = w.buf
	c := t.classes[string(w.buf)]
	if c != nil && c.stale() {
		t.dropClass(c)
		c = nil
	}
	if c == nil {
		c = t.newClass(pod, pr, string(w.buf))
		t.evict(c)
		t.classes[c.key] = c
	}
	t.clock++
	c.used = t.clock
	c.catchUp()
	return c
}

// stale says whether the class was built on what no longer holds.
func (c *class) stale() bool {
	if c.choosy && c.nsVersion != c.t.nsVersion {
		return true
	}
	for _, tp := range c.topologies {
		if tp.rows != tp.rowwise() {
			return true
		}
	}
	return false
}

// evict makes room for one more class: the least recently used goes.
func (t *Table) evict(next *class) {
	most := min(max(classesRows/(len(t.nodes)+1), classesFew), classesMany)
	for len(t.classes) >= most {
		var oldest *class
		for _, c := range t.classes {
			if oldest == nil || c.used < oldest.used {
				oldest = c
			}
		}
		t.dropClass(oldest)
	}
}

func (t *Table) dropClass(c *class) {
	delete(t.classes, c.key)
	for _, r := range c.rules {
		for _, tl := range r.tallies {
			t.dropTally(tl.tally)
		}
	}
	for _, tp := range c.topologies {
		t.dropTopology(tp.topology)
	}
}

// dropChoosy drops the classes and tallies that depend on the labels of namespaces.
func (t *Table) dropChoosy() {
	for _, c := range t.classes {
		if c.choosy {
			t.dropClass(c)
		}
	}
}

// newClass makes an empty class; catchUp fills it.
func (t *Table) newClass(pod *corev1.Pod, pr *prepared, key string) *class {
	t.made++
	c := &class{t: t, tm: pr.tm, key: key, nsVersion: t.nsVersion, fitCodes: map[uint64]uint16{},
		kindIDs: map[string]int32{}, groups: map[string]*group{}, verdicts: make([]verdict, 1), counts: make([]int32, 1),
		requireAll: pr.tm.spreads || !pr.tm.policy.SystemSpread}
	c.fitWeight, c.balanceWeight = pr.tm.policy.weights[NodeResourcesFit], pr.tm.policy.weights[BalancedAllocation]
	c.addSpread(pod, pr)
	c.spreads = len(c.rules) > 0
	c.addAffinity(pr)
	c.addDynamic(pr)
	return c
}

// code numbers a status given by the filter at order.
func (c *class) code(s *Status, order int) uint16 {
	c.verdicts, c.counts = append(c.verdicts, verdict{s, order}), append(c.counts, 0)
	return uint16(len(c.verdicts) - 1)
}

// addDynamic lists the filters that look at a row's pods, in the policy's order.
func (c *class) addDynamic(pr *prepared) {
	p := c.tm.policy
	if i, ok := p.order[NodePorts]; ok && len(c.tm.ports) > 0 {
		code := c.code(refuse(Unschedulable, NodePorts, reasonPorts), i)
		c.dynamic = append(c.dynamic, dynamic{i, func(row int32) uint16 {
			if clash(c.tm.ports, c.t.ports[row]) {
				return code
			}
			return 0
		}})
	}
	if i, ok := p.order[NodeResourcesFit]; ok {
		c.dynamic = append(c.dynamic, dynamic{i, func(row int32) uint16 { return c.fits(row, i) }})
	}
	for n, rp := range pr.rules {
		name := p.rules[n].Name()
		if i, ok := p.order[name]; ok && rp.Filter != nil {
			c.dynamic = append(c.dynamic, dynamic{i, func(row int32) uint16 { return c.ruled(name, i, rp.Filter, row) }})
		}
		for _, name := range rp.Provides {
			c.provided = append(c.provided, c.t.id(name))
		}
		if p.weights[name] != 0 && rp.Score != nil {
			c.extras = append(c.extras, extra{name, rp.Score})
		}
	}
	slices.SortFunc(c.dynamic, func(a, b dynamic) int { return a.order - b.order })
}

// toldMost is how many statuses of rules from outside a class tells apart. Beyond it a known one of the same code stands
// for the new.
const toldMost = 1 << 12

// ruled asks a rule from outside. Its statuses are numbered by what they say.
func (c *class) ruled(name string, order int, filter func(Site) *Status, row int32) uint16 {
	s := filter(Site{Node: c.t.nodes[row], row: row, t: c.t})
	if !s.Failed() {
		return 0
	}
	full := len(c.verdicts) > toldMost
	for i := 1; i < len(c.verdicts); i++ {
		v := c.verdicts[i]
		if v.order == order && v.status.Code == s.Code && (full || slices.Equal(v.status.Reasons, s.Reasons)) {
			return uint16(i)
		}
	}
	return c.code(refuse(s.Code, name, s.Reasons...), order)
}

// clash says whether a wanted port is taken.
func clash(wanted, taken []hostPort) bool {
	for _, w := range wanted {
		for _, p := range taken {
			if w.clash(p) {
				return true
			}
		}
	}
	return false
}
