package eventratelimit_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/eventratelimit"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

func events(t *testing.T, group string) *kinds.Kind {
	t.Helper()
	for _, k := range all.Kinds() {
		if k.GVK.Kind == "Event" && k.GVK.Group == group {
			return k
		}
	}
	t.Fatalf("there are no events of %q", group)
	return nil
}

// TestLimits writes one event for each word, namespace/user/source, and seconds "+3" later where a word says so.
func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		limits []eventratelimit.Limit
		events string
		want   string // of each event, whether it passes
	}{
		"none for all":          {[]eventratelimit.Limit{{Type: "Server", QPS: 1, Burst: 2}}, "a/u/s b/v/t c/w/x", "yyn"},
		"and again":             {[]eventratelimit.Limit{{Type: "Server", QPS: 2, Burst: 2}}, "a/u/s a/u/s a/u/s +1 a/u/s a/u/s a/u/s +9 a/u/s a/u/s a/u/s", "yynyynyyn"},
		"size means nothing":    {[]eventratelimit.Limit{{Type: "Server", QPS: 1, Burst: 1, CacheSize: -3}}, "a/u/s b/v/t", "yn"},
		"namespaces":            {[]eventratelimit.Limit{{Type: "Namespace", QPS: 1, Burst: 1}}, "a/u/s a/v/t b/u/s b/u/s", "ynyn"},
		"users":                 {[]eventratelimit.Limit{{Type: "User", QPS: 1, Burst: 1}}, "a/u/s b/u/t a/v/s", "yny"},
		"sources":               {[]eventratelimit.Limit{{Type: "SourceAndObject", QPS: 1, Burst: 1}}, "a/u/s a/v/s a/u/t", "yny"},
		"a bucket makes place":  {[]eventratelimit.Limit{{Type: "User", QPS: 1, Burst: 1, CacheSize: 2}}, "a/u/s a/v/s a/u/s a/w/s a/v/s a/w/s", "yynyyn"},
		"both take":             {[]eventratelimit.Limit{{Type: "User", QPS: 1, Burst: 1}, {Type: "Namespace", QPS: 1, Burst: 2}}, "a/u/s a/u/s a/v/s b/v/s", "ynnn"},
		"the second is enough":  {[]eventratelimit.Limit{{Type: "Server", QPS: 1, Burst: 9}, {Type: "Namespace", QPS: 1, Burst: 1}}, "a/u/s a/u/s", "yn"},
		"no limit, and no wait": {nil, "a/u/s a/u/s a/u/s", "yyy"},
	} {
		clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
		p := eventratelimit.New(c.limits, clock)
		got := ""
		for word := range strings.FieldsSeq(c.events) {
			if seconds, ok := strings.CutPrefix(word, "+"); ok {
				d, err := time.ParseDuration(seconds + "s")
				if err != nil {
					t.Fatal(err)
				}
				clock.Step(d)
				continue
			}
			parts := strings.Split(word, "/")
			err := p.Validate(context.Background(), wish(t, parts[0], parts[1], parts[2]))
			switch {
			case err == nil:
				got += "y"
			case apierrors.IsTooManyRequests(err):
				got += "n"
			default:
				t.Errorf("%s: %v", name, err)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func wish(t *testing.T, namespace, user, source string) *admission.Attributes {
	k := events(t, "")
	return &admission.Attributes{Operation: admission.Create, Kind: k, Type: k.GVK, Namespace: namespace, User: auth.User{Name: user}, Object: &corev1.Event{
		Source:         corev1.EventSource{Component: "part", Host: source},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: "web", UID: "1", APIVersion: "v1"},
	}}
}

// TestWhatIsToldAndWhom: messages and codes are upstream's; what is no event, or not kept, is not counted.
func TestWhatIsToldAndWhom(t *testing.T) {
	limits := []eventratelimit.Limit{{Type: "Server", QPS: 1, Burst: 1}, {Type: "SourceAndObject", QPS: 1, Burst: 1}, {Type: "Namespace", QPS: 1, Burst: 1}}
	p := eventratelimit.New(limits, clocktesting.NewFakeClock(time.Unix(1000, 0)))
	dry, other, gone := wish(t, "a", "u", "s"), wish(t, "a", "u", "s"), wish(t, "a", "u", "s")
	dry.DryRun, gone.Operation = true, admission.Delete
	other.Kind = events(t, "events.k8s.io")
	for range 3 {
		for _, a := range []*admission.Attributes{dry, other, gone} {
			if err := p.Validate(context.Background(), a); err != nil {
				t.Error(err)
			}
		}
	}
	if err := p.Validate(context.Background(), wish(t, "a", "u", "s")); err != nil {
		t.Fatal(err)
	}
	err := p.Validate(context.Background(), wish(t, "a", "u", "s"))
	const want = "[limit reached on type Server for key , limit reached on type SourceAndObject for key partsPodnsweb1v1, limit reached on type Namespace for key a]"
	if err == nil || !strings.HasSuffix(err.Error(), want) || !apierrors.IsTooManyRequests(err) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestParallelEventsShareABucket: those that come first too.
func TestParallelEventsShareABucket(t *testing.T) {
	p := eventratelimit.New([]eventratelimit.Limit{{Type: "Namespace", QPS: 1, Burst: 3}}, clocktesting.NewFakeClock(time.Unix(1000, 0)))
	var passed atomic.Int32
	var wait sync.WaitGroup
	for i := range 50 {
		a := wish(t, fmt.Sprint("ns", i%2), "u", "s")
		wait.Go(func() {
			if p.Validate(context.Background(), a) == nil {
				passed.Add(1)
			}
		})
	}
	wait.Wait()
	if passed.Load() != 6 {
		t.Errorf("%d events passed two buckets of 3", passed.Load())
	}
}
