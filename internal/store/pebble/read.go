package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/floe-k8s/floe/internal/store"
)

// reader is a database or a snapshot of it.
type reader interface {
	NewIter(*pebble.IterOptions) (*pebble.Iterator, error)
}

// closeInto closes what was read from. Its error is the read's own, said again, unless there was none.
func closeInto(err *error, c io.Closer) {
	if closing := c.Close(); *err == nil {
		*err = closing
	}
}

// iterVersion decodes the version under the iterator, opened if it is sealed. It shares no memory with the iterator.
func (l *Log) iterVersion(iter *pebble.Iterator) (version, error) {
	key, rev, err := splitVersionKey(iter.Key())
	if err != nil {
		return version{}, err
	}
	b, err := iter.ValueAndErr()
	if err != nil {
		return version{}, fmt.Errorf("version %d of %q: %w", rev, key, err)
	}
	v, sealed, err := decodeVersion(b)
	v.Key, v.Revision = string(key), rev
	if err == nil && v.Value != nil {
		v.Value, err = l.opened(v.Key, v.Value, sealed)
	}
	if err != nil {
		return version{}, fmt.Errorf("version %d of %q: %w", rev, key, err)
	}
	return v, nil
}

// opened returns a copy of a stored value, opened when it is sealed.
func (l *Log) opened(key string, value []byte, sealed bool) ([]byte, error) {
	if !sealed {
		// Not bytes.Clone: an empty value stays apart from none. In this form the compiler does not zero what is copied over.
		plain := make([]byte, len(value))
		copy(plain, value)
		return plain, nil
	}
	if l.codec == nil {
		return nil, errors.New("value is encrypted, and no encryption is configured")
	}
	plain, err := l.codec.Open(key, slices.Clone(value))
	if err == nil && plain == nil {
		plain = []byte{}
	}
	return plain, err
}

// iterRow decodes the row under the iterator.
func iterRow(iter *pebble.Iterator) (row, error) {
	rev, err := iterRevision(iter)
	if err != nil {
		return row{}, err
	}
	b, err := iter.ValueAndErr()
	if err != nil {
		return row{}, fmt.Errorf("row %d: %w", rev, err)
	}
	r, err := decodeRow(b)
	if err != nil {
		return row{}, fmt.Errorf("row %d: %w", rev, err)
	}
	r.revision = rev
	return r, nil
}

func iterRevision(iter *pebble.Iterator) (store.Revision, error) {
	k := iter.Key()
	if len(k) != 9 {
		return 0, fmt.Errorf("database key %q: %w", k, errCorrupt)
	}
	return store.Revision(binary.BigEndian.Uint64(k[1:])), nil
}

// rowsAfter spans the rows after a revision.
func rowsAfter(after store.Revision) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: rowKey(after + 1), UpperBound: []byte{rowPrefix + 1}}
}

// lastRevision returns the revision of the newest row; 0: there is none.
func lastRevision(db reader) (rev store.Revision, err error) {
	iter, err := db.NewIter(rowsAfter(0))
	if err != nil {
		return 0, err
	}
	defer closeInto(&err, iter)
	if !iter.Last() {
		return 0, iter.Error()
	}
	return iterRevision(iter)
}

// manyVersions is how many versions of one key are stepped over one by one; beyond, the iterator seeks.
const manyVersions = 8

// states goes through the keys in [from, to) and calls each with the version that stands first at or below a revision, deletions
// too, and with the version after it (its revision 0: none), which each may not keep. A version of revision 0 says that none is left so far back.
func (l *Log) states(ctx context.Context, db reader, at store.Revision, from, to string, each func(v, next *version) error) (err error) {
	opts := &pebble.IterOptions{LowerBound: append([]byte{versionPrefix}, from...), UpperBound: []byte{versionPrefix + 1}}
	if to != "" {
		opts.UpperBound = boundOf(to)
	}
	iter, err := db.NewIter(opts)
	if err != nil {
		return err
	}
	defer closeInto(&err, iter)
	var v, next version // one pair for all: each makes them escape
	for ok := iter.First(); ok; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if ok, err = l.state(iter, at, &v, &next); err != nil {
			return err
		}
		if err := each(&v, &next); err != nil {
			return err
		}
		if ok {
			ok = pass(iter, v.Key)
		}
	}
	return iter.Error()
}

// boundOf is above the versions of the keys below to, and below all others. A to that ends with a zero byte, which no key does, is right above
// the key before it.
func boundOf(to string) []byte {
	if key, ok := strings.CutSuffix(to, "\x00"); ok {
		return keyEnd(key)
	}
	return append([]byte{versionPrefix}, to...)
}

// state reads one key from its newest version on, into v and next. It leaves the iterator on the version found, or, with a version of
// revision 0, on the next key; ok false says that there is nothing more.
func (l *Log) state(iter *pebble.Iterator, at store.Revision, v, next *version) (ok bool, err error) {
	*v, *next = version{}, version{}
	for ok = true; ok; ok = iter.Next() {
		key, rev, err := splitVersionKey(iter.Key())
		if err != nil {
			return true, err
		}
		if next.Revision != 0 && string(key) != next.Key {
			return true, nil
		}
		if rev <= at {
			*v, err = l.iterVersion(iter)
			return true, err
		}
		if *next, err = l.iterVersion(iter); err != nil {
			return true, err
		}
	}
	return false, nil
}

// pass moves the iterator from a version of key to the next key. "" is no key: the iterator is there already.
func pass(iter *pebble.Iterator, key string) bool {
	for n := 0; key != ""; n++ {
		if n == manyVersions {
			return iter.SeekGE(keyEnd(key))
		}
		if !iter.Next() {
			return false
		}
		if name, _, err := splitVersionKey(iter.Key()); err != nil || string(name) != key {
			return true // what is no version is refused where it is read
		}
	}
	return true
}
