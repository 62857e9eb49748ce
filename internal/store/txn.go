package store

import (
	"errors"
	"fmt"
	"strings"
)

// Check refuses a transaction that no engine takes: an empty one, one above the limits (ErrTooLarge), and one with a key that is empty,
// holds a zero byte or stands twice.
func (t *Txn) Check() error {
	if len(t.Changes) == 0 {
		return errors.New("transaction has no changes")
	}
	if n := len(t.Changes); n > MaxTxnRecords {
		return fmt.Errorf("%d records, at most %d: %w", n, MaxTxnRecords, ErrTooLarge)
	}
	total, largest := 0, 0
	for i := range t.Changes {
		c := &t.Changes[i]
		if c.Key == "" || strings.Contains(c.Key, "\x00") {
			return fmt.Errorf("key %q is empty or holds a zero byte", c.Key)
		}
		if t.twice(i) {
			return fmt.Errorf("key %q stands twice in one transaction", c.Key)
		}
		size := len(c.Key) + len(c.Value)
		total += size
		largest = max(largest, size)
	}
	if total > MaxTxnBytes || total-largest > MaxRestBytes {
		return fmt.Errorf("%d bytes, at most %d, and %d without the largest record: %w", total, MaxTxnBytes, MaxRestBytes, ErrTooLarge)
	}
	return nil
}

// twice says whether the key of the i-th change stands before it. At most MaxTxnRecords are compared, and mostly one: cheaper than a map.
func (t *Txn) twice(i int) bool {
	for j := range i {
		if t.Changes[j].Key == t.Changes[i].Key {
			return true
		}
	}
	return false
}

// Deletes says whether the transaction does nothing but delete. Such a one is taken when the store is full.
func (t *Txn) Deletes() bool {
	for i := range t.Changes {
		if t.Changes[i].Value != nil {
			return false
		}
	}
	return true
}
