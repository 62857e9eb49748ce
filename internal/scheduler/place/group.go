package place

import (
	"encoding/binary"
	"slices"
)

// group is rows that the rules of a class cannot tell apart. Its rows stand by what they have left, the best first.
type group struct {
	key        string
	kind       int32
	late       uint16  // what a filter after those about domains says of the rows; 0: nothing
	domains    []int32 // by topology of the class; none too where groups go by rows
	values     []int64 // by rule of the class: the rows' own counts, where groups go by rows
	extras     []int64 // raw scores of rules from outside
	extraParts []int64 // the same normalised and weighed
	rows       int
	place      int // in class.live, where the order means nothing

	scores  []int32   // falling
	buckets [][]int32 // rows by score, rising

	// Of the decision at hand.
	verdict *Status
	weight  int // rows that are ranked
	ranked
}

// ranked is what the scores about groups come to.
type ranked struct {
	attraction int64 // raw
	spread     int64 // raw
	ignored    bool  // by spreading
	parts      [partCount]int64
	sum        int64
}

// The scores about groups, normalised and weighed.
const (
	partTaints = iota
	partAffinity
	partSpread
	partPods
	partImages
	partCount
)

// catchUp looks at the rows that changed since the class was last used, or at all of them.
func (c *class) catchUp() {
	rows, ok := c.t.log.since(c.at)
	switch {
	case !c.built || !ok || len(rows) > len(c.t.nodes):
		c.rebuild()
	default:
		c.grow()
		for _, row := range rows {
			c.refresh(row)
		}
	}
	c.at, c.built = c.t.log.end(), true
	c.t.seen = max(c.t.seen, c.at)
}

// grow makes room for rows that are new to the table.
func (c *class) grow() {
	n := len(c.t.nodes)
	old := len(c.version)
	c.version, c.kind, c.verdict = extend(c.version, n), extend(c.kind, n), extend(c.verdict, n)
	c.group, c.local = extend(c.group, n), extend(c.local, n)
	for _, r := range c.rules {
		r.at, r.adds = extend(r.at, n), extend(r.adds, n)
	}
	for i := old; i < n; i++ {
		c.kind[i], c.verdict[i] = none, absent
		for _, r := range c.rules {
			r.at[i] = none
		}
	}
}

func (c *class) rebuild() {
	n := len(c.t.nodes)
	for _, r := range c.rules {
		r.at, r.adds, r.sums, r.members = make([]int32, 0, n), make([]int32, 0, n), nil, nil
		r.domains, r.total, r.stale = 0, 0, true
		clear(r.hist)
	}
	c.version, c.kind, c.verdict = make([]uint32, 0, n), make([]int32, 0, n), make([]uint16, 0, n)
	c.group, c.local = make([]*group, 0, n), make([]int32, 0, n)
	clear(c.groups)
	c.live, c.last = nil, nil
	clear(c.counts)
	c.grow()
	for row := range n {
		c.refresh(int32(row))
	}
}

// refresh looks at a row again.
func (c *class) refresh(row int32) {
	if c.version[row] != c.t.version[row] {
		c.version[row] = c.t.version[row]
		c.kind[row] = c.kindOf(row)
	}
	for _, r := range c.rules {
		c.update(r, row)
	}
	v := c.judgeRow(row)
	if v != c.verdict[row] {
		c.recount(c.verdict[row], -1)
		c.recount(v, 1)
		c.verdict[row] = v
	}
	if v != 0 && (v == absent || c.verdicts[v].order < c.tm.policy.domains) {
		c.leave(row)
		return
	}
	c.enter(row, v)
}

func (c *class) recount(v uint16, by int32) {
	if v != absent {
		c.counts[v] += by
	}
}

// judgeRow asks the filters about rows, in their order.
func (c *class) judgeRow(row int32) uint16 {
	if c.kind[row] < 0 {
		return absent
	}
	static := c.kinds[c.kind[row]].verdict
	for i := range c.dynamic {
		if static != 0 && c.dynamic[i].order > c.verdicts[static].order {
			break
		}
		if v := c.dynamic[i].ask(row); v != 0 {
			return v
		}
	}
	return static
}

// enter puts a row where it belongs.
func (c *class) enter(row int32, late uint16) {
	key := c.groupKey(row, late)
	g := c.group[row]
	local := int32(c.localScore(row))
	if g != nil && g.key == string(key) {
		if c.local[row] == local {
			return
		}
		g.remove(row, c.local[row])
	} else {
		c.leave(row)
		g = c.groupOf(row, late, key)
		c.group[row] = g
	}
	c.local[row] = local
	g.insert(row, local)
}

// groupOf finds or makes a group. Rows that are looked at one after the other are often alike.
func (c *class) groupOf(row int32, late uint16, key []byte) *group {
	if c.last != nil && c.last.rows > 0 && c.last.key == string(key) {
		return c.last
	}
	g := c.groups[string(key)]
	if g == nil {
		g = c.newGroup(row, late, string(key))
	}
	c.last = g
	return g
}

// leave takes a row out of its group; a group without rows is forgotten.
func (c *class) leave(row int32) {
	g := c.group[row]
	if g == nil {
		return
	}
	c.group[row] = nil
	g.remove(row, c.local[row])
	if g.rows == 0 {
		delete(c.groups, g.key)
		last := len(c.live) - 1
		c.live[g.place] = c.live[last]
		c.live[g.place].place = g.place
		c.live[last] = nil
		c.live = c.live[:last]
	}
}

func (c *class) groupKey(row int32, late uint16) []byte {
	b := binary.AppendUvarint(c.buf[:0], uint64(c.kind[row]))
	b = binary.AppendUvarint(b, uint64(late))
	for _, tp := range c.topologies {
		if !tp.rows {
			b = binary.AppendVarint(b, int64(tp.domains[row]))
		}
	}
	for _, r := range c.rules {
		if r.perRow {
			b = binary.AppendVarint(b, c.facet(r, row))
		}
	}
	for _, e := range c.extras {
		b = binary.AppendVarint(b, e.score(Site{Node: c.t.nodes[row], row: row, t: c.t}))
	}
	c.buf = b
	return b
}

func (c *class) newGroup(row int32, late uint16, key string) *group {
	g := &group{key: key, kind: c.kind[row], late: late}
	for _, tp := range c.topologies {
		d := none
		if !tp.rows {
			d = tp.domains[row]
		}
		g.domains = append(g.domains, d)
	}
	for _, r := range c.rules {
		var v int64
		if r.perRow {
			v = c.facet(r, row)
		}
		g.values = append(g.values, v)
	}
	for _, e := range c.extras {
		g.extras = append(g.extras, e.score(Site{Node: c.t.nodes[row], row: row, t: c.t}))
	}
	g.extraParts = make([]int64, len(g.extras))
	c.groups[key] = g
	g.place = len(c.live)
	c.live = append(c.live, g)
	return g
}

// bucket finds the place of a score.
func (g *group) bucket(score int32) (int, bool) {
	return slices.BinarySearchFunc(g.scores, score, func(a, b int32) int { return int(b - a) })
}

func (g *group) insert(row, score int32) {
	i, ok := g.bucket(score)
	if !ok {
		g.scores = slices.Insert(g.scores, i, score)
		g.buckets = slices.Insert(g.buckets, i, nil)
	}
	b := g.buckets[i]
	if n := len(b); n == 0 || b[n-1] < row {
		g.buckets[i] = append(b, row)
	} else {
		at, _ := slices.BinarySearch(b, row)
		g.buckets[i] = slices.Insert(b, at, row)
	}
	g.rows++
}

func (g *group) remove(row, score int32) {
	i, _ := g.bucket(score)
	at, _ := slices.BinarySearch(g.buckets[i], row)
	if g.buckets[i] = slices.Delete(g.buckets[i], at, at+1); len(g.buckets[i]) == 0 {
		g.scores, g.buckets = slices.Delete(g.scores, i, i+1), slices.Delete(g.buckets, i, i+1)
	}
	g.rows--
}
