package simulate

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/nodelifecycle"
	"github.com/floe-k8s/floe/internal/controller/podgc"
	"github.com/floe-k8s/floe/internal/controller/replicaset"
	"github.com/floe-k8s/floe/internal/controller/tainteviction"
	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/simulate/podlife"
)

// control runs the controllers that see to nodes and their pods until the test ends.
func (b *bed) control() {
	b.Helper()
	e := engine.New(engine.Config{Clock: clock.RealClock{}, Log: observe.Discard(), Rand: rand.New(rand.NewSource(1)), Clients: func(user string) client.Client {
		return inprocess.New(b.api.API, auth.User{Name: user, Groups: []string{auth.Authenticated, "system:serviceaccounts", "system:serviceaccounts:kube-system"}})
	}})
	for _, c := range []engine.Controller{
		nodelifecycle.New(nodelifecycle.Default(), nodelifecycle.NewMetrics()), tainteviction.New(tainteviction.NewMetrics()),
		podgc.New(podgc.DefaultThreshold, podgc.NewMetrics()), replicaset.New(),
	} {
		if err := e.Register(c); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	b.Cleanup(func() { cancel(); <-ended })
}

// live lets time pass, and binds pods to nodes in turns that are ready and have no taint.
func (b *bed) live(d time.Duration) {
	b.Helper()
	for ; d > 0; d -= time.Second {
		b.pass(time.Second)
		var free []string
		for obj := range b.view().List(nodeResource(), "") {
			if n := obj.(*corev1.Node); isReady(n) && len(n.Spec.Taints) == 0 {
				free = append(free, n.Name)
			}
		}
		var list []*corev1.Binding
		for obj := range b.view().List(podResource(), "") {
			if p := obj.(*corev1.Pod); p.Spec.NodeName == "" && len(free) > 0 {
				list = append(list, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name},
					Target: corev1.ObjectReference{Kind: "Node", Name: free[len(list)%len(free)]}})
			}
		}
		for _, err := range b.client.Bind(b.Context(), list) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

// replicas makes a ReplicaSet whose pods leave nodes that are lost after five minutes, as admission would say.
func (b *bed) replicas(count int32) {
	var tolerations []corev1.Toleration
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		tolerations = append(tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](300)})
	}
	labels := map[string]string{"app": "web"}
	b.put(appsv1.SchemeGroupVersion.WithResource("replicasets"), &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: appsv1.ReplicaSetSpec{
		Replicas: &count, Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{Tolerations: tolerations, Containers: []corev1.Container{{Name: "c", Image: "i"}}}}}})
}

// look says how many pods are ready, are not, and are being deleted; the UIDs are those of all.
func (b *bed) look() (text string, uids []types.UID) {
	var ready, unready, going int
	for obj := range b.view().List(podResource(), "") {
		p := obj.(*corev1.Pod)
		uids = append(uids, p.UID)
		switch {
		case p.DeletionTimestamp != nil:
			going++
		case slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}):
			ready++
		default:
			unready++
		}
	}
	slices.Sort(uids)
	return fmt.Sprintf("%d ready, %d not, %d going", ready, unready, going), uids
}

func (b *bed) expect(when, want string) []types.UID {
	b.Helper()
	got, uids := b.look()
	if got != want {
		b.Errorf("%s: %s, want %s", when, got, want)
	}
	return uids
}

// evicting counts the nodes with taints that evict.
func (b *bed) evicting() (count int) {
	for obj := range b.view().List(nodeResource(), "") {
		if slices.ContainsFunc(obj.(*corev1.Node).Spec.Taints, func(t corev1.Taint) bool { return t.Effect == corev1.TaintEffectNoExecute }) {
			count++
		}
	}
	return count
}

func failing(kind FailureKind, after, last time.Duration) []Failure {
	return []Failure{{Kind: kind, After: podlife.Constant(after), For: constant(last)}}
}

// TestALostNode: its pods are not ready after its grace period, are replaced five minutes later, and go when it is back.
func TestALostNode(t *testing.T) {
	virtually(t, func(b *bed) {
		b.control()
		b.start(Profile{Nodes: []Group{{Name: "good-", Count: 3}, {Name: "bad-", Count: 1, Failures: failing(Partition, time.Minute, 20*time.Minute)}}})
		b.live(5 * time.Second)
		b.replicas(8)
		b.live(45 * time.Second)
		b.expect("before", "8 ready, 0 not, 0 going")
		b.live(40 * time.Second)
		b.expect("in its grace period", "8 ready, 0 not, 0 going")
		b.live(50 * time.Second)
		b.expect("lost", "6 ready, 2 not, 0 going")
		if b.evicting() != 1 {
			t.Errorf("%d nodes have taints that evict", b.evicting())
		}
		b.live(230 * time.Second)
		b.expect("while it is tolerated", "6 ready, 2 not, 0 going")
		b.live(90 * time.Second)
		b.expect("replaced", "8 ready, 0 not, 2 going")
		b.live(15 * time.Minute)
		b.expect("back", "8 ready, 0 not, 0 going")
		if b.evicting() != 0 {
			t.Errorf("%d nodes have taints that evict", b.evicting())
		}
	})
}

// TestARemovedNode: its pods are replaced when it has been gone for 40 seconds.
func TestARemovedNode(t *testing.T) {
	virtually(t, func(b *bed) {
		b.control()
		b.start(Profile{Nodes: []Group{{Name: "good-", Count: 3}, {Name: "bad-", Count: 1, Failures: failing(Removal, time.Minute, time.Hour)}}})
		b.live(5 * time.Second)
		b.replicas(8)
		b.live(90 * time.Second)
		b.expect("gone for 35 s", "8 ready, 0 not, 0 going")
		b.live(15 * time.Second)
		b.expect("replaced", "8 ready, 0 not, 0 going")
		for obj := range b.view().List(podResource(), "") {
			if name := obj.(*corev1.Pod).Spec.NodeName; b.node(name) == nil {
				t.Errorf("a pod is on node %s, which is gone", name)
			}
		}
	})
}

// TestAllNodesAreLost: when no node of any zone is heard of, nothing is evicted, however long it lasts.
func TestAllNodesAreLost(t *testing.T) {
	virtually(t, func(b *bed) {
		b.control()
		b.start(Profile{Nodes: []Group{{Count: 6, Zones: []string{"a", "b"}, Failures: failing(Partition, time.Minute, 30*time.Minute)}}})
		b.live(5 * time.Second)
		b.replicas(12)
		b.live(45 * time.Second)
		before := b.expect("before", "12 ready, 0 not, 0 going")
		b.live(29 * time.Minute)
		if uids := b.expect("lost", "0 ready, 12 not, 0 going"); !slices.Equal(uids, before) || b.evicting() != 0 {
			t.Errorf("%d nodes have taints that evict; pods %v, before %v", b.evicting(), uids, before)
		}
		b.live(3 * time.Minute)
		if uids := b.expect("back", "12 ready, 0 not, 0 going"); !slices.Equal(uids, before) {
			t.Errorf("pods %v, before %v", uids, before)
		}
	})
}

// TestALostZone: while another zone lives, a lost one's nodes are tainted one in ten seconds, as upstream's are; one of which most nodes are lost keeps its pods.
func TestALostZone(t *testing.T) {
	virtually(t, func(b *bed) {
		b.control()
		b.start(Profile{Nodes: []Group{{Name: "good-", Count: 3, Zones: []string{"a"}}, {Name: "most-", Count: 4, Zones: []string{"b"}, Failures: failing(Partition, time.Minute, time.Hour)},
			{Name: "rest-", Count: 1, Zones: []string{"b"}}, {Name: "all-", Count: 3, Zones: []string{"c"}, Failures: failing(Partition, time.Minute, time.Hour)}}})
		b.live(10 * time.Minute)
		count := map[string]int{}
		for obj := range b.view().List(nodeResource(), "") {
			n := obj.(*corev1.Node)
			if slices.ContainsFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.Effect == corev1.TaintEffectNoExecute }) {
				count[n.Labels[corev1.LabelTopologyZone]]++
			}
		}
		// Those that fall silent first are tainted before most have.
		if count["a"] != 0 || count["b"] > 2 || count["c"] != 3 {
			t.Errorf("nodes with taints that evict, by zone: %v", count)
		}
	})
}
