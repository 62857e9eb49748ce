package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Revision orders all records of one log. Zero stands for "none": before the first record, or the
// absence of a key.
type Revision uint64

// Errors of the store. They come wrapped with the key or the revision that they concern.
var (
	// ErrConflict: a condition of the transaction did not hold at the head. A *ConflictError says which.
	ErrConflict = errors.New("conflict")
	// ErrExpired: the revision asked for is older than what is kept; list again.
	ErrExpired = errors.New("revision has expired")
	// ErrFuture: the revision asked for has not been written yet.
	ErrFuture = errors.New("revision is in the future")
	// ErrEnded: the collection that a cursor reads is gone, or another stands in its place.
	ErrEnded = errors.New("collection has ended")
	// ErrTooLarge: the transaction exceeds MaxTxnBytes or MaxTxnRecords.
	ErrTooLarge = errors.New("transaction is too large")
	// ErrFull: the disk, or the engine's quota, has no room for writes. Deletions and reads go on.
	ErrFull = errors.New("store is full")
	// ErrClosed: the log has been closed, or has ended after a failed sync.
	ErrClosed = errors.New("log is closed")
)

// ConflictError names the condition that failed: the key, and the wanted and the found revision (zero: absent).
type ConflictError struct {
	Key           string
	Wanted, Found Revision
	// At is a revision whose state shows what was found, so that a reader who waits for it need not lose again. 0: every reader has it.
	At Revision
}

// Error names the key and both revisions.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: wanted revision %d, found %d: %v", e.Key, e.Wanted, e.Found, ErrConflict)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// Limits of one transaction: its records, the bytes of its keys and values together, and of all of them but the largest.
const (
	MaxTxnRecords = 100
	MaxTxnBytes   = 3 << 19 // 1.5 MiB, upstream's limit of one request to etcd
	MaxRestBytes  = 1 << 20
)

// RevisionLeap is by how much a restore, or a change of engine, raises revisions above every one that clients may have seen.
const RevisionLeap Revision = 1_000_000_000_000

// Record is one change of one key as the log keeps it. It is immutable; Value is shared.
type Record struct {
	Revision Revision
	Key      string
	Previous Revision  // revision of the record of the same key before it; 0: there was none or it was deleted
	Value    []byte    // nil: the key was deleted
	Time     time.Time // when the transaction entered the log, to the microsecond
	Actor    string    // who caused it: an authenticated user name; "": not known
	Cause    string    // why, such as "deployment default/web@1234"; empty: a direct request
	Minor    bool      // not worth keeping in history once there is a newer version, see Change
	Last     bool      // ends its transaction
}

// Change is one wanted record: Value becomes the key's value; nil deletes the key. The log takes ownership of Value.
type Change struct {
	Key   string
	Value []byte
	// Minor: the version need not be kept once it is superseded, such as a lease's. Reads at a revision that
	// need it answer ErrExpired.
	Minor bool
}

// Condition holds when the key's newest record at the head has this revision; 0: the key is absent.
type Condition struct {
	Key      string
	Revision Revision
}

// Txn is a transaction to be committed. Each key stands at most once in Changes.
type Txn struct {
	Conditions []Condition
	Changes    []Change
	Actor      string
	Cause      string
}

// Log is the ordered, durable record of every change. Implementations are safe for concurrent use, and
// pass the suite in storetest.
type Log interface {
	Source
	Writer
	History
	// Close waits for what is in flight and releases the log's files. Later calls return ErrClosed.
	Close() error
}

// Source is what a Table is fed from: a log, or the part of one that a remote reader may see.
type Source interface {
	// Load calls each with the newest record of every key that exists, in key order, and returns the
	// revision of that state.
	Load(ctx context.Context, each func(Record) error) (Revision, error)
	// Recent calls each with the newest changes up to a revision that Load returned, in order, and with the record that each one
	// replaced (its Revision 0: none). It returns the revision after which they are complete: upTo when it has none. It
	// may give fewer than window wants.
	Recent(ctx context.Context, upTo Revision, window Window, each func(record, replaced Record) error) (Revision, error)
	// Follow hands every durable transaction after a revision to f, whole and in order, until ctx
	// ends (it returns ctx's error), f refuses (f's error) or the log fails. There is one follower. It returns ErrExpired when
	// after is older than what is kept, and then the caller loads again.
	Follow(ctx context.Context, after Revision, f Follower) error
	// Sync returns a revision that is no older than any write acknowledged before the call, by any process. A
	// table that has reached it, see Follower, is current.
	Sync(ctx context.Context) (Revision, error)
}

// Window bounds what Recent reads. Both bounds hold; the newest changes are given.
type Window struct {
	Since time.Time // changes that entered the log before are left out
	Bytes int64     // of the values of the changes together
}

// Follower takes what a log hands over. Its methods are called by one goroutine, and must not block.
type Follower interface {
	// Apply takes the next transactions, each of them whole and not empty. The records may be kept.
	Apply(txns ...[]Record) error
	// Reached says that everything up to rev has been applied although no record stands there.
	Reached(rev Revision)
}

// Writer takes transactions.
type Writer interface {
	// Append commits txn and returns the revision of each of its changes, in their order, once they are
	// durable. It returns ErrConflict (as *ConflictError), ErrTooLarge, ErrFull or ErrClosed, and then nothing is written. When
	// ctx ends first the outcome is unknown and ctx's error is returned.
	Append(ctx context.Context, txn Txn) ([]Revision, error)
	// Head returns the newest record of key, unsynced ones included; ok is false when the log knows of nothing newer than
	// what it has handed to its follower, and the table answers. A record with a nil Value is a deletion.
	Head(key string) (rec Record, ok bool)
}

// History reads the past.
type History interface {
	// At calls each with the records that made up the keys in [from, to) at a revision, in key order; to "" is the end. It
	// returns ErrExpired when that is no longer known (it may have called each before), ErrFuture when it is not written yet.
	At(ctx context.Context, rev Revision, from, to string, each func(Record) error) error
	// Versions calls each with the records of key that are kept, deletions included, from the newest to the oldest. The deletion of a
	// key that was absent may be one of them.
	Versions(ctx context.Context, key string, each func(Record) error) error
	// Compact drops the versions that were superseded at or before rev. Reads before it answer ErrExpired then. It returns ErrFuture
	// when the follower has not applied rev yet.
	Compact(ctx context.Context, rev Revision) error
}
