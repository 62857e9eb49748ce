package simulate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/simulate/podlife"
)

func constant(d time.Duration) *podlife.Range { r := podlife.Constant(d); return &r }

// TestLifeOfAPod as its annotations have it, from the API's side.
func TestLifeOfAPod(t *testing.T) {
	virtually(t, func(b *bed) {
		b.start(Profile{Nodes: []Group{{Count: 1}}, Events: true})
		b.pass(time.Second)
		b.pod("slow", "sim-0", func(p *corev1.Pod) {
			p.Annotations = map[string]string{annotationPrefix + "pull": "3s", annotationPrefix + "ready": "2s", annotationPrefix + "stop": "4s", annotationPrefix + "frob": "1"}
		})
		b.pass(time.Second)
		if p := b.podNamed("slow"); p.Status.Phase != corev1.PodPending || p.Status.ContainerStatuses[0].State.Waiting.Reason != "ContainerCreating" || p.Status.StartTime == nil {
			t.Errorf("after 1 s: %+v", p.Status)
		}
		b.pass(3 * time.Second)
		if p := b.podNamed("slow"); p.Status.Phase != corev1.PodRunning || p.Status.ContainerStatuses[0].Ready {
			t.Errorf("after 4 s: %+v", p.Status)
		}
		b.pass(2 * time.Second)
		p := b.podNamed("slow")
		c := p.Status.ContainerStatuses[0]
		if !c.Ready || !strings.HasPrefix(c.ContainerID, "simulated://") || !strings.HasPrefix(c.ImageID, "i@sha256:") || p.Status.PodIP != "240.0.0.2" || p.Status.HostIP != "198.18.0.1" {
			t.Errorf("after 6 s: %+v", p.Status)
		}
		if m := p.ManagedFields[len(p.ManagedFields)-1]; m.Manager != "kubelet" || m.Subresource != "status" {
			t.Errorf("the status is of %s %s", m.Manager, m.Subresource)
		}
		reasons := map[string]bool{}
		for obj := range b.view().List(corev1.SchemeGroupVersion.WithResource("events"), "") {
			reasons[obj.(*corev1.Event).Reason] = true
		}
		if len(reasons) != 3 || !reasons["Pulled"] || !reasons["Created"] || !reasons["Started"] {
			t.Errorf("events %v", reasons)
		}
		if _, err := b.client.Delete(b.Context(), podResource(), "default", "slow", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		b.pass(3 * time.Second)
		if p := b.podNamed("slow"); p == nil || p.Status.Phase != corev1.PodRunning {
			t.Errorf("it stops for 4 s, and after 3 s there is %+v", p)
		}
		b.pass(2 * time.Second)
		if p := b.podNamed("slow"); p != nil {
			t.Errorf("it is not gone: %+v", p.Status)
		}
		b.pod("next", "sim-0", nil)
		b.pass(time.Second)
		if p := b.podNamed("next"); p.Status.Phase != corev1.PodRunning || p.Status.PodIP == "240.0.0.2" {
			t.Errorf("the next pod: %s at %s", p.Status.Phase, p.Status.PodIP)
		}
	})
}

// TestRules: the first that matches a pod counts.
func TestRules(t *testing.T) {
	virtually(t, func(b *bed) {
		b.start(Profile{Nodes: []Group{{Count: 2, Labels: map[string]string{"pool": "bad"}}, {Count: 1}}, Pods: []Rule{
			{Match: Match{Labels: map[string]string{"app": "oom"}}, Behaviour: podlife.Behaviour{Outcome: podlife.OutOfMemory, Run: constant(time.Second)}},
			{Match: Match{Commands: []string{"sh -c exit 7"}}, Behaviour: podlife.Behaviour{Run: constant(0), ExitCode: 7}},
			{Match: Match{Owner: "Job"}, Behaviour: podlife.Behaviour{Run: constant(5 * time.Second), ExitCode: 3}},
			{Match: Match{NodeLabels: map[string]string{"pool": "bad"}}, Behaviour: podlife.Behaviour{Outcome: podlife.NeverReady}},
			{Match: Match{Images: []string{"away:1"}}, Behaviour: podlife.Behaviour{Outcome: podlife.NoImage}},
		}})
		b.pass(time.Second)
		b.pod("away", "sim-2", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "away:1" })
		b.pod("shell", "sim-2", func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.Spec.Containers[0].Command, p.Spec.Containers[0].Args = []string{"sh", "-c"}, []string{"exit 7"}
		})
		b.pod("oom", "sim-0", func(p *corev1.Pod) { p.Labels = map[string]string{"app": "oom"} })
		b.pod("job", "sim-0", func(p *corev1.Pod) {
			p.Spec.RestartPolicy = corev1.RestartPolicyNever
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "j", UID: "j"}}
		})
		b.pod("other", "sim-1", nil)
		b.pass(10 * time.Second)
		oom, job, other := b.podNamed("oom").Status.ContainerStatuses[0], b.podNamed("job").Status, b.podNamed("other").Status
		if last := oom.LastTerminationState.Terminated; oom.RestartCount != 1 || last == nil || last.ExitCode != 137 || last.Reason != "OOMKilled" || oom.State.Waiting.Reason != "CrashLoopBackOff" {
			t.Errorf("out of memory: %+v", oom)
		}
		if shell := b.podNamed("shell").Status; shell.Phase != corev1.PodFailed || shell.ContainerStatuses[0].State.Terminated.ExitCode != 7 {
			t.Errorf("a pod by its command: %+v", shell)
		}
		if away := b.podNamed("away").Status; away.Phase != corev1.PodPending || away.ContainerStatuses[0].State.Waiting.Reason != "ImagePullBackOff" {
			t.Errorf("a pod whose image is nowhere: %+v", away)
		}
		if job.Phase != corev1.PodFailed || job.ContainerStatuses[0].State.Terminated.ExitCode != 3 {
			t.Errorf("the job's pod: %+v", job)
		}
		if other.Phase != corev1.PodRunning || other.ContainerStatuses[0].Ready {
			t.Errorf("the other pod: %+v", other)
		}
	})
}

// TestHostPorts: a node takes no pod whose ports another has, also after the simulation began anew, and takes it when that one is gone.
func TestHostPorts(t *testing.T) {
	virtually(t, func(b *bed) {
		profile := Profile{Nodes: []Group{{Count: 2}}, Events: true}
		b.start(profile)
		b.pass(time.Second)
		try := func(name, node, ip string, port int32, taken bool) {
			t.Helper()
			b.pod(name, node, func(p *corev1.Pod) {
				p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: port, HostIP: ip, Protocol: corev1.ProtocolTCP}}
			})
			b.pass(time.Second)
			want, reason := corev1.PodRunning, ""
			if !taken {
				want, reason = corev1.PodFailed, "NodePorts"
			}
			if st := b.podNamed(name).Status; st.Phase != want || st.Reason != reason {
				t.Errorf("pod %s with port %s:%d on %s: %s %s (%s)", name, ip, port, node, st.Phase, st.Reason, st.Message)
			}
		}
		try("first", "sim-0", "", 8080, true)
		try("second", "sim-0", "", 8080, false)
		try("elsewhere", "sim-1", "", 8080, true)
		try("another", "sim-0", "", 8081, true)
		try("address", "sim-0", "198.18.0.1", 8080, false)
		try("one", "sim-0", "198.18.0.1", 9090, true)
		try("two", "sim-0", "198.18.0.2", 9090, true)
		b.stop()
		b.start(profile)
		b.pass(time.Second)
		try("third", "sim-0", "0.0.0.0", 8080, false)
		if _, err := b.client.Delete(b.Context(), podResource(), "default", "first", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		b.pass(time.Second)
		try("fourth", "sim-0", "", 8080, true)
		if st := b.podNamed("second").Status; st.Message != "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports" || st.PodIP != "" {
			t.Errorf("status %+v", st)
		}
	})
}

// TestRestart ends the simulation in the middle of everything, and begins another: nothing is run twice, and nothing is lost.
func TestRestart(t *testing.T) {
	virtually(t, func(b *bed) {
		const nodes, pods = 50, 300
		p := Profile{Seed: 7, Nodes: []Group{{Count: nodes}}, Pods: []Rule{{Behaviour: podlife.Behaviour{
			Pull: podlife.Range{Most: 20 * time.Second}, Ready: podlife.Range{Most: 10 * time.Second}, Run: &podlife.Range{Least: 30 * time.Second, Most: 2 * time.Minute},
		}}}}
		b.start(p)
		b.pass(time.Second)
		for i := range pods {
			b.pod(fmt.Sprintf("p%d", i), fmt.Sprintf("sim-%d", i%nodes), func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyNever })
		}
		began := map[string]string{} // the container's id and begin, when it was first seen to run
		for range 20 {
			b.pass(7 * time.Second)
			b.stop()
			b.pass(time.Second)
			for obj := range b.view().List(podResource(), "") {
				c := &corev1.ContainerStatus{}
				if list := obj.(*corev1.Pod).Status.ContainerStatuses; len(list) > 0 {
					c = &list[0]
				}
				if c.RestartCount != 0 {
					t.Errorf("%s ran %d times more", obj.GetName(), c.RestartCount)
				}
				run := ""
				switch {
				case c.State.Running != nil:
					run = c.ContainerID + c.State.Running.StartedAt.String()
				case c.State.Terminated != nil:
					run = c.State.Terminated.ContainerID + c.State.Terminated.StartedAt.String()
				}
				if had := began[obj.GetName()]; had != "" && had != run {
					t.Errorf("%s ran as %s, and then as %s", obj.GetName(), had, run)
				}
				began[obj.GetName()] = run
			}
			b.start(p)
		}
		b.pass(3 * time.Minute)
		if got := b.phases(); got[corev1.PodSucceeded] != pods || len(got) != 1 {
			t.Errorf("phases %v, want %d Succeeded", got, pods)
		}
	})
}

// TestFailures of nodes: each kind, and what becomes of the pods.
func TestFailures(t *testing.T) {
	for _, kind := range []FailureKind{Partition, Crash, Removal} {
		t.Run(string(kind), func(t *testing.T) {
			virtually(t, func(b *bed) {
				b.start(Profile{Nodes: []Group{{Count: 1, Failures: []Failure{{Kind: kind, After: podlife.Constant(time.Minute), For: constant(time.Minute), Repeat: true}}}}})
				b.pass(time.Second)
				b.pod("p", "sim-0", nil)
				b.pass(58 * time.Second)
				uid, before := b.node("sim-0").UID, b.podNamed("p").Status
				b.pass(41 * time.Second)
				b.pod("late", "sim-0", nil)
				b.pass(10 * time.Second)
				if late := b.podNamed("late"); late.Status.Phase != corev1.PodPending || late.Status.StartTime != nil {
					t.Errorf("a pod of a node that is down: %+v", late.Status)
				}
				renewed := b.view().Get(leaseResource, corev1.NamespaceNodeLease, "sim-0")
				if n := b.node("sim-0"); (n == nil) != (kind == Removal) {
					t.Errorf("while it is down: %v", n)
				}
				b.pass(15 * time.Second)
				n, after := b.node("sim-0"), b.podNamed("p").Status
				if n == nil || !isReady(n) || (n.UID == uid) == (kind == Removal) {
					t.Fatalf("after its return: %v", n)
				}
				if again := after.ContainerStatuses[0].RestartCount; after.Phase != corev1.PodRunning || (again == 1) != (kind != Partition) || after.PodIP != before.PodIP {
					t.Errorf("the pod, after: %+v", after)
				}
				if late := b.podNamed("late"); late.Status.Phase != corev1.PodRunning {
					t.Errorf("the late pod: %+v", late.Status)
				}
				if lease := b.view().Get(leaseResource, corev1.NamespaceNodeLease, "sim-0"); lease.GetResourceVersion() == renewed.GetResourceVersion() {
					t.Error("its lease is not renewed any more")
				}
			})
		})
	}
}

// TestOthersNodes: one that asks for it is simulated, one of the same name is left alone.
func TestOthersNodes(t *testing.T) {
	virtually(t, func(b *bed) {
		own := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "sim-0"}}
		b.put(nodeResource(), own)
		b.put(nodeResource(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "fake", Annotations: map[string]string{AnnotationFake: "fake"}},
			Status: corev1.NodeStatus{Capacity: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3")}}})
		b.start(Profile{Nodes: []Group{{Count: 2}}})
		b.pass(15 * time.Second)
		if n := b.node("sim-0"); isReady(n) || b.view().Get(leaseResource, corev1.NamespaceNodeLease, "sim-0") != nil {
			t.Errorf("a node that somebody else has made: %+v", n.Status)
		}
		if n := b.node("fake"); !isReady(n) || n.Spec.PodCIDR == "" || n.Status.Capacity.Cpu().String() != "3" || b.view().Get(leaseResource, corev1.NamespaceNodeLease, "fake") == nil {
			t.Errorf("a node that asks to be simulated: %+v", n)
		}
		b.pod("p", "fake", nil)
		b.pass(time.Second)
		if p := b.podNamed("p"); p.Status.Phase != corev1.PodRunning || p.Status.PodIP == "" || p.Status.HostIP == "" {
			t.Errorf("its pod: %+v", p.Status)
		}
		if _, err := b.client.Delete(b.Context(), nodeResource(), "", "sim-1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		b.pass(time.Minute)
		if n := b.node("sim-1"); n != nil {
			t.Errorf("a node that was deleted is back: %v", n)
		}
	})
}

// TestStages: nodes and pods by stages of a file, without a line of a profile.
func TestStages(t *testing.T) {
	virtually(t, func(b *bed) {
		p, stages, err := LoadFile("testdata/stages.yaml")
		if err != nil {
			t.Fatal(err)
		}
		p.SetCount(3)
		b.stages = stages
		b.start(p)
		b.pass(time.Second)
		n := b.node("sim-2")
		if !isReady(n) || n.Status.Phase != "Running" {
			t.Fatalf("the node: %+v", n.Status)
		}
		beat := n.ResourceVersion
		b.pod("p", "sim-2", func(p *corev1.Pod) { p.Finalizers = []string{"x.io/hold"} })
		b.pod("job", "sim-1", func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "j", UID: "j"}}
		})
		b.pass(time.Second)
		if p := b.podNamed("p"); p.Status.Phase != corev1.PodPending {
			t.Errorf("before the stage's delay: %+v", p.Status)
		}
		b.pass(2 * time.Second)
		if p := b.podNamed("p"); p.Status.Phase != corev1.PodRunning || p.Status.PodIP == "" || !p.Status.ContainerStatuses[0].Ready {
			t.Errorf("after it: %+v", p.Status)
		}
		if p := b.podNamed("job"); p.Status.Phase != corev1.PodSucceeded {
			t.Errorf("the job's pod: %+v", p.Status)
		}
		if _, err := b.client.Delete(b.Context(), podResource(), "default", "p", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		b.pass(time.Second)
		if p := b.podNamed("p"); p != nil {
			t.Errorf("it is not gone: %+v", p)
		}
		b.pass(30 * time.Second)
		if n := b.node("sim-2"); n.ResourceVersion == beat {
			t.Error("the node's stage of heartbeats is not played")
		}
	})
}

// TestLoadFile: errors name file, line and field.
func TestLoadFile(t *testing.T) {
	for text, want := range map[string]string{
		"apiVersion: config.floe.dev/v1alpha1\nkind: SimulationConfiguration\nseed: 3\nnodes:\n- count: 5\n  zones: [a]\n  join: 1s..3s\npods:\n- match: {owner: Job}\n  run: 4s\n": "",
		"apiVersion: config.floe.dev/v1alpha1\nkind: SimulationConfiguration\nnodes:\n- cuont: 5\n":                                                                                 `f:4: unknown field "nodes[0].cuont"`,
		"apiVersion: config.floe.dev/v1alpha1\nkind: SimulationConfiguration\npods:\n- {}\n- outcome: dies\n":                                                                       `f:5: pods[1].outcome: Unsupported value: "dies"`,
		"apiVersion: config.floe.dev/v1alpha1\nkind: SimulationConfiguration\npodAddresses: 10.0.0.0/22\nnodes: [{count: 4}]\n":                                                     `f:3: podAddresses: Invalid value: "10.0.0.0/22": has room for 3 nodes, not for 4`,
		"apiVersion: v1\nkind: Pod\n": `f:1: apiVersion "v1", kind "Pod": must be kwok.x-k8s.io/v1alpha1 Stage or config.floe.dev/v1alpha1 SimulationConfiguration`,
		"---\napiVersion: kwok.x-k8s.io/v1alpha1\nkind: Stage\nmetadata: {name: s}\nspec: {resourceRef: {kind: Job}, next: {delete: true}}\n": "f:5: spec.resourceRef",
	} {
		path := t.TempDir() + "/f"
		write(t, path, text)
		p, _, err := LoadFile(path)
		switch {
		case want == "" && (err != nil || p.Count() != 5 || p.Pods[0].Match.Owner != "Job" || p.Pods[0].Run.Least != 4*time.Second):
			t.Errorf("%s\n%+v, %v", text, p, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s\n%v\nwant %s", text, err, want)
		}
	}
}
