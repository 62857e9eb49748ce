package etcd

import (
	"context"
	"strconv"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/store/etcd/etcdtest"
)

// TestHistoryIsCut lets time pass until etcd is compacted, and holds what was compacted against what was written when.
func TestHistoryIsCut(t *testing.T) {
	const history = 10 * time.Minute
	for _, c := range []struct {
		what  string
		quota int64
		keep  time.Duration
	}{
		{"by time", 0, history},
		{"more than half full", 1, history / 4},
	} {
		t.Run(c.what, func(t *testing.T) {
			etcd := etcdtest.Start(t, 1, etcdtest.NoFsync)
			client := etcd.Client()
			clock := clocktesting.NewFakeClock(time.Unix(1_700_000_000, 0))
			l := mustOpen(t, Options{Endpoints: etcd.Endpoints(), Clock: clock, History: history, QuotaBytes: c.quota})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			began := clock.Now()
			var samples []sample
			for {
				samples = append(samples, sample{clock.Now(), int64(must(t, l, set("a", strconv.Itoa(len(samples))))[0] / stride)})
				clock.Step(history / looksPerHistory)
				resp, err := client.Get(ctx, compactKey)
				if err != nil {
					t.Fatalf("nothing was compacted within %s of the clock: %v", clock.Since(began), err)
				}
				if len(resp.Kvs) > 0 {
					checkCut(t, string(resp.Kvs[0].Value), samples, clock.Now(), c.keep)
					return
				}
			}
		})
	}
}

// checkCut holds that nothing was compacted that had been replaced less than keep ago.
func checkCut(t *testing.T, value string, samples []sample, now time.Time, keep time.Duration) {
	t.Helper()
	cut, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		if s.mod <= cut && now.Sub(s.at) < keep {
			t.Errorf("etcd's revision %d, written %s ago, was compacted", s.mod, now.Sub(s.at))
		}
	}
}

// TestTurnsAtCompacting lets two servers and upstream's meet at the compact key.
func TestTurnsAtCompacting(t *testing.T) {
	etcd := etcdtest.Start(t, 1, etcdtest.NoFsync)
	client := etcd.Client()
	opts := Options{Endpoints: etcd.Endpoints(), History: -1}
	a, b := &keeper{log: mustOpen(t, opts)}, &keeper{log: mustOpen(t, opts)}
	for range 30 {
		must(t, a.log, set("a", "x"))
	}
	compacted := func() int64 {
		t.Helper()
		oldest, err := a.log.compacted(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return oldest
	}
	for _, step := range []struct {
		what   string
		who    *keeper
		target int64
		want   int64
	}{
		{"the first", a, 5, 5},
		{"another that did not see it", b, 7, 5},
		{"again, now it has", b, 7, 7},
		{"the first, which lost its turn", a, 9, 7},
		{"and has it again", a, 9, 9},
	} {
		if err := step.who.take(t.Context(), step.target); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got := compacted(); got != step.want {
			t.Errorf("%s: etcd's history begins at %d, want %d", step.what, got, step.want)
		}
	}
	foreignTxn(t, client, clientv3.OpPut(compactKey, "11"))
	if err := a.take(t.Context(), 12); err != nil || compacted() != 9 {
		t.Errorf("after upstream's turn: %v, history begins at %d, want 9", err, compacted())
	}
}

func TestSamples(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	k := keeper{samples: []sample{{start, 10}, {start.Add(time.Minute), 20}, {start.Add(2 * time.Minute), 30}}}
	for _, c := range []struct {
		then time.Duration
		want int64
	}{{-time.Second, 0}, {0, 10}, {59 * time.Second, 10}, {time.Minute, 20}, {time.Hour, 30}, {0, 0}} {
		if got := k.before(start.Add(c.then)); got != c.want {
			t.Errorf("newest revision written by %s: got %d, want %d", c.then, got, c.want)
		}
	}
}
