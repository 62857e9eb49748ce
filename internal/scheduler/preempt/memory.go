package preempt

import (
	"github.com/floe-k8s/floe/internal/scheduler/place"
)

const (
	memoriesFew  = 4       // kept however large the table
	memoriesRows = 2 << 20 // rows of all memories together, beyond the few
)

// remembered names a kind of preemptor.
type remembered struct {
	kind     string
	priority int32
}

// memory is the outcomes of a kind of preemptor by row.
type memory struct {
	rows    []outcome
	at      uint64 // in the table's changes
	budgets uint64 // in the budgets' changes
	built   bool
	used    uint64
}

// recall brings the memory of the attempt's kind of preemptor up to date.
func (p *Preemptor) recall(a *attempt) *memory {
	key := remembered{a.trial.Kind(), a.priority}
	m := p.memories[key]
	if m == nil {
		p.forget()
		m = &memory{}
		p.memories[key] = m
	}
	p.clock++
	m.used = p.clock
	rows, next, ok := p.table.Changes(m.at)
	covered, nextBudgets, known := p.budgets.since(m.budgets)
	n := p.table.Rows()
	if !m.built || !ok || !known || len(rows) > n {
		m.rows = make([]outcome, n)
		for row := range m.rows {
			m.learn(a, place.Row(row))
		}
	} else {
		if more := n - len(m.rows); more > 0 {
			m.rows = append(m.rows, make([]outcome, more)...)
		}
		for _, row := range rows {
			m.learn(a, place.Row(row))
		}
		m.relearn(p.table, a, covered)
	}
	m.at, m.budgets, m.built = next, nextBudgets, true
	return m
}

// learn tries a row. One that refuses the pod by itself for good need not be tried, unless a rule about domains may be what
// refuses it first.
func (m *memory) learn(a *attempt, row place.Row) {
	m.rows[row] = outcome{}
	if a.table.NodeAt(row) == "" {
		return
	}
	if s := a.trial.RowRefusal(row); s == nil || s.Code == place.Unschedulable || a.trial.Domains() {
		m.rows[row] = a.try(row, true)
	}
}

// relearn tries the rows with pods that changed budgets spoke of.
func (m *memory) relearn(t *place.Table, a *attempt, covered []coverage) {
	seen := map[place.Row]bool{}
	for _, c := range covered {
		for row := range t.Holding(c.namespace, c.selector) {
			if !seen[row] {
				seen[row] = true
				m.learn(a, row)
			}
		}
	}
}

// forget makes room for one more memory: the least recently used go.
func (p *Preemptor) forget() {
	most := max(memoriesRows/(p.table.Rows()+1), memoriesFew)
	for len(p.memories) >= most {
		var oldest remembered
		for key, m := range p.memories {
			if o := p.memories[oldest]; o == nil || m.used < o.used {
				oldest = key
			}
		}
		delete(p.memories, oldest)
	}
}
