package main

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"runtime"

	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/pebble"
)

const (
	prefix     = "/registry/bench/" // with eight digits after it: a key has 24 bytes
	keySpace   = 10_000
	valueBytes = 1024
	manyPuts   = 256 // clients that put at once
)

func keyOf(i int) string { return fmt.Sprintf("%s%08d", prefix, i) }

// size says how often each scenario is done, on both sides.
type size struct {
	lonePuts, puts, gets, ranges int
}

var fullSize = size{lonePuts: 5_000, puts: 500_000, gets: 10_000_000, ranges: 5_000}

// running is a log with its table.
type running struct {
	*store.Store
	stop func() error // ends both
}

// openTable opens the table of a log as floe's server does, and feeds it until stop is called. When it fails the log is closed.
func openTable(ctx context.Context, log store.Log, objects store.Collection) (*running, error) {
	s, err := store.Open(ctx, log, store.Config{Collections: []store.Collection{objects}})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return &running{s, func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return errors.Join(err, log.Close())
		}
		return log.Close()
	}}, nil
}

// measureLog runs every scenario on a new log in dir.
func measureLog(ctx context.Context, c clock.PassiveClock, dir string, n size) (results []result, err error) {
	log, err := pebble.Open(pebble.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	s, err := openTable(ctx, log, store.Collection{Prefix: prefix})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	for _, l := range s.loads(n) {
		// What the scenario before it left is not collected on its account.
		runtime.GC()
		r, err := l.measure(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// loads are the scenarios, in their order: the readers find what the writers have put.
func (s *running) loads(n size) []load {
	keys := make([]string, keySpace)
	for i := range keys {
		keys[i] = keyOf(i)
	}
	value := make([]byte, valueBytes)
	crand.Read(value) // never fails
	put := func(ctx context.Context, i int) error {
		// All share one value, as in etcd's tool: it is never written.
		_, err := s.Commit(ctx, store.Txn{Changes: []store.Change{{Key: keys[i%keySpace], Value: value}}, Actor: "bench"})
		return err
	}
	get := func(_ context.Context, i int) error {
		// Any order but that of the keys, so that they are not all in the processor's cache.
		if key := keys[i*7919%keySpace]; s.Snapshot().Get(key) == nil {
			return fmt.Errorf("%s is missing", key)
		}
		return nil
	}
	// A reader in the process waits for nobody: more of them than cores would only wait for a core.
	readers := runtime.GOMAXPROCS(0)
	return []load{
		{name: "put-one", clients: 1, total: n.lonePuts, run: 1, do: put},
		{name: "put-many", clients: manyPuts, total: n.puts, run: 1, do: put},
		{name: "get-one", clients: 1, total: n.gets / 10, run: 100, do: get},
		{name: "get", clients: readers, total: n.gets, run: 100, do: get},
		{name: "range", clients: 1, total: n.ranges, run: 1, do: s.ascend},
	}
}

// ascend visits every object once.
func (s *running) ascend(context.Context, int) error {
	found, bytes := 0, 0
	for item := range s.Snapshot().Ascend(prefix, "") {
		found++
		bytes += item.Size()
	}
	if found != keySpace || bytes != keySpace*valueBytes {
		return fmt.Errorf("%d objects of together %d bytes, want %d of %d", found, bytes, keySpace, keySpace*valueBytes)
	}
	return nil
}
