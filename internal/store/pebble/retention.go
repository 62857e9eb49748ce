package pebble

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floe-k8s/floe/internal/store"
)

// The ordered log keeps at most this much behind the newest record, pruned a chunk at a time.
const (
	keepRecords  = 100_000
	keepBytes    = 64 << 20
	chunkRecords = 4096
	chunkBytes   = keepBytes / 16
)

// chunk is a run of records that is pruned together. It ends where a transaction ends.
type chunk struct {
	last    store.Revision
	records int
	bytes   int
}

// retention counts what the ordered log holds. The newest chunk is open and never pruned, so the newest
// record stays.
type retention struct {
	chunks  []chunk // by revision; the last one is open
	records int
	bytes   int
}

// add counts one record of the open chunk.
func (k *retention) add(rev store.Revision, size int) {
	if len(k.chunks) == 0 {
		k.chunks = append(k.chunks, chunk{})
	}
	c := &k.chunks[len(k.chunks)-1]
	c.last = rev
	c.records++
	c.bytes += size
	k.records++
	k.bytes += size
}

// seal is called at a transaction's end, and begins a new chunk when the open one is full.
func (k *retention) seal() {
	if n := len(k.chunks); n > 0 {
		if c := k.chunks[n-1]; c.records >= chunkRecords || c.bytes >= chunkBytes {
			k.chunks = append(k.chunks, chunk{})
		}
	}
}

// prune takes away what is too much and returns the newest revision of it; 0: nothing.
func (k *retention) prune() store.Revision {
	var floor store.Revision
	// Two stay in any case: the open chunk may still be empty.
	for len(k.chunks) > 2 && (k.records > keepRecords || k.bytes > keepBytes) {
		c := k.chunks[0]
		floor = c.last
		k.records -= c.records
		k.bytes -= c.bytes
		k.chunks = k.chunks[1:]
	}
	return floor
}

// recover reads where the log stands. Assumed: a batch is on disk whole or not at all. Sizes of kept records are
// not counted one by one, since that would read them all; they are taken as equal.
func (l *Log) recover() error {
	iter, err := l.db.NewIter(recordRange(0))
	if err != nil {
		return err
	}
	defer iter.Close()
	if !iter.First() {
		return iter.Error()
	}
	first, err := iterRevision(iter)
	if err != nil {
		return err
	}
	iter.Last()
	if l.assigned, err = iterRevision(iter); err != nil {
		return err
	}
	l.mu.durable, l.mu.floor = l.assigned, first-1
	usage, err := l.db.EstimateDiskUsage(recordKey(0), []byte{recordPrefix + 1})
	if err != nil {
		return err
	}
	count := int(l.assigned - first + 1)
	each := int(usage)/count + 1
	for at := first; at <= l.assigned; {
		end, err := txnEnd(iter, min(at+chunkRecords-1, l.assigned))
		if err != nil {
			return err
		}
		n := int(end - at + 1)
		l.kept.chunks = append(l.kept.chunks, chunk{last: end, records: n, bytes: n * each})
		l.kept.records += n
		l.kept.bytes += n * each
		at = end + 1
	}
	l.kept.chunks = append(l.kept.chunks, chunk{})
	return iter.Error()
}

// txnEnd returns the revision of the last record of the transaction that rev belongs to.
func txnEnd(iter *pebble.Iterator, rev store.Revision) (store.Revision, error) {
	for ok := iter.SeekGE(recordKey(rev)); ok; ok = iter.Next() {
		r, err := iterRecord(iter)
		if err != nil {
			return 0, err
		}
		if r.Last {
			return r.Revision, nil
		}
	}
	if err := iter.Error(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("revision %d: transaction has no end: %w", rev, errCorrupt)
}

// recordRange spans the records after a revision.
func recordRange(after store.Revision) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: recordKey(after + 1), UpperBound: []byte{recordPrefix + 1}}
}

func iterRevision(iter *pebble.Iterator) (store.Revision, error) {
	k := iter.Key()
	if len(k) != 9 {
		return 0, fmt.Errorf("key %q: %w", k, errCorrupt)
	}
	return store.Revision(binary.BigEndian.Uint64(k[1:])), nil
}

// iterRecord decodes the record under the iterator and checks that it is the one that its key names.
func iterRecord(iter *pebble.Iterator) (store.Record, error) {
	rev, err := iterRevision(iter)
	if err != nil {
		return store.Record{}, err
	}
	r, err := decodeIter(iter)
	if err == nil && r.Revision != rev {
		err = fmt.Errorf("found revision %d: %w", r.Revision, errCorrupt)
	}
	if err != nil {
		return store.Record{}, fmt.Errorf("record %d: %w", rev, err)
	}
	return r, nil
}

func decodeIter(iter *pebble.Iterator) (store.Record, error) {
	b, err := iter.ValueAndErr()
	if err != nil {
		return store.Record{}, err
	}
	return decodeRecord(b)
}
