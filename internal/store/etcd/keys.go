package etcd

import (
	"fmt"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/floe-k8s/floe/internal/store"
)

// keyRange is [from, to).
type keyRange struct{ from, to string }

// The keys, see the package comment. A range ends where its slash becomes the next byte.
const (
	rootPrefix = "/registry/"
	ownPrefix  = rootPrefix + "floe.dev/"
	baseKey    = ownPrefix + "base"
	txnKey     = ownPrefix + "txn"
	fenceKey   = ownPrefix + "fence"
	placeRoot  = ownPrefix + "place" // an object's key follows, with its slash

	compactKey = "compact_rev_key" // upstream's; outside of the watched prefix
)

var everything = keyRange{rootPrefix, "/registry0"}

// stride is how many revisions of the log one of etcd's spans.
const stride = 128

// lastPlace stands above every record of a transaction: the state after it.
const lastPlace = stride - 1

// position is a revision in etcd's terms.
type position struct {
	mod   int64 // ModRevision
	place int   // 0 <= place < stride
}

func (l *Log) revision(mod int64, place int) store.Revision {
	return l.base + store.Revision(mod)*stride + store.Revision(place)
}

// position is the inverse of revision; false when rev is below the base.
func (l *Log) position(rev store.Revision) (position, bool) {
	if rev < l.base {
		return position{}, false
	}
	rev -= l.base
	return position{int64(rev / stride), int(rev % stride)}, true
}

// positionOf is position for readers: what lies below the base has expired.
func (l *Log) positionOf(rev store.Revision) (position, error) {
	at, ok := l.position(rev)
	if !ok {
		return at, fmt.Errorf("revision %d is of the log that this one was restored from, it begins at %d: %w", rev, l.base, store.ErrExpired)
	}
	return at, nil
}

// objects cuts floe's own keys out of [from, to); to "" is the end.
func objects(from, to string) []keyRange {
	if to == "" || to > everything.to {
		to = everything.to
	}
	var ranges []keyRange
	for _, r := range []keyRange{{rootPrefix, ownPrefix}, {strings.TrimSuffix(ownPrefix, "/") + "0", everything.to}} {
		r.from, r.to = max(r.from, from), min(r.to, to)
		if r.from < r.to {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

// placesOf is where the places of a range of objects stand.
func placesOf(r keyRange) keyRange { return keyRange{placeRoot + r.from, placeRoot + r.to} }

// checkKey refuses a key that the log does not watch, or keeps for itself.
func checkKey(key string) error {
	switch {
	case !strings.HasPrefix(key, rootPrefix):
		return fmt.Errorf("key %q is not below %s", key, rootPrefix)
	case strings.HasPrefix(key, ownPrefix):
		return fmt.Errorf("key %q is below %s, which the log keeps for itself", key, ownPrefix)
	}
	return nil
}

func parsePlace(kv *mvccpb.KeyValue) (int, error) {
	n, err := strconv.Atoi(string(kv.Value))
	if err != nil || n <= 0 || n >= stride {
		return 0, fmt.Errorf("%s at etcd's revision %d holds %q, which is no place in a transaction", kv.Key, kv.ModRevision, kv.Value)
	}
	return n, nil
}
