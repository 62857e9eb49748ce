package backup

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/floe-k8s/floe/internal/store"
)

// tally counts records as they pass, and refuses one that breaks the order. Writer and reader keep the same one.
type tally struct {
	records     int64
	newest      store.Revision // the highest revision among them
	last        []byte         // key of the newest one; its memory is used again
	collections map[string]*Collection
	other       Collection
}

func newTally() *tally {
	return &tally{collections: map[string]*Collection{}, other: Collection{Prefix: OtherPrefix}}
}

func (t *tally) add(r *record) error {
	if t.records > 0 && bytes.Compare(r.key, t.last) <= 0 {
		return fmt.Errorf("key %.200q stands after %.200q: keys must rise", r.key, t.last)
	}
	t.last = append(t.last[:0], r.key...)
	t.records++
	t.newest = max(t.newest, r.revision)
	c := t.collection(r.key)
	c.Records++
	c.Bytes += int64(len(r.key) + len(r.value))
	return nil
}

// end checks the state's revision against what has passed.
func (t *tally) end(rev store.Revision) error {
	if rev < t.newest {
		return fmt.Errorf("state has revision %d, and a record in it %d", rev, t.newest)
	}
	if rev > maxRevision {
		return fmt.Errorf("state has revision %d: none above %d can be restored", rev, maxRevision)
	}
	return nil
}

func (t *tally) collection(key []byte) *Collection {
	prefix := collectionPrefix(key)
	if c, ok := t.collections[string(prefix)]; ok { // does not allocate
		return c
	}
	if len(prefix) > maxPrefix || len(t.collections) >= maxCollections {
		return &t.other
	}
	c := &Collection{Prefix: string(prefix)}
	t.collections[c.Prefix] = c
	return c
}

// collectionPrefix returns the first two elements of a key's path: "/registry/pods" of "/registry/pods/default/web".
func collectionPrefix(key []byte) []byte {
	end := 0
	for range 2 {
		if end == len(key) {
			break
		}
		next := bytes.IndexByte(key[end+1:], '/')
		if next < 0 {
			return key
		}
		end += 1 + next
	}
	return key[:end]
}

func (t *tally) sorted() []Collection {
	all := make([]Collection, 0, len(t.collections)+1)
	for _, c := range t.collections {
		all = append(all, *c)
	}
	slices.SortFunc(all, func(a, b Collection) int { return strings.Compare(a.Prefix, b.Prefix) })
	if t.other.Records > 0 {
		all = append(all, t.other)
	}
	return all
}

// summary puts together what was counted and what the snapshot states; size is the whole file's.
func (t *tally) summary(h *header, rev store.Revision, size int64) Summary {
	return Summary{
		Format: h.Format, Version: h.Version, Time: h.Time, Sealed: h.Codec != "", Codec: h.Codec,
		Revision: rev, Records: t.records, Bytes: size, Collections: t.sorted(),
	}
}
