package place

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// node has 4 cpus, 8 GiB and room for 10 pods.
func node(name string, change ...func(*corev1.Node)) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	n.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: milli(4000), corev1.ResourceMemory: units(8 << 30), corev1.ResourcePods: units(10)}
	for _, f := range change {
		f(n)
	}
	return n
}

// has sets what a node can give.
func has(name corev1.ResourceName, n int64) func(*corev1.Node) {
	return func(o *corev1.Node) { o.Status.Allocatable[name] = units(n) }
}

func labelled(k, v string) func(*corev1.Node) { return func(n *corev1.Node) { n.Labels[k] = v } }

// pod asks for milliCPU and as many MiB.
func pod(name string, milliCPU int64, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Labels: map[string]string{"app": "web"}}}
	p.Spec.Containers = []corev1.Container{{Name: "c", Image: "web"}}
	if milliCPU > 0 {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: milli(milliCPU), corev1.ResourceMemory: units(milliCPU << 20)}
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func asks(name corev1.ResourceName, n int64) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests[name] = units(n) }
}

func aimedAt(names ...string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{}}}}}}
		fields := &p.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields
		for _, name := range names {
			*fields = append(*fields, corev1.NodeSelectorRequirement{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{name}})
		}
	}
}

// TestStatuses has one line for each answer that the model does not give: the pod's message, or the nodes that will do.
func TestStatuses(t *testing.T) {
	hard := func(p *Profile) {
		p.SystemSpread, p.DefaultSpread = false, []corev1.TopologySpreadConstraint{{MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule}}
	}
	owned := func(kind, version string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: version, Kind: kind, Name: "o", Controller: ptr.To(true)}}
		}
	}
	always := corev1.ContainerRestartPolicyAlways
	test := func(name string, want string, p func(*Profile), nodes []*corev1.Node, on, asked *corev1.Pod) {
		t.Run(name, func(t *testing.T) {
			table := NewTable()
			for _, n := range nodes {
				table.SetNode(n)
			}
			table.SetOwner(Owner{ReplicaSet, "default", "o"}, labels.SelectorFromSet(labels.Set{"app": "web"}))
			table.SetOwner(Owner{ReplicationController, "default", "o"}, labels.SelectorFromSet(labels.Set{"app": "web"}))
			if on != nil {
				table.SetPod(on, nodes[0].Name)
			}
			e, err := table.Explain(asked, policy(t, p))
			if err != nil {
				t.Fatal(err)
			}
			var fit []string
			for _, v := range e.Nodes {
				if v.Status == nil {
					fit = append(fit, v.Node)
				}
			}
			got := strings.Join(fit, " ")
			if e.Failure != nil {
				got = e.Failure.Message("")
			}
			if got != want {
				t.Errorf("got %q\nwant %q", got, want)
			}
		})
	}
	as := func(*Profile) {}
	a, b := node("a"), node("b")
	two := []*corev1.Node{a, b}
	test("no nodes", "no nodes available to schedule pods", as, nil, nil, pod("p", 1))
	test("node name", "b", as, two, nil, pod("p", 1, func(p *corev1.Pod) { p.Spec.NodeName = "b" }))
	test("node name elsewhere", "0/2 nodes are available: 2 node(s) didn't match the requested node name.", as, two, nil,
		pod("p", 1, func(p *corev1.Pod) { p.Spec.NodeName = "c" }))
	test("aim", "b", as, two, nil, pod("p", 1, aimedAt("b")))
	test("aim at nothing", "0/2 nodes are available: 2 node(s) didn't satisfy plugin(s) [NodeAffinity].", as, two, nil, pod("p", 1, aimedAt("c")))
	test("aim at a full node", "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't satisfy plugin(s) [NodeAffinity].", as, two, nil, pod("p", 5000, aimedAt("b")))
	test("aims that conflict", "0/2 nodes are available: pod affinity terms conflict.", as, two, nil, pod("p", 1, aimedAt("a", "b")))
	test("added affinity", "0/2 nodes are available: 2 node(s) didn't match scheduler-enforced node affinity.", func(p *Profile) {
		p.AddedAffinity = &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "x", Operator: corev1.NodeSelectorOpExists}}}}}}
	}, two, nil, pod("p", 1))
	test("several shortages", "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods.", as,
		[]*corev1.Node{node("a", has(corev1.ResourcePods, 1))}, pod("x", 1), pod("p", 9000))
	test("extended resource", "0/1 nodes are available: 1 Insufficient x.example/y.", as, []*corev1.Node{node("a", has("x.example/y", 2))},
		pod("x", 1, asks("x.example/y", 1)), pod("p", 1, asks("x.example/y", 2)))
	test("ignored resource", "a", func(p *Profile) { p.IgnoredResources = []string{"x.example/y"} }, []*corev1.Node{a}, nil, pod("p", 1, asks("x.example/y", 2)))
	test("ignored group", "a", func(p *Profile) { p.IgnoredResourceGroups = []string{"x.example"} }, []*corev1.Node{a}, nil, pod("p", 1, asks("x.example/y", 2)))
	test("native resources are not ignored", "0/1 nodes are available: 1 Insufficient hugepages-2Mi.", func(p *Profile) { p.IgnoredResources = []string{"hugepages-2Mi"} },
		[]*corev1.Node{a}, nil, pod("p", 1, asks("hugepages-2Mi", 2)))
	test("overhead", "0/1 nodes are available: 1 Insufficient cpu.", as, []*corev1.Node{a}, nil,
		pod("p", 3000, func(p *corev1.Pod) { p.Spec.Overhead = corev1.ResourceList{corev1.ResourceCPU: milli(1001)} }))
	test("sidecars add up", "0/1 nodes are available: 1 Insufficient cpu.", as, []*corev1.Node{a}, nil, pod("p", 3000, func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{RestartPolicy: &always, Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: milli(1001)}}}}
	}))
	test("init containers do not", "a", as, []*corev1.Node{a}, nil, pod("p", 3000, func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: milli(1001)}}}}
	}))
	test("requests of the pod", "0/1 nodes are available: 1 Insufficient cpu.", as, []*corev1.Node{a}, nil, pod("p", 1, func(p *corev1.Pod) {
		p.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: milli(4001)}}
	}))
	test("a resize counts what is allocated", "0/1 nodes are available: 1 Insufficient cpu.", as, []*corev1.Node{a}, pod("x", 1, func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", AllocatedResources: corev1.ResourceList{corev1.ResourceCPU: milli(3500)},
			Resources: &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: milli(3500)}}}}
	}), pod("p", 600))
	test("features", "b", as, []*corev1.Node{a, node("b", func(n *corev1.Node) { n.Status.DeclaredFeatures = []string{"RestartAllContainersOnContainerExits"} })}, nil,
		pod("p", 1, func(p *corev1.Pod) {
			p.Spec.Containers[0].RestartPolicyRules = []corev1.ContainerRestartRule{{Action: corev1.ContainerRestartRuleActionRestartAllContainers}}
		}))
	test("spread by owner", "b", hard, two, pod("x", 1), pod("p", 1, owned("ReplicaSet", "apps/v1")))
	test("spread by controller", "b", hard, two, pod("x", 1), pod("p", 1, owned("ReplicationController", "v1")))
	test("spread by a stranger", "a b", hard, two, pod("x", 1), pod("p", 1, owned("ReplicaSet", "example/v1")))
	test("sidecar's port", "b", as, two, pod("x", 1, func(p *corev1.Pod) {
		p.Spec.InitContainers = []corev1.Container{{RestartPolicy: &always, Ports: []corev1.ContainerPort{{HostPort: 80}}}}
	}), pod("p", 1, func(p *corev1.Pod) {
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80, HostIP: "1.2.3.4"}}
	}))
	test("another protocol's port", "a b", as, two, pod("x", 1, func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80}} }),
		pod("p", 1, func(p *corev1.Pod) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{HostPort: 80, Protocol: corev1.ProtocolUDP}}
		}))
}

// TestScores has one line for each score that the model does not give: of node a, by one plug-in.
func TestScores(t *testing.T) {
	strategy := func(s Strategy, resources ...Weighted) func(*Profile) {
		return func(p *Profile) {
			p.Strategy, p.Resources = s, resources
			p.Shape = []ShapePoint{{0, 0}, {50, 10}, {100, 4}}
		}
	}
	cpuOnly, both := Weighted{"cpu", 1}, []Weighted{{"cpu", 3}, {"x.example/y", 1}}
	for _, c := range []struct {
		name, plugin string
		want         int64
		p            func(*Profile)
		n            *corev1.Node
		on, asked    *corev1.Pod
	}{
		{"least", NodeResourcesFit, 50, strategy(LeastAllocated, cpuOnly), node("a"), pod("x", 1000), pod("p", 1000)},
		{"most", NodeResourcesFit, 50, strategy(MostAllocated, cpuOnly), node("a"), pod("x", 1000), pod("p", 1000)},
		{"most with defaults", NodeResourcesFit, 5, strategy(MostAllocated, cpuOnly), node("a"), pod("x", 0), pod("p", 0)},
		{"weights", NodeResourcesFit, 50, strategy(LeastAllocated, both...), node("a", has("x.example/y", 4)), pod("x", 1000), pod("p", 1000, asks("x.example/y", 2))},
		{"extended, not wanted", NodeResourcesFit, 75, strategy(LeastAllocated, both...), node("a", has("x.example/y", 4)), nil, pod("p", 1000)},
		{"shape, first half", NodeResourcesFit, 50, strategy(RequestedToCapacityRatio, cpuOnly), node("a"), nil, pod("p", 1000)},
		{"shape, second half", NodeResourcesFit, 70, strategy(RequestedToCapacityRatio, cpuOnly), node("a"), pod("x", 1000), pod("p", 2000)},
		{"requests of the pod do not count", NodeResourcesFit, 97, strategy(LeastAllocated, cpuOnly), node("a"), nil, pod("p", 0, func(p *corev1.Pod) {
			p.Spec.Resources = &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: milli(2000)}}
		})},
		{"balance of three", BalancedAllocation, 61, func(p *Profile) { p.Balanced = []Weighted{{"cpu", 1}, {"memory", 1}, {"x.example/y", 1}} },
			node("a", has("x.example/y", 4)), nil, pod("p", 1000, asks("x.example/y", 3))},
		{"balance of a pod that asks for nothing", BalancedAllocation, 0, func(*Profile) {}, node("a"), nil, pod("p", 0)},
		{"added preference", NodeAffinity, 200, func(p *Profile) {
			p.AddedAffinity = &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 5,
				Preference: corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: "disk", Operator: corev1.NodeSelectorOpExists}}}}}}
		}, node("a", labelled("disk", "ssd")), nil, pod("p", 1)},
		{"image of a volume", ImageLocality, 100, func(*Profile) {}, node("a", func(n *corev1.Node) {
			n.Status.Images = []corev1.ContainerImage{{Names: []string{"data:latest"}, SizeBytes: 4000 << 20}}
		}), nil, pod("p", 1, func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "data"}}}}
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := NewTable()
			table.SetNode(c.n)
			if c.on != nil {
				table.SetPod(c.on, "a")
			}
			e, err := table.Explain(c.asked, policy(t, c.p))
			if err != nil || e.Feasible != 1 {
				t.Fatal(e, err)
			}
			for _, s := range e.Nodes[0].Scores {
				if s.Plugin == c.plugin && s.Score != c.want {
					t.Errorf("%s: %d, want %d", c.plugin, s.Score, c.want)
				}
			}
		})
	}
}

// TestErrors: what cannot be read ends in an error that names the plug-in, not in a place.
func TestErrors(t *testing.T) {
	table := NewTable()
	table.SetNode(node("a"))
	bad := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "k", Operator: "Like"}}}
	spread := pod("p", 1, func(p *corev1.Pod) {
		p.Spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{TopologyKey: "k", WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: bad}}
	})
	term := pod("p", 1, func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{LabelSelector: bad}}}}
	})
	for plugin, p := range map[string]*corev1.Pod{PodTopologySpread: spread, InterPodAffinity: term} {
		if _, err := table.Decide(p, policy(t), nil, nil); err == nil || !strings.Contains(err.Error(), plugin) {
			t.Errorf("%s: error %v", plugin, err)
		}
	}
	for field, change := range map[string]func(*Profile){
		"filter": func(p *Profile) { p.Filters = append(p.Filters, "Nobody") },
		"score":  func(p *Profile) { p.Scores = append(p.Scores, Weighted{"Nobody", 1}) },
		"shape":  func(p *Profile) { p.Strategy = RequestedToCapacityRatio },
	} {
		p := DefaultProfile()
		if change(&p); true {
			if _, err := p.Compile(); err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("%s: error %v", field, err)
			}
		}
	}
}

// TestChoice draws every best node alike often, and takes a nominated node first.
func TestChoice(t *testing.T) {
	table, p, rng := NewTable(), policy(t), rand.New(rand.NewSource(1))
	for i := range 8 {
		table.SetNode(node(fmt.Sprint("n", i), labelled("zone", fmt.Sprint(i%3))))
	}
	table.SetPod(pod("x", 1000), "n0")
	drawn := map[string]int{}
	for range 7000 {
		plan, err := table.Decide(pod("p", 100), p, rng, nil)
		if err != nil || plan.Feasible != 8 {
			t.Fatal(plan, err)
		}
		drawn[plan.Node]++
	}
	for name, n := range drawn {
		if n < 850 || n > 1150 || name == "n0" {
			t.Errorf("node %s was drawn %d times of 7000 among 7", name, n)
		}
	}
	chosen := pod("p", 100)
	chosen.Status.NominatedNodeName = "n0"
	if plan, err := table.Decide(chosen, p, rng, nil); err != nil || plan.Node != "n0" || plan.Feasible != 1 {
		t.Errorf("nominated: %+v, %v", plan, err)
	}
}
