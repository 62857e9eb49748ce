package nodeipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

// TestRangesInOrder takes ranges after others were marked as taken.
func TestRangesInOrder(t *testing.T) {
	for _, c := range []struct {
		whole string
		bits  int
		taken string
		want  string // the first three that are given, "" for none
	}{
		{"10.244.0.0/16", 24, "", "10.244.0.0/24 10.244.1.0/24 10.244.2.0/24"},
		{"10.244.0.0/16", 24, "10.244.0.0/24 10.244.2.0/24 10.9.0.0/24", "10.244.1.0/24 10.244.3.0/24 10.244.4.0/24"},
		{"10.244.0.0/16", 24, "10.244.0.0/17", "10.244.128.0/24 10.244.129.0/24 10.244.130.0/24"},
		{"10.244.0.0/16", 24, "10.244.1.128/25", "10.244.0.0/24 10.244.2.0/24 10.244.3.0/24"},
		{"10.244.0.0/23", 24, "", "10.244.0.0/24 10.244.1.0/24"},
		{"10.244.0.0/24", 24, "10.0.0.0/8", ""},
		{"fd00:244::/48", 64, "fd00:244::/64", "fd00:244:0:1::/64 fd00:244:0:2::/64 fd00:244:0:3::/64"},
		{"fd00:244::/60", 68, "fd00:244::/62", "fd00:244:0:4::/68 fd00:244:0:4:1000::/68 fd00:244:0:4:2000::/68"},
		{"fd00:244::/112", 120, "", "fd00:244::/120 fd00:244::100/120 fd00:244::200/120"},
	} {
		p, err := newPool(netip.MustParsePrefix(c.whole), c.bits)
		if err != nil {
			t.Fatal(err)
		}
		for word := range strings.FieldsSeq(c.taken) {
			if r := netip.MustParsePrefix(word); p.mark(r, true) != r.Overlaps(p.whole) {
				t.Errorf("%s: %s is marked otherwise than it lies", c.whole, r)
			}
		}
		var got []string
		for range 3 {
			r, _, err := p.take()
			if err != nil {
				if !errors.Is(err, ErrNoneLeft) {
					t.Error(err)
				}
				break
			}
			got = append(got, r.String())
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s in /%d without %q: got %q, want %q", c.whole, c.bits, c.taken, text, c.want)
		}
	}
	for whole, bits := range map[string]int{"10.0.0.0/24": 16, "10.0.0.0/23": 33, "fd00::/40": 64} {
		if _, err := newPool(netip.MustParsePrefix(whole), bits); err == nil {
			t.Errorf("%s is divided into /%d", whole, bits)
		}
	}
}

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func put(b *bed.Bed, name string, ranges ...string) {
	b.Put(nodes(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDRs: ranges}})
}

// TestDualStack: a node gets a range of each family, and what nodes have already is not given.
func TestDualStack(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(New(Config{Cluster: prefixes("10.244.0.0/16", "fd00:244::/48"), Bits: []int{24, 64}, Services: prefixes("10.244.0.0/24", "fd00::/108")}, NewMetrics()))
	put(b, "old", "10.244.1.0/24", "fd00:244::/64")
	put(b, "elsewhere", "192.168.0.0/24")
	put(b, "new")
	b.Settle()
	if got := bed.Get[*corev1.Node](b, nodes(), "", "new").Spec; got.PodCIDR != "10.244.2.0/24" || !slices.Equal(got.PodCIDRs, []string{"10.244.2.0/24", "fd00:244:0:1::/64"}) {
		t.Errorf("got %s, %v", got.PodCIDR, got.PodCIDRs)
	}
}

// TestNoneLeft: who gets none is told so, and gets one that becomes free.
func TestNoneLeft(t *testing.T) {
	b := bed.New(t, 1)
	ctl := New(Config{Cluster: prefixes("10.244.0.0/24"), Bits: []int{24}}, NewMetrics())
	put(b, "a", "10.244.0.0/24")
	put(b, "b")
	plan := b.Reconcile(ctl, engine.Key{Resource: nodes(), Name: "b"}, b.Clock.Now())
	const why = "failed to allocate cidr from cluster cidr at idx:0: CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range"
	if len(plan.Writes) > 0 || plan.Failed == nil || plan.Failed.Error() != why || len(plan.Events) != 1 || plan.Events[0].Reason != "CIDRNotAvailable" ||
		plan.Events[0].Message != "Node b status is now: CIDRNotAvailable" || plan.Events[0].Type != corev1.EventTypeNormal {
		t.Errorf("got %+v", plan)
	}
	b.Remove(nodes(), "", "a") // nobody says so
	if plan = b.Reconcile(ctl, engine.Key{Resource: nodes(), Name: "b"}, b.Clock.Now()); plan.Failed != nil || len(plan.Writes) != 1 {
		t.Errorf("got %+v", plan)
	}
}

// TestByChance lets nodes come and go, some with ranges of their own: no two ever have the same of those that were given.
func TestByChance(t *testing.T) {
	for seed := range int64(20) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			b := bed.New(t, seed)
			b.Sim.Add(New(Config{Cluster: prefixes("10.244.0.0/20"), Bits: []int{24}}, NewMetrics()))
			owner := map[string]string{}
			check := func() {
				clear(owner)
				for i := range 16 {
					name := fmt.Sprintf("n%d", i)
					n := bed.Get[*corev1.Node](b, nodes(), "", name)
					if n == nil || n.Spec.PodCIDR == "" {
						continue
					}
					if other, taken := owner[n.Spec.PodCIDR]; taken {
						t.Fatalf("%s and %s have %s", name, other, n.Spec.PodCIDR)
					}
					owner[n.Spec.PodCIDR] = name
				}
			}
			b.Chance(200, func() {
				name := fmt.Sprintf("n%d", b.Rand.Intn(16))
				if bed.Get[*corev1.Node](b, nodes(), "", name) != nil {
					b.Remove(nodes(), "", name)
				} else {
					put(b, name)
				}
				check()
			})
			for i := range 16 {
				if n := bed.Get[*corev1.Node](b, nodes(), "", fmt.Sprintf("n%d", i)); n != nil && n.Spec.PodCIDR == "" {
					t.Errorf("%s has no range", n.Name)
				}
			}
			check()
		})
	}
}
