package backup

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/floe-k8s/floe/internal/store"
)

// A log answers a transaction only when it is synced, so what a restore takes is the number of syncs. Records by the same
// actor and cause that follow each other share a transaction, and many transactions are under way, which an
// engine that groups commits puts into few syncs.
const (
	appenders   = 256      // transactions under way
	txnBytes    = 64 << 10 // what a transaction is filled up to; a larger record stands alone
	flightBytes = 16 << 20 // keys and values under way; bounds memory where objects are large
)

// pipeline appends records to a log. One goroutine adds and waits; the appenders are its own.
type pipeline struct {
	dst     Appender
	least   store.Revision // no record may get a lower one
	ctx     context.Context
	group   *errgroup.Group
	work    chan store.Txn // closed by wait
	room    *semaphore.Weighted
	written atomic.Int64

	txn  store.Txn // being filled
	size int       // its keys and values, in bytes
}

// newPipeline starts the appenders; wait ends them. The pipeline's ctx ends with the first that fails.
func newPipeline(ctx context.Context, dst Appender, least store.Revision) *pipeline {
	p := &pipeline{dst: dst, least: least, work: make(chan store.Txn), room: semaphore.NewWeighted(flightBytes)}
	p.group, p.ctx = errgroup.WithContext(ctx)
	for range appenders {
		p.group.Go(p.appendAll)
	}
	return p
}

// add takes a record and its plain value, and copies both.
func (p *pipeline) add(r *record, plain []byte) error {
	size := len(r.key) + len(plain)
	if !p.fits(r, size) {
		if err := p.send(); err != nil {
			return err
		}
		p.txn.Actor, p.txn.Cause = string(r.actor), string(r.cause)
	}
	key := string(r.key)
	value := append(make([]byte, 0, len(plain)), plain...) // never nil, which would be a deletion
	p.txn.Conditions = append(p.txn.Conditions, store.Condition{Key: key})
	p.txn.Changes = append(p.txn.Changes, store.Change{Key: key, Value: value, Minor: r.minor})
	p.size += size
	return nil
}

func (p *pipeline) fits(r *record, size int) bool {
	n := len(p.txn.Changes)
	return n > 0 && n < store.MaxTxnRecords && p.size+size <= txnBytes &&
		string(r.actor) == p.txn.Actor && string(r.cause) == p.txn.Cause
}

// send hands the transaction being filled to an appender.
func (p *pipeline) send() error {
	if len(p.txn.Changes) == 0 {
		return nil
	}
	if err := p.room.Acquire(p.ctx, int64(p.size)); err != nil {
		return err
	}
	select {
	case p.work <- p.txn:
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
	p.txn, p.size = store.Txn{}, 0
	return nil
}

// wait sends what is left unless reading failed, ends the appenders, and returns how many records are known to be written.
// An appender's error explains that of the reading, which it ended, and is returned in its place.
func (p *pipeline) wait(reading error) (int64, error) {
	if reading == nil {
		reading = p.send()
	}
	close(p.work)
	err := p.group.Wait()
	if err == nil {
		err = reading
	}
	return p.written.Load(), err
}

func (p *pipeline) appendAll() error {
	for txn := range p.work {
		size := 0
		for i := range txn.Changes {
			size += len(txn.Changes[i].Key) + len(txn.Changes[i].Value)
		}
		if err := p.append(txn); err != nil {
			return err
		}
		p.room.Release(int64(size))
	}
	return nil
}

func (p *pipeline) append(txn store.Txn) error {
	first, n := txn.Changes[0].Key, len(txn.Changes)
	revs, err := p.dst.Append(p.ctx, txn)
	var conflict *store.ConflictError
	switch {
	case errors.As(err, &conflict):
		return fmt.Errorf("the new log is not empty, and nothing in it is replaced: %w", err)
	case errors.Is(err, store.ErrFull):
		return fmt.Errorf("append %.200q: %w: make room where the new log lies", first, err)
	case err != nil:
		return fmt.Errorf("append %.200q: %w", first, err)
	}
	p.written.Add(int64(n))
	for _, rev := range revs {
		if rev < p.least {
			return fmt.Errorf("the new log gave %.200q revision %d, and clients may have seen any below %d: create it with revisions from there: %w",
				first, rev, p.least, ErrUnfit)
		}
	}
	return nil
}
