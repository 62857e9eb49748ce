package pebble

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/floe-k8s/floe/internal/store"
)

// killedDir is set for the test's own child process, and names the directory that it writes to.
const killedDir = "FLOE_TEST_KILLED_DIR"

const (
	killedWriters = 8
	killsEach     = 200 // of one log
)

// TestMain is the child of TestKill when it is started as one.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killedDir); dir != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled lets writers each raise their own counter, in two keys of one transaction, and tells of each acknowledgement.
func writeUntilKilled(dir string) error {
	l, err := Open(Options{Dir: dir})
	if err != nil {
		return err
	}
	failed := make(chan error)
	var out sync.Mutex
	for w := range killedWriters {
		go func() {
			key := "w" + strconv.Itoa(w)
			at, err := readCounter(l, key)
			padding := make([]byte, 64+w*700)
			for err == nil {
				at++
				value := append(strconv.AppendInt(nil, at, 10), padding...)
				var revs []store.Revision
				revs, err = l.Append(context.Background(), store.Txn{Changes: []store.Change{{Key: key, Value: value, Minor: w%2 == 0}, {Key: key + "/twin", Value: value}}})
				if err == nil {
					out.Lock()
					fmt.Println(w, at, revs[1])
					out.Unlock()
				}
			}
			failed <- err
		}()
	}
	return <-failed
}

func readCounter(l *Log, key string) (n int64, err error) {
	err = l.At(context.Background(), l.durable(), key, key+"\x00", func(r store.Record) error {
		_, err := fmt.Sscan(string(r.Value), &n)
		return err
	})
	return n, err
}

// TestKill kills a process that writes, from outside and at any moment, many times over the same directories: what it was told to be
// durable is there, transactions are whole, and revisions rise.
func TestKill(t *testing.T) {
	seed := rand.Uint64()
	rounds := killRounds
	if testing.Short() {
		rounds /= 10
	}
	t.Logf("seed %d, %d rounds", seed, rounds)
	rng := rand.New(rand.NewPCG(seed, 0))
	root := t.TempDir()
	var dir string
	var told [killedWriters]int64
	var newest store.Revision
	total := 0
	for round := range rounds {
		if round%killsEach == 0 { // logs grow, and kills while one is young are as good
			dir, told, newest = filepath.Join(root, strconv.Itoa(round)), [killedWriters]int64{}, 0
		}
		n := killOnce(t, dir, time.Duration(rng.Int64N(int64(30*time.Millisecond))), &told, &newest)
		total += n
		if !checkKilled(t, dir, &told, newest) {
			t.Fatalf("after kill %d", round)
		}
	}
	if total < rounds {
		t.Errorf("only %d transactions in %d rounds", total, rounds)
	}
	t.Logf("%d transactions acknowledged, revision %d", total, newest)
}

// killOnce starts the child and kills it some time after its first acknowledgement. It notes what was acknowledged.
func killOnce(t *testing.T, dir string, after time.Duration, told *[killedWriters]int64, newest *store.Revision) (count int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), killedDir+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var timer *time.Timer
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break // a line without its end was cut by the kill
		}
		var w int
		var n int64
		var rev store.Revision
		if _, scan := fmt.Sscan(line, &w, &n, &rev); err != nil || scan != nil {
			t.Fatalf("child said %q: %v", line, errors.Join(err, scan))
		}
		if count++; timer == nil {
			timer = time.AfterFunc(after, func() {
				if err := child.Process.Kill(); err != nil {
					t.Errorf("kill: %v", err)
				}
			})
		}
		told[w], *newest = n, max(*newest, rev)
	}
	if timer == nil {
		t.Fatalf("the child said nothing: %v", child.Wait())
	}
	if err := child.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("child: %v, want it killed", err)
	}
	return count
}

func checkKilled(t *testing.T, dir string, told *[killedWriters]int64, newest store.Revision) bool {
	t.Helper()
	l := mustOpen(t, Options{Dir: dir})
	defer func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}()
	for w := range told {
		key := "w" + strconv.Itoa(w)
		a, err := readCounter(l, key)
		b, err2 := readCounter(l, key+"/twin")
		if err := errors.Join(err, err2); err != nil || a != b || a < told[w] || a > told[w]+1 {
			t.Errorf("writer %d: found %d and %d, acknowledged %d: %v", w, a, b, told[w], err)
		}
		told[w] = a
	}
	if rev := l.durable(); rev < newest {
		t.Errorf("the log is at revision %d, %d was acknowledged", rev, newest)
	}
	return !t.Failed()
}
