package storetest

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/floe-k8s/floe/internal/store"
)

// SeedVariable names the environment variable that random tests take their seed from, in decimal. The seed fixes what is drawn, but not
// how goroutines meet: a failure under load may take several runs to come again.
const SeedVariable = "FLOE_TEST_SEED"

// seed returns the seed of a random test, and prints it.
func seed(t *testing.T) uint64 {
	t.Helper()
	var random [8]byte
	crand.Read(random[:])
	seed := binary.NativeEndian.Uint64(random[:])
	if text := os.Getenv(SeedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", SeedVariable, err)
		}
	}
	t.Logf("seed %d (set %s to draw the same again)", seed, SeedVariable)
	return seed
}

// Size says how much a random test does.
type Size struct {
	Rounds int // each in a place of its own
	Writes int // transactions of each writer in one phase; a round has some ten phases
}

const (
	writerCount = 6
	// ringBytes is small, so that who does not read falls out of the ring; an event is charged eventBytes at least.
	ringBytes  = 32 << 10
	eventBytes = 256
	ringEvents = ringBytes / eventBytes
)

// Law2 holds a log, and a table on it, to the second law: revisions are unique and only rise, also across a restore, and a list
// with a watch from its revision sees every change exactly once, in order.
//
// A round goes through phases. In each, writers commit random transactions and watchers of many kinds read, while one kind of trouble
// comes: compaction, tables that have to load again, log and table closed and opened, a snapshot saved. At the end of a phase
// everybody rests, and what each watcher was told is compared with what the writers were told. In the middle of a round the log is lost and
// restored from the snapshot, when the place can do that.
//
// Watchers are fast, which read at once; slow, which read a little and then fall out of the ring; or broken, which drop cursors without
// closing them, go on from their last event or bookmark, or list again. Each of them reads a collection, a namespace, one key, or
// by index.
func Law2(t *testing.T, fresh func(t *testing.T) Place, size Size) {
	seed := seed(t)
	tally := &tally{counts: map[string]int{}}
	for n := range size.Rounds {
		r := &round{T: t, rng: rand.New(rand.NewPCG(seed, uint64(n))), place: fresh(t), size: size, tally: tally}
		r.run()
		if t.Failed() {
			t.Fatalf("in round %d", n)
		}
	}
	t.Log(tally)
	if !t.Failed() {
		tally.check(t)
	}
}

// round is one run over one place. Its fields are those of the test's goroutine, and of the first writer while a phase goes on.
type round struct {
	*testing.T
	ctx    context.Context // ends with the first failure
	cancel context.CancelFunc
	rng    *rand.Rand
	place  Place
	size   Size
	tally  *tally

	now      currentEpoch
	past     *past // of the log of now; changed between phases only
	watchers []*watcher
	saved    *saved
}

// fail notes an error of any goroutine, and lets all end.
func (r *round) fail(err error) {
	if err == nil || r.ctx.Err() != nil {
		return // what follows the first failure only says that all end
	}
	r.cancel()
	r.Error(err)
}

// draw returns a source for another goroutine.
func (r *round) draw() *rand.Rand { return rand.New(rand.NewPCG(r.rng.Uint64(), r.rng.Uint64())) }

func (r *round) run() {
	r.ctx, r.cancel = context.WithCancel(r.Context())
	defer r.cancel()
	if err := r.open(); err != nil {
		r.Fatal(err)
	}
	defer func() { r.fail(r.close(false)) }()
	r.past = newPast(r.now.get().table.Snapshot())
	for _, habit := range []habit{fast, slow, broken} {
		for _, s := range scopes {
			r.watchers = append(r.watchers, &watcher{round: r, habit: habit, scope: s, rng: r.draw()})
		}
	}
	r.phases()
	if r.place.Restored == nil || r.ctx.Err() != nil {
		return
	}
	r.phase("a snapshot is saved", 1, r.save)
	if r.ctx.Err() == nil {
		r.fail(r.restore())
	}
	r.phases()
}

// phases lets each kind of trouble come once, in any order.
func (r *round) phases() {
	kinds := []func(){
		func() { r.phase("no trouble", 0, nil) },
		func() { r.phase("compaction", 4, r.compact) },
		func() { r.phase("tables load again", 3, r.reload) },
		func() { r.phase("log and table are opened again", 2, r.reopen) },
		func() { r.fail(r.rest()) },
	}
	r.rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for _, phase := range kinds {
		if r.ctx.Err() == nil {
			phase()
		}
	}
}

// phase lets writers and watchers go, with trouble coming some times, until the writers have written.
func (r *round) phase(name string, times int, trouble func(*writer) error) {
	ctx, end := context.WithCancel(r.ctx)
	defer end()
	var all []*writer
	for range writerCount {
		all = append(all, &writer{round: r, rng: r.draw()})
	}
	if times > 0 {
		all[0].trouble, all[0].every = trouble, max(1, r.size.Writes/(times+1))
	}
	var writers, watchers sync.WaitGroup
	for _, w := range r.watchers {
		watchers.Go(func() { r.fail(w.watch(ctx)) })
	}
	for _, w := range all {
		writers.Go(func() { r.fail(w.write(r.size.Writes)) })
	}
	writers.Wait()
	end()
	watchers.Wait()
	if r.ctx.Err() == nil {
		if err := r.settle(); err != nil {
			r.fail(fmt.Errorf("after a phase with %s: %w", name, err))
		}
	}
}

// rest opens log and table again while nobody writes, so that their rings hold what was read back and nothing else.
func (r *round) rest() error {
	err := r.reopen(nil)
	if err == nil {
		err = r.settle()
	}
	if err != nil {
		return fmt.Errorf("opened again at rest: %w", err)
	}
	return nil
}

// settle compares everything while nobody writes.
func (r *round) settle() error {
	e := r.now.get()
	if err := e.table.Sync(r.ctx); err != nil {
		return err
	}
	told, err := r.past.settle()
	if err != nil {
		return err
	}
	if at := e.table.Snapshot().Revision(); at < told.end() {
		return fmt.Errorf("the table is current at revision %d, and %d has been acknowledged", at, told.end())
	}
	for _, w := range r.watchers {
		if err := w.settle(e, told); err != nil {
			return err
		}
	}
	for _, s := range scopes {
		if err := r.probe(e, told, s); err != nil {
			return fmt.Errorf("a new watch of %s: %w", s, err)
		}
	}
	return nil
}

// probe looks for the oldest revision that a watch may begin at, and watches from there.
func (r *round) probe(e *epoch, h *chronicle, s scope) error {
	revisions := h.revisions()
	var failed error
	n, _ := slices.BinarySearchFunc(revisions, true, func(rev store.Revision, _ bool) int {
		c, err := e.watch(s, rev)
		switch {
		case err == nil:
			c.Close()
			return 1
		case !isExpired(err):
			failed = err
		}
		return -1
	})
	if failed != nil || n == len(revisions) {
		return failed
	}
	from := revisions[n]
	c, err := e.watch(s, from)
	if err != nil {
		return err
	}
	defer c.Close()
	events, err := drain(r.ctx, c, e.table.Snapshot().Revision())
	if err == nil {
		err = h.compare(s, from, h.end(), events)
	}
	r.tally.add("events probed", len(events))
	return err
}

// tally counts what has come to pass, so that a test that proves nothing is found out.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *tally) add(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what] += n
}

// String lists the counts.
func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := ""
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		text += fmt.Sprintf("%s: %d\n", what, c.counts[what])
	}
	return text
}

// check wants that everything came that always comes.
func (c *tally) check(t *testing.T) {
	for _, what := range []string{
		"transactions", "conflicts", "events fast", "events slow", "events broken", "events probed", "expired slow", "resumed broken", "compactions", "loaded again", "opened again",
	} {
		if c.counts[what] == 0 {
			t.Errorf("the test has shown nothing of: %s", what)
		}
	}
}
