package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/floe-k8s/floe/internal/store"
)

func TestRoundTrip(t *testing.T) {
	sealed := plainly
	sealed.Sealing = sealing(t, "aesgcm", 1)
	for name, opts := range map[string]Options{"plain": plainly, "sealed": sealed} {
		t.Run(name, func(t *testing.T) {
			src := sample(t)
			file, saved := mustSave(t, src, opts)
			verified, err := Verify(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			dst := newMemory(saved.Revision + store.RevisionLeap)
			restored, err := Restore(t.Context(), bytes.NewReader(file), dst, opts.Sealing)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(src.contents(), dst.contents()); diff != "" {
				t.Errorf("restored log differs (-source +restored):\n%s", diff)
			}
			if diff := cmp.Diff(saved, verified); diff != "" {
				t.Errorf("Verify tells another summary than Save:\n%s", diff)
			}
			if diff := cmp.Diff(saved, restored); diff != "" {
				t.Errorf("Restore tells another summary than Save:\n%s", diff)
			}
		})
	}
}

func TestSummary(t *testing.T) {
	file, got := mustSave(t, sample(t), plainly)
	want := Summary{
		Format: 1, Version: "v0.3.0", Time: noon, Revision: 49, Records: 5, Bytes: int64(len(file)),
		Collections: []Collection{
			{Prefix: "/registry/empty", Records: 1, Bytes: 15},
			{Prefix: "/registry/leases", Records: 2, Bytes: 2*34 + 4 + 3},
			{Prefix: "/registry/pods", Records: 1, Bytes: 26 + 19},
			{Prefix: "floe", Records: 1, Bytes: 5},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
}

func TestAnEmptyLogIsSavedAndRestored(t *testing.T) {
	file, s := mustSave(t, newMemory(7), plainly)
	dst := newMemory(0)
	if _, err := Restore(t.Context(), bytes.NewReader(file), dst, Sealing{}); err != nil {
		t.Fatal(err)
	}
	if s.Revision != 7 || s.Records != 0 || dst.txns != 0 {
		t.Errorf("got %+v and %d transactions, want revision 7 and nothing in it", s, dst.txns)
	}
}

func TestCollectionsAreBounded(t *testing.T) {
	tl := newTally()
	for i := range maxCollections + 3 {
		if err := tl.add(&record{key: fmt.Appendf(nil, "/registry/%06d/x", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := tl.add(&record{key: []byte("/registry/" + strings.Repeat("z", maxPrefix) + "/x")}); err != nil {
		t.Fatal(err)
	}
	all := tl.sorted()
	if last := all[len(all)-1]; len(all) != maxCollections+1 || last.Prefix != OtherPrefix || last.Records != 4 {
		t.Errorf("%d collections, the last %+v; want %d and 4 records in %q", len(all), last, maxCollections+1, OtherPrefix)
	}
}

// writing lets another transaction in before each record that is loaded.
type writing struct {
	*memory
	write func(i int)
}

func (w writing) Load(ctx context.Context, each func(store.Record) error) (store.Revision, error) {
	i := 0
	return w.memory.Load(ctx, func(r store.Record) error {
		w.write(i)
		i++
		return each(r)
	})
}

func TestSaveIsOneStateWhileOthersWrite(t *testing.T) {
	src := many(t, 500, 64)
	var writers sync.WaitGroup
	file, s := mustSave(t, writing{src, func(i int) {
		writers.Go(func() {
			key := fmt.Sprintf("/registry/pods/ns-%03d/pod-%07d", i%100, i)
			if _, err := src.Append(t.Context(), store.Txn{Actor: "late", Changes: []store.Change{{Key: key, Value: []byte("late")}}}); err != nil {
				t.Error(err)
			}
		})
	}}, plainly)
	writers.Wait()
	if src.assigned == s.Revision {
		t.Fatal("nobody wrote during the save: the test proves nothing")
	}
	dst := newMemory(s.Revision + store.RevisionLeap)
	if _, err := Restore(t.Context(), bytes.NewReader(file), dst, Sealing{}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(src.contentsAt(s.Revision), dst.contents()); diff != "" {
		t.Errorf("restored is not the state at %d:\n%s", s.Revision, diff)
	}
}

func TestSealedSnapshotHoldsNoPlainValue(t *testing.T) {
	opts := plainly
	opts.Sealing = sealing(t, "aesgcm", 1)
	open, _ := mustSave(t, sample(t), plainly)
	sealed, s := mustSave(t, sample(t), opts)
	if secret := []byte("secret-value"); !bytes.Contains(open, secret) || bytes.Contains(sealed, secret) {
		t.Errorf("value in the plain snapshot: %t (want true), in the sealed one: %t (want false)", bytes.Contains(open, secret), bytes.Contains(sealed, secret))
	}
	if !s.Sealed || s.Codec != "aesgcm" {
		t.Errorf("summary says sealed %t by %q", s.Sealed, s.Codec)
	}
}

func TestRestoreRefusesTheWrongCodec(t *testing.T) {
	opts := plainly
	opts.Sealing = sealing(t, "aesgcm", 1)
	file, s := mustSave(t, sample(t), opts)
	for name, given := range map[string]Sealing{
		"none":        {},
		"other name":  sealing(t, "kms", 1),
		"other key":   sealing(t, "aesgcm", 2),
		"not a codec": {Name: "aesgcm", Codec: refusing{}},
	} {
		dst := newMemory(s.Revision + store.RevisionLeap)
		_, err := Restore(t.Context(), bytes.NewReader(file), dst, given)
		if !errors.Is(err, ErrSealed) || !strings.Contains(err.Error(), `"aesgcm"`) || !strings.Contains(err.Error(), "nothing was written") {
			t.Errorf("%s: got %v, want ErrSealed that names the codec", name, err)
		}
		if dst.txns != 0 {
			t.Errorf("%s: %d transactions were written", name, dst.txns)
		}
	}
}

type refusing struct{}

func (refusing) Seal(string, []byte) ([]byte, error) { return nil, errors.New("no key") }
func (refusing) Open(string, []byte) ([]byte, error) { return nil, errors.New("no key") }

func TestAPlainSnapshotIsRestoredByAServerWithACodec(t *testing.T) {
	file, s := mustSave(t, sample(t), plainly)
	dst := newMemory(s.Revision + store.RevisionLeap)
	if _, err := Restore(t.Context(), bytes.NewReader(file), dst, sealing(t, "aesgcm", 1)); err != nil {
		t.Fatal(err)
	}
	if len(dst.contents()) != 5 {
		t.Errorf("restored %d keys, want 5", len(dst.contents()))
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, opts := range map[string]Options{
		"no time":            {Version: "v1"},
		"codec without name": {Version: "v1", Time: noon, Sealing: Sealing{Codec: refusing{}}},
		"name without codec": {Version: "v1", Time: noon, Sealing: Sealing{Name: "aesgcm"}},
		"escape in version":  {Version: "v1\x1b[2J", Time: noon},
		"long version":       {Version: strings.Repeat("v", maxName+1), Time: noon},
	} {
		var out bytes.Buffer
		if _, err := Save(t.Context(), sample(t), &out, opts); err == nil || out.Len() > 0 {
			t.Errorf("%s: got error %v and %d bytes, want an error and nothing", name, err, out.Len())
		}
	}
}

// list is a source that hands over what it is told to.
type list struct {
	records []store.Record
	rev     store.Revision
	err     error
}

func (l list) Load(_ context.Context, each func(store.Record) error) (store.Revision, error) {
	for _, r := range l.records {
		if err := each(r); err != nil {
			return 0, err
		}
	}
	return l.rev, l.err
}

func TestSaveRefusesWhatCouldNotBeRestored(t *testing.T) {
	value := []byte("v")
	for name, src := range map[string]list{
		"keys fall":         {rev: 9, records: []store.Record{{Key: "b", Revision: 1, Value: value}, {Key: "a", Revision: 2, Value: value}}},
		"key twice":         {rev: 9, records: []store.Record{{Key: "a", Revision: 1, Value: value}, {Key: "a", Revision: 2, Value: value}}},
		"deleted":           {rev: 9, records: []store.Record{{Key: "a", Revision: 1}}},
		"no key":            {rev: 9, records: []store.Record{{Revision: 1, Value: value}}},
		"zero byte":         {rev: 9, records: []store.Record{{Key: "a\x00b", Revision: 1, Value: value}}},
		"no revision":       {rev: 9, records: []store.Record{{Key: "a", Value: value}}},
		"previous":          {rev: 9, records: []store.Record{{Key: "a", Revision: 3, Previous: 3, Value: value}}},
		"above the state":   {rev: 9, records: []store.Record{{Key: "a", Revision: 10, Value: value}}},
		"no room to rise":   {rev: maxRevision + 1},
		"too large":         {rev: 9, records: []store.Record{{Key: "a", Revision: 1, Value: make([]byte, store.MaxTxnBytes)}}},
		"cause of 2 MiB":    {rev: 9, records: []store.Record{{Key: "a", Revision: 1, Value: value, Cause: strings.Repeat("c", maxRecord)}}},
		"largest that fits": {rev: 9, records: []store.Record{{Key: "a", Revision: 1, Value: make([]byte, store.MaxTxnBytes-1)}}},
	} {
		_, err := Save(t.Context(), src, new(bytes.Buffer), plainly)
		if fits := name == "largest that fits"; fits != (err == nil) || !fits && !errors.Is(err, ErrUnfit) {
			t.Errorf("%s: got %v, want ErrUnfit: %t", name, err, !fits)
		}
	}
}

func TestSaveReportsSourceWriterCodecAndContext(t *testing.T) {
	broken := errors.New("broken")
	if _, err := Save(t.Context(), list{err: broken}, new(bytes.Buffer), plainly); !errors.Is(err, broken) {
		t.Errorf("source: got %v", err)
	}
	if _, err := Save(t.Context(), many(t, 2000, 1024), failingWriter{broken}, plainly); !errors.Is(err, broken) {
		t.Errorf("writer: got %v", err)
	}
	opts := plainly
	opts.Sealing = Sealing{Name: "aesgcm", Codec: refusing{}}
	if _, err := Save(t.Context(), sample(t), new(bytes.Buffer), opts); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Errorf("codec: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Save(ctx, sample(t), new(bytes.Buffer), plainly); !errors.Is(err, context.Canceled) {
		t.Errorf("context: got %v", err)
	}
}

type failingWriter struct{ err error }

func (f failingWriter) Write([]byte) (int, error) { return 0, f.err }

func TestRestoreReplacesNothing(t *testing.T) {
	file, s := mustSave(t, sample(t), plainly)
	dst := newMemory(s.Revision + store.RevisionLeap)
	dst.put(t, store.Txn{Changes: []store.Change{{Key: "/registry/pods/default/web", Value: []byte("mine")}}})
	_, err := Restore(t.Context(), bytes.NewReader(file), dst, Sealing{})
	if !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got %v, want a conflict that says the log is not empty", err)
	}
	if got := dst.contents()["/registry/pods/default/web"].Value; got != "mine" {
		t.Errorf("what was there is now %q", got)
	}
}

func TestRestoreRefusesRevisionsThatClientsMayHaveSeen(t *testing.T) {
	file, s := mustSave(t, sample(t), plainly)
	for _, base := range []store.Revision{0, s.Revision, s.Revision + store.RevisionLeap - 6} {
		if _, err := Restore(t.Context(), bytes.NewReader(file), newMemory(base), Sealing{}); !errors.Is(err, ErrUnfit) {
			t.Errorf("base %d below %d: got %v, want ErrUnfit", base, s.Revision+store.RevisionLeap, err)
		}
	}
	// The first revision after this base is the least that is allowed.
	if _, err := Restore(t.Context(), bytes.NewReader(file), newMemory(s.Revision+store.RevisionLeap-1), Sealing{}); err != nil {
		t.Errorf("least base: %v", err)
	}
}

func TestRestoreWritesNothingOfADamagedSnapshot(t *testing.T) {
	file, s := mustSave(t, many(t, 1000, 1024), plainly)
	file[len(file)-1] ^= 1
	dst := newMemory(s.Revision + store.RevisionLeap)
	_, err := Restore(t.Context(), bytes.NewReader(file), dst, Sealing{})
	if !errors.Is(err, ErrDamaged) || dst.txns != 0 {
		t.Errorf("got %v and %d transactions, want ErrDamaged and none", err, dst.txns)
	}
}

// changing is another file at the second reading.
type changing struct {
	*bytes.Reader
	next  []byte
	seeks int
}

func (c *changing) Seek(offset int64, whence int) (int64, error) {
	if c.seeks++; c.seeks == 2 {
		c.Reader = bytes.NewReader(c.next)
	}
	return c.Reader.Seek(offset, whence)
}

func TestRestoreNoticesAFileThatChanges(t *testing.T) {
	file, s := mustSave(t, sample(t), plainly)
	src := sample(t)
	src.put(t, store.Txn{Changes: []store.Change{{Key: "new", Value: []byte("x")}}})
	other, _ := mustSave(t, src, plainly)
	dst := newMemory(s.Revision + store.RevisionLeap)
	_, err := Restore(t.Context(), &changing{Reader: bytes.NewReader(file), next: other}, dst, Sealing{})
	if err == nil || !strings.Contains(err.Error(), "changed") || !strings.Contains(err.Error(), "remove the new log") {
		t.Errorf("got %v, want an error that says so and what to do", err)
	}
}

// slow answers after a while, in which everything that may be under way is.
type slow struct {
	*memory
	mu          sync.Mutex
	flying      int
	now, most   int // bytes under way
	mostFlying  int
	failAt      int // the how-manieth transaction fails; 0: none
	failure     error
	begun       int
	cancelAfter func()
}

func (s *slow) Append(ctx context.Context, txn store.Txn) ([]store.Revision, error) {
	size := 0
	for _, c := range txn.Changes {
		size += len(c.Key) + len(c.Value)
	}
	s.mu.Lock()
	s.begun++
	fails := s.begun == s.failAt
	s.now += size
	s.flying++
	s.most, s.mostFlying = max(s.most, s.now), max(s.mostFlying, s.flying)
	s.mu.Unlock()
	select {
	case <-time.After(time.Millisecond):
	case <-ctx.Done():
	}
	s.mu.Lock()
	s.now -= size
	s.flying--
	s.mu.Unlock()
	if fails {
		if s.cancelAfter != nil {
			s.cancelAfter()
		}
		return nil, s.failure
	}
	return s.memory.Append(ctx, txn)
}

func TestRestoreHasManyTransactionsUnderWayWithinItsBytes(t *testing.T) {
	small, smallest := mustSave(t, many(t, 20_000, 100), plainly)
	large, largest := mustSave(t, many(t, 60, 1<<20), plainly)
	restore := func(file []byte, s Summary) (dst *slow) {
		dst = &slow{memory: newMemory(s.Revision + store.RevisionLeap)}
		synctest.Test(t, func(t *testing.T) {
			if _, err := Restore(t.Context(), bytes.NewReader(file), dst, Sealing{}); err != nil {
				t.Error(err)
			}
		})
		return dst
	}
	if d := restore(small, smallest); d.mostFlying != appenders {
		t.Errorf("small records: at most %d transactions under way, want %d", d.mostFlying, appenders)
	}
	if d := restore(large, largest); d.most > flightBytes || d.mostFlying < 15 {
		t.Errorf("large records: %d bytes in %d transactions under way, want at most %d, in 15 or 16", d.most, d.mostFlying, flightBytes)
	}
}

func TestRecordsOfOneActorAndCauseShareTransactions(t *testing.T) {
	src := newMemory(0)
	for i := range 1000 {
		src.put(t, store.Txn{Actor: "a", Cause: "c", Changes: []store.Change{{Key: fmt.Sprintf("/k/%04d", i), Value: []byte("v")}}})
	}
	file, s := mustSave(t, src, plainly)
	dst := newMemory(s.Revision + store.RevisionLeap)
	if _, err := Restore(t.Context(), bytes.NewReader(file), dst, Sealing{}); err != nil {
		t.Fatal(err)
	}
	if dst.txns != 1000/store.MaxTxnRecords {
		t.Errorf("%d transactions, want %d", dst.txns, 1000/store.MaxTxnRecords)
	}
}

func TestRestoreReportsWhatTheLogFailedWith(t *testing.T) {
	file, s := mustSave(t, many(t, 20_000, 100), plainly)
	synctest.Test(t, func(t *testing.T) {
		dst := &slow{memory: newMemory(s.Revision + store.RevisionLeap), failAt: 300, failure: fmt.Errorf("disk: %w", store.ErrFull)}
		_, err := Restore(t.Context(), bytes.NewReader(file), dst, Sealing{})
		if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "make room") || !strings.Contains(err.Error(), "of 20000 records") {
			t.Errorf("got %v, want ErrFull with what to do", err)
		}
		if dst.flying != 0 {
			t.Errorf("%d transactions are still under way after the return", dst.flying)
		}
	})
}

func TestRestoreEndsWithItsContext(t *testing.T) {
	file, s := mustSave(t, many(t, 20_000, 100), plainly)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		dst := &slow{memory: newMemory(s.Revision + store.RevisionLeap), failAt: 300, cancelAfter: cancel, failure: context.Canceled}
		_, err := Restore(ctx, bytes.NewReader(file), dst, Sealing{})
		if !errors.Is(err, context.Canceled) || dst.begun > 300+2*appenders {
			t.Errorf("got %v after %d transactions", err, dst.begun)
		}
	})
}
