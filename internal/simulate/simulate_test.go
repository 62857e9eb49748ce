package simulate

import (
	"context"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/simulate/podlife"
)

// bed is a whole API with a simulation on it, in virtual time.
type bed struct {
	testing.TB
	api    *apitest.Cluster
	client client.Client // an administrator's
	stop   func()        // the simulation; nil: none runs
	counts *Metrics
	stages Stages
}

func newBed(t testing.TB) *bed {
	b := &bed{TB: t, api: apitest.New(t)}
	b.client = inprocess.New(b.api.API, apitest.Administrator())
	b.put(corev1.SchemeGroupVersion.WithResource("namespaces"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: corev1.NamespaceNodeLease}})
	return b
}

func (b *bed) as(node string) client.Client {
	return inprocess.New(b.api.API, auth.User{Name: "system:node:" + node, Groups: []string{auth.Nodes, auth.Authenticated}})
}

// start runs a simulation of a profile until the test or halt ends it.
func (b *bed) start(p Profile) {
	b.Helper()
	if errs := p.Validate(); len(errs) > 0 {
		b.Fatal(errs.ToAggregate())
	}
	b.counts = NewMetrics()
	s := New(Config{Profile: p, Stages: b.stages, As: b.as, Cloud: b.client, Clock: clock.RealClock{}, Log: observe.Discard(), Metrics: b.counts, KubernetesVersion: "v1.36.3"})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			b.Errorf("the simulation ended with %v", err)
		}
		b.stop = nil
	}
	b.Cleanup(func() {
		if b.stop != nil {
			b.stop()
		}
	})
}

// pass lets virtual time pass, and everything that is due with it happen.
func (b *bed) pass(d time.Duration) {
	timer := time.NewTimer(d)
	<-timer.C
	synctest.Wait()
}

func (b *bed) put(res client.Resource, obj kinds.Object) kinds.Object {
	b.Helper()
	stored, err := b.client.Create(b.Context(), res, obj, metav1.CreateOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return stored
}

// pod makes a pod that is bound to a node.
func (b *bed) pod(name, node string, change func(*corev1.Pod)) *corev1.Pod {
	b.Helper()
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	if change != nil {
		change(p)
	}
	return b.put(podResource(), p).(*corev1.Pod)
}

func (b *bed) view() client.View {
	b.Helper()
	view, err := b.client.View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return view
}

func (b *bed) podNamed(name string) *corev1.Pod {
	p, _ := b.view().Get(podResource(), "default", name).(*corev1.Pod)
	return p
}

func (b *bed) node(name string) *corev1.Node {
	n, _ := b.view().Get(nodeResource(), "", name).(*corev1.Node)
	return n
}

// phases counts the pods of each phase.
func (b *bed) phases() map[corev1.PodPhase]int {
	out := map[corev1.PodPhase]int{}
	for obj := range b.view().List(podResource(), "") {
		out[obj.(*corev1.Pod).Status.Phase]++
	}
	return out
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func virtually(t *testing.T, run func(b *bed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { run(newBed(t)) })
}

var leaseResource = coordinationv1.SchemeGroupVersion.WithResource("leases")

// TestAThousandNodes register, renew their leases evenly, and run what is bound to them.
func TestAThousandNodes(t *testing.T) {
	virtually(t, func(b *bed) {
		const nodes = 1000
		b.start(Profile{Nodes: []Group{{Count: nodes, Zones: []string{"a", "b"}, Join: podlife.Range{Most: 5 * time.Second}}}})
		b.pass(20 * time.Second)
		ready := 0
		for obj := range b.view().List(nodeResource(), "") {
			if n := obj.(*corev1.Node); isReady(n) && n.Labels[corev1.LabelTopologyZone] != "" && n.Spec.PodCIDR != "" {
				ready++
			}
		}
		if ready != nodes {
			t.Fatalf("%d nodes are ready, want %d", ready, nodes)
		}
		for i := range 3 * nodes {
			b.pod(fmt.Sprintf("p%d", i), fmt.Sprintf("sim-%d", i%nodes), nil)
		}
		b.pass(time.Second)
		if got := b.phases(); got[corev1.PodRunning] != 3*nodes || len(got) != 1 {
			t.Fatalf("phases %v, want %d Running", got, 3*nodes)
		}
		addresses := map[string]bool{}
		for obj := range b.view().List(podResource(), "") {
			addresses[obj.(*corev1.Pod).Status.PodIP] = true
		}
		if len(addresses) != 3*nodes {
			t.Errorf("%d pods have %d addresses", 3*nodes, len(addresses))
		}
		before := map[string]time.Time{}
		slots := map[time.Time]int{}
		for obj := range b.view().List(leaseResource, corev1.NamespaceNodeLease) {
			before[obj.GetName()] = obj.(*coordinationv1.Lease).Spec.RenewTime.Time
		}
		b.pass(10 * time.Second)
		for obj := range b.view().List(leaseResource, corev1.NamespaceNodeLease) {
			at := obj.(*coordinationv1.Lease).Spec.RenewTime.Time
			slots[at.Truncate(time.Second)]++
			if passed := at.Sub(before[obj.GetName()]); passed < 9*time.Second || passed > 11*time.Second {
				t.Errorf("the lease of %s was renewed after %v", obj.GetName(), passed)
			}
		}
		for at, n := range slots {
			if len(before) == nodes && n > nodes/5 {
				t.Errorf("%d of %d leases were renewed in the second of %v: not evenly", n, nodes, at)
			}
		}
		if len(before) != nodes {
			t.Errorf("%d leases, want %d", len(before), nodes)
		}
	})
}
