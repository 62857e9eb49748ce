package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/store"
)

// Place is where a log lies.
type Place struct {
	Open  Opener
	Clock clock.PassiveClock // the log's; nil: the real one
	// Advance moves the clock; nil: scripts that advance cannot run here.
	Advance func(time.Duration)
	// Restored names another place, for an empty log whose revisions begin above base; it keeps its own when it is opened again. nil: the
	// engine cannot be restored here, and that part of a test is left out.
	Restored func(t *testing.T, base store.Revision) Place
}

// Scripts runs every script in a folder over a log and a table on it. Commands:
//
//	commit [actor=NAME] [cause=TEXT]    lines of input: "if KEY REV|absent", "KEY = [minor] VALUE", "delete KEY"
//	list PREFIX [at=REV]                the table's state, or a past one
//	find PREFIX VALUE                   by the index of first letters of values
//	watch NAME PREFIX after=REV [value=V]
//	events NAME                         what the cursor has now
//	versions KEY                        what history has of a key
//	recent [bytes=N] [since=DURATION]   what a table that opens now would read back
//	compact REV                         0: only what is over its limits
//	advance DURATION                    of the clock
//	reopen                              closes and opens log and table; cursors are gone
//
// Revisions are named r1, r2, ... in the order in which they were given out, so that a script is true on every engine; r0 is 0.
func Scripts(t *testing.T, dir string, fresh func(t *testing.T) Place) {
	datadriven.Walk(t, dir, func(t *testing.T, path string) {
		s := &script{t: t, place: fresh(t), names: map[store.Revision]string{0: "r0"}, revisions: map[string]store.Revision{"r0": 0}}
		s.start()
		defer func() { s.stop() }()
		datadriven.RunTest(t, path, s.run)
	})
}

type script struct {
	t         *testing.T
	place     Place
	log       store.Log
	table     *store.Store
	stop      func()
	cursors   map[string]*store.Cursor
	names     map[store.Revision]string
	revisions map[string]store.Revision
}

// collections are those that scripts use.
var collections = []store.Collection{
	{Prefix: "/pods/", Indexes: []store.Index{{Name: "first", Values: func(item *store.Item) []string {
		if len(item.Value()) == 0 {
			return nil
		}
		return []string{string(item.Value()[:1])}
	}}}},
	{Prefix: "/leases/"},
}

func (s *script) start() {
	s.t.Helper()
	var err error
	if s.log, err = s.place.Open(); err != nil {
		s.t.Fatalf("open: %v", err)
	}
	s.cursors = map[string]*store.Cursor{}
	if s.table, err = store.Open(s.t.Context(), s.log, store.Config{Collections: collections, Clock: s.place.Clock}); err != nil {
		s.t.Fatalf("open table: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.table.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			s.t.Errorf("table: %v", err)
		}
		if err := s.log.Close(); err != nil {
			s.t.Errorf("close: %v", err)
		}
	}
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	commands := map[string]func(d *datadriven.TestData) (string, error){
		"commit": s.commit, "list": s.list, "find": s.find, "watch": s.watch, "events": s.events, "versions": s.versions,
		"recent": s.recent, "compact": s.compact, "advance": s.advance, "reopen": s.reopen,
	}
	f := commands[d.Cmd]
	if f == nil {
		t.Fatalf("%s: no command %s", d.Pos, d.Cmd)
	}
	out, err := f(d)
	if err != nil {
		return s.failure(err)
	}
	return out
}

// failure is the class of an error, and for a conflict what it names.
func (s *script) failure(err error) string {
	var conflict *store.ConflictError
	if errors.As(err, &conflict) {
		return fmt.Sprintf("conflict: %s wanted %s, found %s\n", conflict.Key, s.name(conflict.Wanted), s.name(conflict.Found))
	}
	for _, class := range []error{store.ErrExpired, store.ErrFuture, store.ErrTooLarge, store.ErrFull, store.ErrClosed} {
		if errors.Is(err, class) {
			return class.Error() + "\n"
		}
	}
	return "error: " + err.Error() + "\n"
}

func (s *script) name(rev store.Revision) string {
	if name, ok := s.names[rev]; ok {
		return name
	}
	return fmt.Sprintf("r?%d", rev)
}

func (s *script) revision(d *datadriven.TestData, name string) store.Revision {
	s.t.Helper()
	if name == "absent" {
		return 0
	}
	rev, ok := s.revisions[name]
	if !ok {
		s.t.Fatalf("%s: no revision %s", d.Pos, name)
	}
	return rev
}

// option returns the value of a key=value argument; "" when it is not there.
func option(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) == 1 {
			return a.Vals[0]
		}
	}
	return ""
}

func (s *script) commit(d *datadriven.TestData) (string, error) {
	txn := store.Txn{Actor: option(d, "actor"), Cause: option(d, "cause")}
	for line := range strings.Lines(d.Input) {
		words := strings.Fields(line)
		switch {
		case words[0] == "if":
			txn.Conditions = append(txn.Conditions, store.Condition{Key: words[1], Revision: s.revision(d, words[2])})
		case words[0] == "delete":
			txn.Changes = append(txn.Changes, store.Change{Key: words[1], Minor: len(words) > 2 && words[2] == "minor"})
		default:
			minor := words[2] == "minor"
			txn.Changes = append(txn.Changes, store.Change{Key: words[0], Value: []byte(words[len(words)-1]), Minor: minor})
		}
	}
	revs, err := s.table.Commit(s.t.Context(), txn)
	if err != nil {
		return "", err
	}
	var out []string
	for _, rev := range revs {
		name := fmt.Sprintf("r%d", len(s.names))
		s.names[rev], s.revisions[name] = name, rev
		out = append(out, name)
	}
	return strings.Join(out, " ") + "\n", nil
}

func (s *script) list(d *datadriven.TestData) (string, error) {
	prefix, at := d.CmdArgs[0].Key, option(d, "at")
	var out strings.Builder
	if at == "" {
		err := s.table.Sync(s.t.Context())
		for item := range s.table.Snapshot().Ascend(prefix, "") {
			s.print(&out, item)
		}
		return out.String(), err
	}
	err := s.table.At(s.t.Context(), s.revision(d, at), prefix, prefix+"\xff", func(item *store.Item) (bool, error) {
		s.print(&out, item)
		return true, nil
	})
	return out.String(), err
}

func (s *script) find(d *datadriven.TestData) (string, error) {
	var out strings.Builder
	for item := range s.table.Snapshot().Lookup(d.CmdArgs[0].Key, "first", d.CmdArgs[1].Key) {
		s.print(&out, item)
	}
	return out.String(), nil
}

func (s *script) print(out *strings.Builder, item *store.Item) {
	fmt.Fprintf(out, "%s = %s @%s\n", item.Key, item.Value(), s.name(item.Revision))
}

func (s *script) watch(d *datadriven.TestData) (string, error) {
	opts := store.WatchOptions{Prefix: d.CmdArgs[1].Key, After: s.revision(d, option(d, "after"))}
	if v := option(d, "value"); v != "" {
		opts.Index, opts.Value = "first", v
	}
	c, err := s.table.Watch(opts)
	if err == nil {
		s.cursors[d.CmdArgs[0].Key] = c
	}
	return "", err
}

func (s *script) events(d *datadriven.TestData) (string, error) {
	c := s.cursors[d.CmdArgs[0].Key]
	if c == nil {
		return "", fmt.Errorf("no cursor %s", d.CmdArgs[0].Key)
	}
	var out strings.Builder
	for {
		e, ok, err := c.TryNext()
		if err != nil {
			return "", err
		}
		if !ok {
			// Those who wait for a write are woken before the cursors.
			if c.Revision() >= s.table.Snapshot().Revision() {
				return out.String(), nil
			}
			runtime.Gosched()
			continue
		}
		switch {
		case e.Previous == nil:
			out.WriteString("added    ")
		case e.Item == nil:
			fmt.Fprintf(&out, "deleted  %s (was %s) @%s\n", e.Previous.Key, e.Previous.Value(), s.name(e.Revision))
			continue
		default:
			out.WriteString("changed  ")
		}
		s.print(&out, e.Item)
	}
}

func (s *script) versions(d *datadriven.TestData) (string, error) {
	var out strings.Builder
	err := s.log.Versions(s.t.Context(), d.CmdArgs[0].Key, func(r store.Record) error {
		s.printRecord(&out, r)
		return nil
	})
	return out.String(), err
}

func (s *script) printRecord(out *strings.Builder, r store.Record) {
	value := string(r.Value)
	if r.Value == nil {
		value = "deleted"
	}
	fmt.Fprintf(out, "%s %s = %s after %s", s.name(r.Revision), r.Key, value, s.name(r.Previous))
	for _, word := range []string{r.Actor, r.Cause} {
		if word != "" {
			out.WriteString(", " + word)
		}
	}
	out.WriteString("\n")
}

func (s *script) recent(d *datadriven.TestData) (string, error) {
	window := store.Window{Bytes: 1 << 20}
	if text := option(d, "bytes"); text != "" {
		if _, err := fmt.Sscan(text, &window.Bytes); err != nil {
			return "", err
		}
	}
	var out strings.Builder
	from, err := s.log.Recent(s.t.Context(), s.table.Snapshot().Revision(), window, func(r, replaced store.Record) error {
		s.printRecord(&out, r)
		if replaced.Revision != r.Previous {
			fmt.Fprintf(&out, "  but %s is given\n", s.name(replaced.Revision))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&out, "complete after %s\n", s.name(from))
	return out.String(), nil
}

func (s *script) compact(d *datadriven.TestData) (string, error) {
	return "", s.log.Compact(s.t.Context(), s.revision(d, d.CmdArgs[0].Key))
}

func (s *script) advance(d *datadriven.TestData) (string, error) {
	by, err := time.ParseDuration(d.CmdArgs[0].Key)
	if err == nil {
		s.place.Advance(by)
	}
	return "", err
}

func (s *script) reopen(*datadriven.TestData) (string, error) {
	s.stop()
	s.start()
	return "", nil
}
