package pebble

import "github.com/floe-k8s/floe/internal/store"

// Stats is what a log holds and keeps, with its limits. Each number is of the moment.
type Stats struct {
	Durable, Recent, Floor   store.Revision // see the package comment
	Queue                    int            // transactions that wait for their group
	HistoryBytes, HistoryMax int64          // of values that were replaced
	DiskBytes                uint64         // of all of the log's files
	FreeBytes                int64          // on its disk; negative: not known
	Full                     bool           // writes other than deletions are refused
}

// Stats returns what the log holds now.
func (l *Log) Stats() Stats {
	s := Stats{HistoryMax: l.pruner.history.Bytes, DiskBytes: l.db.Metrics().DiskSpaceUsage(), FreeBytes: -1}
	if free, ok := l.disk.free(); ok {
		s.FreeBytes = free
	}
	l.disk.mu.Lock()
	s.Full = l.disk.refused != nil
	l.disk.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Durable, s.Recent, s.Floor = l.mu.durable, l.mu.recent, l.mu.floor
	s.Queue, s.HistoryBytes = len(l.mu.queue), l.mu.kept.history
	return s
}
