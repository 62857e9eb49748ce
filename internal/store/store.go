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
	// ErrTooLarge: the transaction exceeds MaxTxnBytes or MaxTxnRecords.
	ErrTooLarge = errors.New("transaction is too large")
	// ErrClosed: the log has been closed, or has ended after a failed sync.
	ErrClosed = errors.New("log is closed")
)

// ConflictError names the condition that failed: the key, and the wanted and the found revision (zero: absent).
type ConflictError struct {
	Key           string
	Wanted, Found Revision
}

// Error names the key and both revisions.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s: wanted revision %d, found %d: %v", e.Key, e.Wanted, e.Found, ErrConflict)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// Limits of one transaction.
const (
	MaxTxnRecords = 100
	MaxTxnBytes   = 3 << 19 // 1.5 MiB, upstream's limit of one request to etcd
)

// Record is one change of one key as the log keeps it. It is immutable; Value is shared.
type Record struct {
	Revision Revision
	Key      string
	Previous Revision  // revision of the record of the same key before it; 0: there was none or it was deleted
	Value    []byte    // nil: the key was deleted
	Time     time.Time // when the transaction entered the log, to the microsecond
	Actor    string    // who caused it: an authenticated user name
	Cause    string    // why, such as "deployment default/web@1234"; empty: a direct request
	Last     bool      // ends its transaction
}

// Change is one wanted record: Value becomes the key's value; nil deletes the key. The log takes ownership of Value.
type Change struct {
	Key   string
	Value []byte
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
	// Append commits txn and returns the revision of each of its changes, in their order, once they are
	// durable. It returns ErrConflict (as *ConflictError), ErrTooLarge or ErrClosed, and then nothing is written. When
	// ctx ends first the outcome is unknown and ctx's error is returned.
	Append(ctx context.Context, txn Txn) ([]Revision, error)
	// Head returns the newest record of key, unsynced ones included; ok is false when key was not written
	// since the log's last acknowledged state, and the table answers. A record with a nil Value is a deletion.
	Head(key string) (rec Record, ok bool)
	// Load calls each with the newest record of every key that exists, in key order, and returns the
	// revision of that state.
	Load(ctx context.Context, each func(Record) error) (Revision, error)
	// Follow calls apply with every durable transaction after revision after, whole and in order, until ctx
	// ends (it returns ctx's error) or the log fails. There is one follower. It returns ErrExpired when
	// after is older than what is kept.
	Follow(ctx context.Context, after Revision, apply func(txn []Record) error) error
	// Close waits for what is in flight and releases the log's files. Later calls return ErrClosed.
	Close() error
}
