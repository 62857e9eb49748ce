package audit

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"
)

// TestLatency of requests that take long, and of those that do not: what is done again adds up, but for waits and what is done at once.
func TestLatency(t *testing.T) {
	for _, c := range []struct {
		what string
		took time.Duration
		end  any
		want map[string]string
	}{
		{"quick", 400 * time.Millisecond, nil, map[string]string{}},
		{"slow", 401 * time.Millisecond, nil, map[string]string{
			"authentication": "100ms", "etcd": "7ms", "authorization": "2ms", "mutating-webhook": "9ms", "validating-webhook": "5ms", "impersonation": "401ms", "serialize-response-object": "301ms", "transform-response-object": "100ms", "total": "501ms",
		}},
		{"panicked", time.Second, "oh", map[string]string{}},
	} {
		clk, to := clocktesting.NewFakePassiveClock(at.Add(100*time.Millisecond)), &taken{}
		tr := trail(policy(t, "rules: [{level: Metadata}]"), to)
		tr.clock = clk
		req := request()
		req.Known = 100 * time.Millisecond
		_, r, _ := tr.Begin(t.Context(), req)
		for part, both := range map[Part][2]int{Storage: {3, 4}, Authorization: {1, 2}, MutatingWebhooks: {4, 5}, ValidatingWebhooks: {5, 4}} {
			r.Took(part, time.Duration(both[0])*time.Millisecond)
			r.Took(part, time.Duration(both[1])*time.Millisecond)
		}
		timed, written := r.Timed(Impersonation), r.Timed(Serialization)
		made := r.Between(Transforming, Serialization)
		clk.SetTime(clk.Now().Add(100 * time.Millisecond))
		made()
		clk.SetTime(clk.Now().Add(c.took - 100*time.Millisecond))
		timed()
		written()
		r.End(c.end)
		last := to.events[len(to.events)-1]
		got := map[string]string{}
		for key, value := range maps.All(last.Annotations) {
			if name, ok := strings.CutPrefix(key, "apiserver.latency.k8s.io/"); ok {
				got[name] = value
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.what, diff)
		}
	}
}
