package main

import (
	"context"
	crand "crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/pebble"
)

// opened is what it took to open a log, and what it takes to hold its table.
type opened struct {
	GCPercent int     `json:"gcPercent"` // GOGC; -1: off
	Objects   int     `json:"objects"`
	Encoded   int64   `json:"encodedBytes"`  // of the objects' values together
	Log       float64 `json:"logSeconds"`    // to open the log
	Table     float64 `json:"tableSeconds"`  // to load the table from it
	CPU       float64 `json:"cpuSeconds"`    // that both took
	Live      int64   `json:"liveBytes"`     // of the heap after a collection
	Peak      int64   `json:"peakBytes"`     // resident at most, while opening
	Begun     int64   `json:"begunBytes"`    // resident when it is open
	Resident  int64   `json:"residentBytes"` // after that collection
	Writes    int     `json:"writes"`        // done after that, each of another object
	Written   int64   `json:"writtenBytes"`  // resident at most until they were done: the collector lets a heap grow
}

// million is the parent: one process fills the log, others open it, twice with each setting of the collector. The first of two finds nothing of the log
// in the page cache; the second goes on and writes.
func million(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("million", flag.ContinueOnError)
	objects := flags.Int("objects", 1_000_000, "how many, of 1 KiB each; a multiple of 100")
	indexes := flags.Int("indexes", 1, "how many indexes the collection has, of 1,000 values each")
	settings := flags.String("gogc", "100", "the collector's settings, separated by commas: GOGC of the processes that open the log")
	profile := flags.String("profile", "", "a directory for cpu.pprof and heap.pprof of the last opening; empty: none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return inTemporary(func(dir string) error {
		dir = filepath.Join(dir, "log")
		if err := child(ctx, nil, nil, "fill", dir, strconv.Itoa(*objects)); err != nil {
			return err
		}
		size, err := forget(dir)
		if err != nil {
			return err
		}
		fmt.Printf("%d objects of %d bytes, %d indexes; on disk %d MB\n", *objects, valueBytes, *indexes, size/1e6)
		open := []string{"open", "-indexes", strconv.Itoa(*indexes), "-profile", *profile}
		for setting := range strings.SplitSeq(*settings, ",") {
			env := []string{"GOGC=" + setting}
			var cold, cached opened
			if _, err := forget(dir); err != nil {
				return err
			}
			if err := child(ctx, &cold, env, append(open, dir)...); err != nil {
				return err
			}
			cold.print("cold")
			if err := child(ctx, &cached, env, append(open, "-writes", strconv.Itoa(*objects/5), dir)...); err != nil {
				return err
			}
			cached.print("cached")
		}
		return nil
	})
}

func (o *opened) print(state string) {
	share := func(n int64) string {
		return fmt.Sprintf("%d MB (%.2f x values)", n/1e6, float64(n)/float64(o.Encoded))
	}
	fmt.Printf("GOGC=%d, %s: opened in %.2f s (log %.2f s, table %.2f s; CPU %.2f s), resident %s, at most %s; collected: live heap %s, resident %s\n", o.GCPercent, state,
		o.Log+o.Table, o.Log, o.Table, o.CPU, share(o.Begun), share(o.Peak), share(o.Live), share(o.Resident))
	if o.Writes > 0 {
		fmt.Printf("GOGC=%d, %d objects written again: resident at most %s\n", o.GCPercent, o.Writes, share(o.Written))
	}
}

// forget drops what the page cache has of a directory's files, which are synced, and returns their size.
func forget(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		size += info.Size()
		return errors.Join(unix.Fdatasync(int(f.Fd())), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	})
	return size, err
}

func fillFrom(ctx context.Context, args []string) error {
	objects, err := strconv.Atoi(args[1])
	if err != nil || objects <= 0 || objects%store.MaxTxnRecords != 0 {
		return fmt.Errorf("objects %q: want a multiple of %d", args[1], store.MaxTxnRecords)
	}
	return fill(ctx, args[0], objects)
}

// fill makes a log of objects whose values are random, so that the engine's compression finds nothing. It needs no table.
func fill(ctx context.Context, dir string, objects int) (err error) {
	log, err := pebble.Open(pebble.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var writers sync.WaitGroup
	for w := range 16 {
		random := rand.NewChaCha8([32]byte{byte(w)})
		writers.Go(func() {
			for ctx.Err() == nil {
				first := int(next.Add(store.MaxTxnRecords)) - store.MaxTxnRecords
				if first >= objects {
					return
				}
				txn := store.Txn{Actor: "bench"}
				for i := first; i < first+store.MaxTxnRecords; i++ {
					value := make([]byte, valueBytes)
					random.Read(value) // never fails
					txn.Changes = append(txn.Changes, store.Change{Key: keyOf(i), Value: value})
				}
				if _, err := log.Append(ctx, txn); err != nil {
					cancel(err)
				}
			}
		})
	}
	writers.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("fill: %w", context.Cause(ctx))
	}
	return nil
}

func openFrom(ctx context.Context, c clock.PassiveClock, args []string) error {
	flags := flag.NewFlagSet("open", flag.ContinueOnError)
	indexes := flags.Int("indexes", 1, "")
	profile := flags.String("profile", "", "")
	writes := flags.Int("writes", 0, "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return answer(measureOpen(ctx, c, flags.Arg(0), collection(*indexes), *profile, *writes))
}

// measureOpen opens a log and its table and says what that took, then writes so many objects again.
func measureOpen(ctx context.Context, c clock.PassiveClock, dir string, objects store.Collection, profile string, writes int) (o opened, err error) {
	stop, err := profileCPU(profile)
	if err != nil {
		return opened{}, err
	}
	cpu, start := ownCPU(), c.Now()
	log, err := pebble.Open(pebble.Options{Dir: dir})
	if err != nil {
		return opened{}, err
	}
	o.Log = c.Since(start).Seconds()
	start = c.Now()
	s, err := openTable(ctx, log, objects)
	if err != nil {
		return opened{}, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	o.Table, o.CPU = c.Since(start).Seconds(), (ownCPU() - cpu).Seconds()
	if err := errors.Join(stop(), o.hold(s.Store), profileHeap(profile)); err != nil || writes == 0 {
		return o, err
	}
	return o, o.write(ctx, c, s.Store, writes)
}

// write puts so many objects again, each another one.
func (o *opened) write(ctx context.Context, c clock.PassiveClock, s *store.Store, writes int) error {
	_, err := load{name: "write", clients: manyPuts, total: writes, run: 1, do: func(ctx context.Context, i int) error {
		value := make([]byte, valueBytes)
		crand.Read(value) // never fails
		_, err := s.Commit(ctx, store.Txn{Changes: []store.Change{{Key: keyOf(i % o.Objects), Value: value}}, Actor: "bench"})
		return err
	}}.measure(ctx, c)
	if err != nil {
		return fmt.Errorf("write again: %w", err)
	}
	o.Writes = writes
	o.Written, err = memoryOf("self", "VmHWM")
	return err
}

// hold fills in what an open table takes.
func (o *opened) hold(s *store.Store) error {
	var errs [3]error
	o.Begun, errs[0] = memoryOf("self", "VmRSS")
	o.Peak, errs[1] = memoryOf("self", "VmHWM")
	// Twice: what the first frees of pools and with finalizers, the second collects.
	runtime.GC()
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	o.Live = int64(memory.HeapAlloc)
	o.Resident, errs[2] = memoryOf("self", "VmRSS")
	// The only way to read the setting is to change it.
	o.GCPercent = debug.SetGCPercent(-1)
	debug.SetGCPercent(o.GCPercent)
	for item := range s.Snapshot().Ascend(prefix, "") {
		o.Objects++
		o.Encoded += int64(item.Size())
	}
	if o.Objects == 0 || o.Encoded != int64(o.Objects*valueBytes) {
		errs[0] = errors.Join(errs[0], fmt.Errorf("%d objects of together %d bytes", o.Objects, o.Encoded))
	}
	return errors.Join(errs[:]...)
}

// collection has indexes of 1,000 values each, as pods have one by their node.
func collection(indexes int) store.Collection {
	c := store.Collection{Prefix: prefix}
	values := make([][]string, 1000)
	for i := range values {
		values[i] = []string{fmt.Sprintf("node-%03d", i)}
	}
	for i := range indexes {
		c.Indexes = append(c.Indexes, store.Index{Name: "index" + strconv.Itoa(i), Values: func(item *store.Item) []string {
			return values[(int(item.Value()[0])<<8|int(item.Value()[1]))%len(values)]
		}})
	}
	return c
}

func profileCPU(dir string) (stop func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return nil, err
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, pprof.StartCPUProfile(f)
}

func profileHeap(dir string) error {
	if dir == "" {
		return nil
	}
	f, err := os.Create(filepath.Join(dir, "heap.pprof"))
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}
