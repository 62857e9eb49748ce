package pebble

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floe-k8s/floe/internal/store"
)

// place is where a key stands at the head.
type place struct {
	revision store.Revision // of its newest record that is known; 0: none, or a deletion that history has forgotten
	gap      store.Revision // of that record, see version
	size     int            // bytes of its value
	deleted  bool
	minor    bool
}

// exists returns what a condition compares with: 0 for a key that is absent.
func (p place) exists() store.Revision {
	if p.deleted {
		return 0
	}
	return p.revision
}

// nextGap returns the gap of the record that comes after this one.
func (p place) nextGap() store.Revision {
	switch {
	case !p.minor || p.deleted:
		return 0
	case p.gap != 0:
		return p.gap
	}
	return p.revision
}

// placesHalf bounds each of the two maps of places; together they take some 6 MB when full.
const placesHalf = 1 << 14

// places remembers the places of keys that were asked for last. Without it half of the commit loop's time goes into reading
// cold blocks for a revision. Two maps take turns: when the young one is full it becomes the old one, and what is asked for
// again moves over.
type places struct {
	young, old map[string]place
}

func (p *places) put(key string, at place) {
	if p.young == nil || len(p.young) >= placesHalf {
		p.young, p.old = make(map[string]place), p.young
	}
	p.young[key] = at
}

func (p *places) get(key string) (place, bool) {
	if at, ok := p.young[key]; ok {
		return at, true
	}
	at, ok := p.old[key]
	if ok {
		p.put(key, at)
	}
	return at, ok
}

// newest finds a key at the head. Only the commit loop calls it, so nothing comes between it and the write.
func (l *Log) newest(key string) (place, error) {
	if at, ok := l.places.get(key); ok {
		return at, nil
	}
	at, err := l.readPlace(key)
	if err != nil {
		return place{}, fmt.Errorf("read %s: %w", key, err)
	}
	l.places.put(key, at)
	return at, nil
}

// readPlace asks the database, which holds the groups before this one, unsynced or not. Keys of this group are in places: a
// group has far fewer records than they hold.
func (l *Log) readPlace(key string) (_ place, err error) {
	start := keyStart(nil, key)
	// Where a log has settled nearly all of it lies in the last level, whose filters pebble leaves aside unless told: it takes it that what is asked for is there.
	iter, err := l.db.NewIter(&pebble.IterOptions{LowerBound: start, UpperBound: keyEnd(key), UseL6Filters: true})
	if err != nil {
		return place{}, err
	}
	defer closeInto(&err, iter)
	if !iter.SeekPrefixGE(start) {
		return place{}, iter.Error()
	}
	v, err := l.iterVersion(iter)
	if err != nil {
		return place{}, err
	}
	return v.place(), nil
}

func (v *version) place() place {
	return place{revision: v.Revision, gap: v.gap, size: len(v.Value), deleted: v.Value == nil, minor: v.Minor}
}
