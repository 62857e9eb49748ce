package etcd

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/etcd/etcdtest"
)

// BenchmarkAppend writes 1 KiB objects, each on condition of the version before it, to one member that syncs its disk.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 256} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			l := mustOpen(b, Options{Endpoints: etcdtest.Start(b, 1).Endpoints()})
			var next atomic.Int64
			b.SetParallelism(max(writers/runtime.GOMAXPROCS(0), 1)) // at least one for each processor
			b.ReportAllocs()
			b.SetBytes(1 << 10)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				name, rev := fmt.Sprint("w", next.Add(1)), store.Revision(0)
				for pb.Next() {
					revs, err := l.Append(b.Context(), store.Txn{
						Conditions: []store.Condition{{Key: key(name), Revision: rev}}, Changes: []store.Change{{Key: key(name), Value: make([]byte, 1<<10)}},
					})
					if err != nil {
						b.Error(err)
						return
					}
					rev = revs[0]
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "txns/s")
		})
	}
}

// BenchmarkSync lets readers make sure that they are current, while nobody writes: alone, and many who share reads.
func BenchmarkSync(b *testing.B) {
	for _, readers := range []int{1, 256} {
		b.Run(fmt.Sprint("readers=", readers), func(b *testing.B) {
			l, _ := start(b)
			table := runTable(b, l)
			b.SetParallelism(max(readers/runtime.GOMAXPROCS(0), 1))
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := table.Sync(b.Context()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkLoad loads 20,000 objects of 1 KiB, every second one written behind another.
func BenchmarkLoad(b *testing.B) {
	l, _ := start(b)
	const objects = 20_000
	for i := 0; i < objects; i += 2 {
		must(b, l, set(fmt.Sprintf("%06d", i), string(make([]byte, 1<<10))), set(fmt.Sprintf("%06d", i+1), string(make([]byte, 1<<10))))
	}
	b.ReportAllocs()
	b.SetBytes(objects << 10)
	for b.Loop() {
		if n := len(load(b, l)); n != objects {
			b.Fatalf("loaded %d objects, want %d", n, objects)
		}
	}
}
