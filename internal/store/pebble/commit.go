package pebble

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floe-k8s/floe/internal/store"
)

// groupBytes bounds one group, so that a batch stays far below the memtable and a lone small write does not wait
// behind a heap of large ones.
const groupBytes = 1 << 20

// group is what shares one sync: transactions, and refusals that rest on records before it.
type group struct {
	batch   *pebble.Batch // nil: nothing to write, only answers that wait for their turn
	txns    [][]store.Record
	entries []entry        // of all records, in order
	last    store.Revision // the newest record in it, or before it
	kept    kept           // what it adds to what is kept
	answers []pending
}

// entry is what one record puts on disk.
type entry struct {
	row
	record *store.Record
	gap    store.Revision // of its version
	value  []byte         // as it is stored
}

type pending struct {
	req *request
	answer
}

// commitLoop turns the queue into groups until Close.
func (l *Log) commitLoop() {
	defer close(l.syncs)
	for stopping := false; !stopping; {
		select {
		case <-l.kick:
		case <-l.stop:
			stopping = true // what is in the queue is still committed
		}
		for l.commitGroup() {
		}
	}
}

// commitGroup makes one group of what waits, and says whether there was something.
func (l *Log) commitGroup() bool {
	l.mu.Lock()
	queue, failure := l.mu.queue, l.mu.failure
	n := groupSize(queue)
	l.mu.queue = queue[n:]
	if len(l.mu.queue) == 0 {
		l.mu.queue = nil
	}
	l.mu.Unlock()
	if n == 0 {
		return false
	}
	g := &group{last: l.assigned}
	full := l.disk.check()
	for _, req := range queue[:n] {
		if failure != nil {
			req.done <- answer{err: failure}
			continue
		}
		if full != nil && !req.txn.Deletes() {
			req.done <- answer{err: full}
			continue
		}
		l.admit(g, req)
	}
	if failure == nil && len(g.answers) > 0 {
		l.write(g)
	}
	return true
}

func groupSize(queue []*request) int {
	size := 0
	for n, req := range queue {
		for _, c := range req.txn.Changes {
			size += len(c.Key) + len(c.Value)
		}
		if size > groupBytes && n > 0 {
			return n
		}
	}
	return len(queue)
}

// admit checks one transaction against the head and adds its records to the group, or answers its refusal.
func (l *Log) admit(g *group, req *request) {
	l.mu.Lock()
	durable := l.mu.durable
	l.mu.Unlock()
	for _, c := range req.txn.Conditions {
		newest, err := l.newest(c.Key)
		if err != nil {
			req.done <- answer{err: err}
			return
		}
		if newest.exists() == c.Revision {
			continue
		}
		refusal := answer{err: &store.ConflictError{Key: c.Key, Wanted: c.Revision, Found: newest.exists()}}
		if newest.revision <= durable {
			req.done <- refusal
		} else {
			g.answers = append(g.answers, pending{req, refusal})
		}
		return
	}
	records, err := l.assign(g, req)
	if err != nil {
		req.done <- answer{err: err}
		return
	}
	revs := make([]store.Revision, len(records))
	for i := range records {
		revs[i] = records[i].Revision
	}
	if len(records) > 0 {
		g.txns = append(g.txns, records)
		g.last = l.assigned
	}
	g.answers = append(g.answers, pending{req, answer{revs: revs}})
}

// assign gives the transaction's changes their revisions and enters them into the group and the head.
func (l *Log) assign(g *group, req *request) ([]store.Record, error) {
	now := l.clock.Now().UTC().Truncate(time.Microsecond)
	records := make([]store.Record, len(req.txn.Changes))
	entries := make([]entry, 0, 4)
	for i, c := range req.txn.Changes {
		newest, err := l.newest(c.Key)
		if err != nil {
			return nil, err
		}
		r := &records[i]
		*r = store.Record{
			Revision: l.assigned + store.Revision(i) + 1, Key: c.Key, Previous: newest.exists(), Value: c.Value,
			Time: now, Actor: req.txn.Actor, Cause: req.txn.Cause, Minor: c.Minor, Last: i == len(records)-1,
		}
		entries = append(entries, newEntry(r, newest, req.stored(i)))
	}
	l.assigned += store.Revision(len(records))
	g.entries = append(g.entries, entries...)
	for i := range entries {
		e := &entries[i]
		l.places.put(e.key, place{e.revision, e.gap, e.size, e.deleted, e.record.Minor})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range records {
		r := &records[i]
		l.mu.head[r.Key] = *r
		l.mu.order = append(l.mu.order, headMark{r.Key, r.Revision})
	}
	return records, nil
}

// newEntry is a record that comes after newest.
func newEntry(r *store.Record, newest place, value []byte) entry {
	e := entry{record: r, value: value, gap: newest.nextGap()}
	e.row = row{revision: r.Revision, key: r.Key, time: r.Time, previous: r.Previous, size: len(r.Value), last: r.Last, deleted: r.Value == nil}
	if r.Previous != 0 {
		e.replaced, e.overMinor = newest.size, newest.minor
	}
	return e
}

// write hands the group's batch to pebble, without waiting for the sync, and the group to the sync loop.
func (l *Log) write(g *group) {
	if len(g.txns) > 0 {
		g.batch = l.db.NewBatch()
		if err := l.fill(g); err != nil {
			l.fail(err)
		} else if err := l.db.ApplyNoSyncWait(g.batch, pebble.Sync); err != nil {
			l.fail(err)
		}
	}
	l.syncs <- g
}

func (l *Log) fill(g *group) error {
	var key, value []byte
	for i := range g.entries {
		e := &g.entries[i]
		key = versionKey(key[:0], e.key, e.revision)
		value = encodeVersion(value[:0], e.record, e.gap, e.value, !e.deleted && !same(e.value, e.record.Value))
		if err := g.batch.Set(key, value, nil); err != nil {
			return fmt.Errorf("write %s: %w", e.key, err)
		}
		value = encodeRow(value[:0], &e.row)
		if err := g.batch.Set(rowKey(e.revision), value, nil); err != nil {
			return fmt.Errorf("write %s: %w", e.key, err)
		}
		g.kept.enter(&e.row)
	}
	return nil
}

// syncLoop waits for each group's sync and answers it, until the commit loop has ended.
func (l *Log) syncLoop() {
	for g := range l.syncs {
		l.finish(g)
	}
}

func (l *Log) finish(g *group) {
	l.mu.Lock()
	failure := l.mu.failure
	l.mu.Unlock()
	if failure == nil && g.batch != nil {
		if err := g.batch.SyncWait(); err != nil {
			l.fail(err)
		}
		// Close only puts the batch back into pebble's pool.
		if err := g.batch.Close(); err != nil {
			l.fail(err)
		}
	}
	l.mu.Lock()
	failure = l.mu.failure
	if failure == nil {
		l.mu.durable = max(l.mu.durable, g.last)
		l.mu.kept.add(g.kept)
		if l.mu.following {
			l.mu.tail.add(g.txns, g.last)
		}
		l.forgetLocked()
	}
	l.mu.Unlock()
	signal(l.moved)
	for _, p := range g.answers {
		if failure != nil {
			p.answer = answer{err: failure}
		}
		p.req.done <- p.answer
	}
}
