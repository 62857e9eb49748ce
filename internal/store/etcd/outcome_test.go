package etcd

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/floe-k8s/floe/internal/store"
	"github.com/floe-k8s/floe/internal/store/etcd/etcdtest"
)

// shaky is a log behind a proxy, and a client that is not.
func shaky(t testing.TB, opts Options) (*Log, *proxy, *clientv3.Client) {
	t.Helper()
	c := etcdtest.Start(t, 1, etcdtest.NoFsync)
	p := newProxy(t, c.Endpoints()[0])
	opts.Endpoints = []string{p.endpoint()}
	l := mustOpen(t, opts)
	must(t, l, set("before", "1"))
	return l, p, c.Client()
}

type result struct {
	revs []store.Revision
	err  error
}

// appendAside creates an object named a.
func appendAside(ctx context.Context, l *Log, value string) <-chan result {
	done := make(chan result, 1)
	go func() {
		revs, err := l.Append(ctx, store.Txn{Conditions: []store.Condition{{Key: key("a")}}, Changes: []store.Change{set("a", value)}})
		done <- result{revs, err}
	}()
	return done
}

// written waits until the object is in etcd and returns its ModRevision.
func written(t testing.TB, client *clientv3.Client, name string) int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for resp := range client.Watch(ctx, key(name), clientv3.WithRev(1)) {
		for _, e := range resp.Events {
			if e.Type == mvccpb.Event_PUT {
				return e.Kv.ModRevision
			}
		}
	}
	t.Fatalf("%s was not written", name)
	return 0
}

// once checks that the object was written once, at the revision that was answered.
func once(t testing.TB, client *clientv3.Client, got result) {
	t.Helper()
	resp, err := client.Get(t.Context(), key("a"))
	if err != nil || len(resp.Kvs) != 1 {
		t.Fatalf("got %v, %v", resp, err)
	}
	if kv := resp.Kvs[0]; got.err != nil || kv.Version != 1 || got.revs[0] != store.Revision(kv.ModRevision)*128 {
		t.Errorf("append answered %v, %v; etcd has version %d at its revision %d", got.revs, got.err, kv.Version, kv.ModRevision)
	}
}

func TestAnswerLost(t *testing.T) {
	l, p, client := shaky(t, Options{})
	p.set(mute)
	done := appendAside(t.Context(), l, "1")
	written(t, client, "a")
	p.set(pass)
	p.sever()
	once(t, client, <-done)
}

func TestRequestLost(t *testing.T) {
	l, p, client := shaky(t, Options{})
	p.set(hold)
	done := appendAside(t.Context(), l, "unmistakable")
	p.await(t, "unmistakable", func(c *pipe) []byte { return c.held })
	p.set(pass)
	p.sever()
	once(t, client, <-done)
}

// TestRequestLate lets a transaction reach etcd after its writer has given it up and tried again.
func TestRequestLate(t *testing.T) {
	l, p, client := shaky(t, Options{})
	p.set(hold)
	done := appendAside(t.Context(), l, "unmistakable")
	p.await(t, "unmistakable", func(c *pipe) []byte { return c.held })
	p.set(pass)
	p.cut()
	got := <-done
	once(t, client, got)
	// Absent again, so that nothing but the fence stands in the way.
	if _, err := client.Delete(t.Context(), key("a")); err != nil {
		t.Fatal(err)
	}
	p.release()
	p.await(t, fenceKey, func(c *pipe) []byte { return c.answers })
	resp, err := client.Get(t.Context(), key("a"))
	if err != nil || len(resp.Kvs) != 0 {
		t.Errorf("the late transaction was committed: %v, %v", resp, err)
	}
}

// TestCallerLeaves ends the caller's context while the answer is lost.
func TestCallerLeaves(t *testing.T) {
	l, p, client := shaky(t, Options{})
	p.set(mute)
	ctx, cancel := context.WithCancel(t.Context())
	done := appendAside(ctx, l, "1")
	written(t, client, "a")
	cancel()
	if got := <-done; !errors.Is(got.err, ErrUnknownOutcome) || !errors.Is(got.err, context.Canceled) {
		t.Errorf("got %v, want %v and %v", got.err, ErrUnknownOutcome, context.Canceled)
	}
	p.set(pass)
}

// TestCloseDoesNotHang closes the log while the answer is lost for good. The error may not say that nothing was written.
func TestCloseDoesNotHang(t *testing.T) {
	l, p, client := shaky(t, Options{DialTimeout: time.Second})
	p.set(mute)
	done := appendAside(t.Context(), l, "1")
	written(t, client, "a")
	if err := l.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if got := <-done; !errors.Is(got.err, ErrUnknownOutcome) || errors.Is(got.err, store.ErrClosed) {
		t.Errorf("got %v, want %v", got.err, ErrUnknownOutcome)
	}
}

// TestOtherFence moves the fence as another process does.
func TestOtherFence(t *testing.T) {
	l, client := start(t)
	for range 3 {
		foreignTxn(t, client, clientv3.OpPut(fenceKey, "another"))
		must(t, l, set("a", "1"))
	}
	foreignTxn(t, client, clientv3.OpDelete(fenceKey))
	must(t, l, set("a", "2"))
}

// TestShakyConnection breaks connections again and again under conditional writers: every write is acknowledged, none twice, and none
// conflicts with itself.
func TestShakyConnection(t *testing.T) {
	var random [8]byte
	crand.Read(random[:])
	seed := binary.NativeEndian.Uint64(random[:])
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	l, p, client := shaky(t, Options{})
	const writers, breaks = 8, 25
	acked := make(chan struct{})
	stop := make(chan struct{})
	counts := make([]int, writers)
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			rev := store.Revision(0)
			for {
				select {
				case <-stop:
					return
				case acked <- struct{}{}:
				}
				name := fmt.Sprint("w", w)
				revs, err := l.Append(t.Context(), store.Txn{Conditions: []store.Condition{{Key: key(name), Revision: rev}}, Changes: []store.Change{set(name, fmt.Sprint(counts[w]))}})
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				rev = revs[0]
				counts[w]++
			}
		})
	}
	for range breaks {
		p.set(pass)
		for range 1 + rng.IntN(4*writers) {
			<-acked
		}
		p.release() // late
		for lost := p.set([]mode{mute, hold}[rng.IntN(2)]); lost != nil; {
			select {
			case <-acked:
			case <-lost:
				lost = nil
			}
		}
		for range rng.IntN(writers) { // more may be on their way
			select {
			case <-acked:
			default:
			}
		}
		if rng.IntN(2) == 0 {
			p.cut()
		} else {
			p.sever()
		}
	}
	p.set(pass)
	for range 4 * writers {
		<-acked
	}
	close(stop)
	group.Wait()
	for w, n := range counts {
		resp, err := client.Get(t.Context(), key(fmt.Sprint("w", w)))
		if err != nil || resp.Kvs[0].Version != int64(n) || string(resp.Kvs[0].Value) != fmt.Sprint(n-1) {
			t.Errorf("writer %d: %d writes were acknowledged, etcd has %v, %v", w, n, resp.Kvs, err)
		}
	}
	t.Logf("%v writes", counts)
}
