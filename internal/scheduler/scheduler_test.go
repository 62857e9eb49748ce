package scheduler

import (
	"context"
	"log/slog"
	"math/rand"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apiresource "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/scheduler/place"
)

func milli(n int64) apiresource.Quantity {
	return *apiresource.NewMilliQuantity(n, apiresource.DecimalSI)
}
func units(n int64) apiresource.Quantity { return *apiresource.NewQuantity(n, apiresource.BinarySI) }

func testNode(name string, cpu, pods int64, taints ...corev1.Taint) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{Taints: taints}, Status: corev1.NodeStatus{Allocatable: corev1.ResourceList{
		corev1.ResourceCPU: milli(cpu), corev1.ResourceMemory: units(8 << 30), corev1.ResourcePods: units(pods)}}}
}

func testPod(name string, cpu int64) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}, Spec: corev1.PodSpec{SchedulerName: "default-scheduler",
		Containers: []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: milli(cpu)}}}}}}
}

func TestDecide(t *testing.T) {
	taint := corev1.Taint{Key: "k", Effect: corev1.TaintEffectNoSchedule}
	port := testPod("port", 1)
	port.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80}}
	important, meek := testPod("p", 1), testPod("p", 1)
	important.Spec.Priority, meek.Spec.PreemptionPolicy = ptr.To[int32](9), ptr.To(corev1.PreemptNever)
	selective, claims, cordoned := testPod("sel", 1), testPod("claims", 1), testNode("a", 1000, 10)
	selective.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	claims.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "x"}}}}
	cordoned.Spec.Unschedulable = true
	devices := testPod("devices", 1)
	devices.Spec.ResourceClaims = []corev1.PodResourceClaim{{Name: "gpu", ResourceClaimName: new("gpu")}}
	for name, c := range map[string]struct {
		nodes         []*corev1.Node
		placed, pod   *corev1.Pod // placed stands on the first node
		node, message string
	}{
		"emptiest":  {[]*corev1.Node{testNode("a", 1000, 10), testNode("b", 1000, 10)}, testPod("x", 500), testPod("p", 100), "b", ""},
		"no nodes":  {nil, nil, testPod("p", 1), "", "no nodes available to schedule pods"},
		"cpu taint": {[]*corev1.Node{testNode("a", 50, 10), testNode("b", 1000, 10, taint), testNode("c", 1000, 10, taint)}, nil, testPod("p", 100), "", "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."},
		"pods":      {[]*corev1.Node{testNode("a", 1000, 1)}, testPod("x", 1), testPod("p", 1), "", "0/1 nodes are available: 1 Too many pods. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."},
		"port":      {[]*corev1.Node{testNode("a", 1000, 9)}, port, port, "", "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."},
		"victims":   {[]*corev1.Node{testNode("a", 1000, 1)}, testPod("x", 1), important, "", "0/1 nodes are available: 1 Too many pods."},
		"never":     {[]*corev1.Node{testNode("a", 1000, 1)}, testPod("x", 1), meek, "", "0/1 nodes are available: 1 Too many pods. no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never."},
		"selector":  {[]*corev1.Node{testNode("a", 1000, 9)}, nil, selective, "", "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."},
		"cordoned":  {[]*corev1.Node{cordoned}, nil, testPod("p", 1), "", "0/1 nodes are available: 1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."},
		"no device": {[]*corev1.Node{testNode("a", 1000, 9)}, nil, devices, "", `0/1 nodes are available: could not find ResourceClaim "default/gpu". no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.`},
		"no claim":  {[]*corev1.Node{testNode("a", 1000, 9)}, nil, claims, "", `0/1 nodes are available: persistentvolumeclaim "x" not found. not found`},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(Config{Rand: rand.New(rand.NewSource(1)), Clock: clock.RealClock{}})
			for _, n := range c.nodes {
				s.apply(t.Context(), client.Change{New: n})
			}
			if c.placed != nil {
				s.table.SetPod(c.placed, c.nodes[0].Name)
			}
			got := s.decide(t.Context(), c.pod)
			if got.node != c.node || got.message != c.message || got.err != nil {
				t.Errorf("got %+v\nwant %q %q", got, c.node, c.message)
			}
		})
	}
}

// What pods are spread by and which namespaces they mean is followed, changed and forgotten.
func TestApply(t *testing.T) {
	s := New(Config{Rand: rand.New(rand.NewSource(1)), Clock: clock.RealClock{}})
	meta := metav1.ObjectMeta{Namespace: "default", Name: "o"}
	web := map[string]string{"app": "web"}
	selector := &metav1.LabelSelector{MatchLabels: web}
	on := testPod("x", 1)
	on.Labels, on.Spec.NodeName = web, "a"
	node := func(name string) *corev1.Node {
		n := testNode(name, 1000, 10)
		n.Labels = map[string]string{corev1.LabelHostname: name}
		return n
	}
	for _, obj := range []kinds.Object{node("a"), node("b"), on} {
		s.apply(t.Context(), client.Change{New: obj})
	}
	choosy := testPod("p", 1)
	choosy.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
		LabelSelector: selector, TopologyKey: corev1.LabelHostname, NamespaceSelector: &metav1.LabelSelector{MatchLabels: web}}}}}
	spread := func(kind, version string) *corev1.Pod {
		p := testPod("p", 1)
		p.Labels = web
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: version, Kind: kind, Name: "o", Controller: ptr.To(true)}}
		return p
	}
	for name, c := range map[string]struct {
		obj kinds.Object
		pod *corev1.Pod
	}{
		"namespace":   {&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default", Labels: web}}, choosy},
		"service":     {&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: web}}, spread("", "")},
		"controller":  {&corev1.ReplicationController{ObjectMeta: meta, Spec: corev1.ReplicationControllerSpec{Selector: web}}, spread("ReplicationController", "v1")},
		"replicaset":  {&appsv1.ReplicaSet{ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Selector: selector}}, spread("ReplicaSet", "apps/v1")},
		"statefulset": {&appsv1.StatefulSet{ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{Selector: selector}}, spread("StatefulSet", "apps/v1")},
	} {
		matters := func() bool { // the pod's nodes differ by what only obj can tell
			e, err := s.table.Explain(c.pod, s.profiles[corev1.DefaultSchedulerName].Policy)
			if err != nil {
				t.Fatal(err)
			}
			one, two := e.Nodes[0], e.Nodes[1]
			return one.Status.Message() != two.Status.Message() || one.Status == nil && score(one) != score(two)
		}
		if matters() {
			t.Errorf("%s: matters before it is there", name)
		}
		if s.apply(t.Context(), client.Change{New: c.obj}); !matters() {
			t.Errorf("%s: does not matter", name)
		}
		if s.apply(t.Context(), client.Change{Old: c.obj}); matters() {
			t.Errorf("%s: matters when it is gone", name)
		}
	}
}

func score(v place.Verdict) int64 {
	for _, s := range v.Scores {
		if s.Plugin == place.PodTopologySpread {
			return s.Score
		}
	}
	return -1
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controllertest.New(clock.RealClock{})
		s := New(Config{Client: c, Clock: clock.RealClock{}, Rand: rand.New(rand.NewSource(1)), Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		other := testPod("other", 1)
		other.Spec.SchedulerName = "mine"
		for _, p := range []*corev1.Pod{testPod("p", 100), other} {
			if _, err := c.Create(ctx, podResource(), p, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		obj, _ := c.Get(ctx, podResource(), "default", "p")
		if conds := obj.(*corev1.Pod).Status.Conditions; len(conds) != 1 || conds[0].Message != "no nodes available to schedule pods" || conds[0].Reason != "Unschedulable" {
			t.Errorf("conditions %v", conds)
		}
		c.Expire()
		if _, err := c.Create(ctx, nodeResource(), testNode("n", 1000, 10), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		timer := clock.RealClock{}.NewTimer(2 * time.Second)
		<-timer.C()
		synctest.Wait()
		for name, want := range map[string]string{"p": "n", "other": ""} {
			obj, _ := c.Get(ctx, podResource(), "default", name)
			if got := obj.(*corev1.Pod).Spec.NodeName; got != want {
				t.Errorf("pod %s on %q, want %q", name, got, want)
			}
		}
		v, _ := c.View(ctx)
		said := map[string]bool{}
		for e := range v.List(eventResource(), "") {
			said[e.(*eventsv1.Event).Note] = true
		}
		if !said["Successfully assigned default/p to n"] {
			t.Errorf("events %v", said)
		}
		cancel()
		<-done
	})
}
