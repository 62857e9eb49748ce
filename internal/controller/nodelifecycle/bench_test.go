package nodelifecycle

import (
	"fmt"
	"iter"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// many is a view of ready nodes with one lease, which counts how often they are listed.
type many struct {
	client.View
	nodes  map[string]*corev1.Node
	lease  *coordinationv1.Lease
	listed int
}

func newMany(count int) *many {
	v := &many{nodes: map[string]*corev1.Node{}, lease: &coordinationv1.Lease{}}
	for i := range count {
		n := node("Ready=True", "")
		n.Name = fmt.Sprintf("n%d", i)
		v.nodes[n.Name] = n
	}
	return v
}

func (v *many) Get(res client.Resource, _, name string) kinds.Object {
	if res == leases() {
		return v.lease
	}
	return v.nodes[name]
}

func (v *many) List(client.Resource, string) iter.Seq[kinds.Object] {
	v.listed++
	return func(yield func(kinds.Object) bool) {
		for _, n := range v.nodes {
			if !yield(n) {
				return
			}
		}
	}
}

// TestIdleNodesAreNotListed: after the first look at all of them a node is looked at by itself, when its grace period may be over.
func TestIdleNodesAreNotListed(t *testing.T) {
	v, ctl, now := newMany(1000), New(Default(), NewMetrics()), begin()
	for round := range 5 {
		at := metav1.NewMicroTime(now)
		v.lease = &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{RenewTime: &at}}
		for name := range v.nodes {
			plan, err := ctl.Reconcile(v, engine.Key{Resource: nodes(), Name: name}, now)
			if round > 0 && (plan.After != Default().NodeMonitorGracePeriod+1 || len(plan.Writes) > 0) || err != nil {
				t.Fatalf("round %d: %+v, %v", round, plan, err)
			}
		}
		now = now.Add(40 * time.Second)
	}
	if v.listed != 1 {
		t.Errorf("all nodes were listed %d times", v.listed)
	}
}

// BenchmarkRenewal is what a renewed lease costs among 100,000 nodes.
func BenchmarkRenewal(b *testing.B) {
	v, ctl, now := newMany(100_000), New(Default(), NewMetrics()), begin()
	keys := make([]engine.Key, 0, len(v.nodes))
	for name := range v.nodes {
		if _, err := ctl.Reconcile(v, engine.Key{Resource: nodes(), Name: name}, now); err != nil {
			b.Fatal(err)
		}
		keys = append(keys, engine.Key{Resource: leases(), Namespace: corev1.NamespaceNodeLease, Name: name})
	}
	for i := 0; b.Loop(); i++ {
		at := metav1.NewMicroTime(now.Add(time.Duration(i) * time.Millisecond))
		v.lease = &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{RenewTime: &at}}
		if _, err := ctl.Reconcile(v, keys[i%len(keys)], at.Time); err != nil {
			b.Fatal(err)
		}
	}
}
