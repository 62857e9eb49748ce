package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/pebble"
)

// BenchmarkCommit writes 1 KiB objects to a real disk.
func BenchmarkCommit(b *testing.B) {
	for _, writers := range []int{1, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			s := start(b, pebble.Options{Dir: b.TempDir()}, 0)
			value := make([]byte, 1024)
			value[0] = 'n'
			var next atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(max(1, writers/2)) // times GOMAXPROCS, which is two on the reference machine
			commit := func() {
				key := fmt.Sprint(prefix, next.Add(1)%10_000)
				if _, err := s.Commit(context.Background(), store.Txn{Changes: []store.Change{{Key: key, Value: value}}}); err != nil {
					b.Error(err)
				}
			}
			b.ResetTimer()
			if writers == 1 {
				for range b.N {
					commit()
				}
				return
			}
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					commit()
				}
			})
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := start(b, inMemory(), 0)
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	for i := 0; i < len(keys); i += 100 {
		var txn store.Txn
		for _, key := range keys[i : i+100] {
			txn.Changes = append(txn.Changes, store.Change{Key: key, Value: []byte("n1")})
		}
		if _, err := s.Commit(b.Context(), txn); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if s.Snapshot().Get(keys[i*7919%len(keys)]) == nil {
			b.Fatal("object is missing")
		}
	}
}

// BenchmarkFanout has 10,000 cursors on one collection, each waiting for its own node; one event wakes one of them.
func BenchmarkFanout(b *testing.B) {
	s := start(b, inMemory(), 0)
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan store.Revision)
	done := make(chan struct{})
	const watchers = 10_000
	for i := range watchers {
		c, err := s.Watch(store.WatchOptions{Prefix: prefix, Index: "node", Value: fmt.Sprint("n", i)})
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			defer func() { done <- struct{}{} }()
			defer c.Close()
			for {
				e, err := c.Next(ctx)
				if err != nil {
					return
				}
				got <- e.Revision
			}
		}()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		rev := put(b, s, "pod", fmt.Sprintf("n7:%d", i))
		if r := <-got; r != rev {
			b.Fatalf("got event %d, want %d", r, rev)
		}
	}
	b.StopTimer()
	cancel()
	for range watchers {
		<-done
	}
}

// BenchmarkOpenTable loads 100,000 objects of 1 KiB, with an index of 1,000 values, from a log in memory.
func BenchmarkOpenTable(b *testing.B) {
	log, err := pebble.Open(inMemory())
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	const objects = 100_000
	for i := 0; i < objects; i += 100 {
		var txn store.Txn
		for j := i; j < i+100; j++ {
			value := make([]byte, 1024)
			copy(value, fmt.Sprintf("node-%03d:", j*7919%1000))
			txn.Changes = append(txn.Changes, store.Change{Key: fmt.Sprintf("%s%08d", prefix, j), Value: value})
		}
		if _, err := log.Append(b.Context(), txn); err != nil {
			b.Fatal(err)
		}
	}
	byNode := store.Collection{Prefix: prefix, Indexes: []store.Index{{Name: "node", Values: func(item *store.Item) []string {
		return []string{string(item.Value()[:8])}
	}}}}
	b.ReportAllocs()
	for b.Loop() {
		table, err := store.OpenTable(b.Context(), log, store.Config{Collections: []store.Collection{byNode}})
		if err != nil {
			b.Fatal(err)
		}
		if n := table.Snapshot().Count(prefix); n != objects {
			b.Fatalf("%d objects, want %d", n, objects)
		}
	}
}
