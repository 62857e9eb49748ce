package workloads

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/bench"
)

// server is what a workload has on a server besides its pods, or otherwise than where decisions alone are timed. All may be nil.
type server struct {
	objects func(nodes, pods int) []runtime.Object // made first; pods are those to come
	node    func(*corev1.Node, int)
	waiting func(*corev1.Pod, int)     // pods that are there before, as many as nodes, and on none
	coming  func(*corev1.Pod, int)     // in place of the kind's
	beside  func(i int) runtime.Object // comes before every tenth pod
}

// ClusterNames are the workloads that are made for a server.
func ClusterNames() []string {
	var names []string
	for _, k := range onServers(0) {
		names = append(names, k.name)
	}
	return names
}

// MakeCluster makes a workload by its name, for a server: with so many nodes and pods to be measured.
func MakeCluster(name string, nodes, pods int) (bench.Cluster, error) {
	for _, k := range onServers(nodes) {
		if k.name == name {
			return k.cluster(nodes, pods), nil
		}
	}
	return bench.Cluster{}, fmt.Errorf("there is no workload %q", name)
}

func (k kind) cluster(nodes, pods int) bench.Cluster {
	c := bench.Cluster{Name: k.name}
	first := pods + 1 // one more pod than is measured proves that such pods are bound
	if k.server.objects != nil {
		c.Before = k.server.objects(nodes, first)
	}
	for i := range nodes {
		n := node(i)
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
		if k.server.node != nil {
			k.server.node(n, i)
		}
		c.Before = append(c.Before, n)
	}
	for _, p := range k.there(nodes) {
		c.Before = append(c.Before, p)
	}
	for i := range nodes {
		if k.server.waiting == nil {
			break
		}
		p := pod(fmt.Sprintf("waiting-%05d", i))
		k.server.waiting(p, i)
		c.Before = append(c.Before, p)
	}
	style := k.coming
	if k.server.coming != nil {
		style = k.server.coming
	}
	for i := range first {
		p := pod(fmt.Sprintf("coming-%05d", i))
		style(p, i)
		c.Pods = append(c.Pods, p)
		if k.server.beside != nil && i%10 == 1 {
			c.Beside = append(c.Beside, k.server.beside(i/10))
		}
	}
	return c
}

// onServers are the workloads of kinds, and those that ask for more of a scheduler than a decision.
func onServers(nodes int) []kind {
	zone, host := corev1.LabelTopologyZone, corev1.LabelHostname
	near, inclined, far, apart := affinity(towards(ofTeams(zone))), affinity(preferring(ofTeams(host))), affinity(away(ofTeams(host))), affinity(avoiding(ofTeams(host)))
	all := append(kinds(),
		inTeams("near", "pod affinity by namespaces", near, near),
		inTeams("inclined", "preferred pod affinity by namespaces", inclined, inclined),
		inTeams("far", "pod anti-affinity by namespaces", green, far),
		inTeams("apart", "preferred pod anti-affinity by namespaces", apart, apart),
		kind{name: "default spread", coming: plain, server: server{objects: func(int, int) []runtime.Object { return []runtime.Object{service("blue")} }}},
		kind{name: "spread on untainted nodes", coming: onUntainted, placed: plain, server: server{node: taintFifth}},
		kind{name: "daemon set", placed: plain, coming: func(p *corev1.Pod, i int) { onNode(p, nodeName(i%nodes)) }},
		kind{name: "mixed", placed: mixed, coming: plain},
		kind{name: "churn of nodes, pods and services", placed: plain, coming: plain, server: server{beside: churn}},
		kind{name: "gated", placed: plain, coming: plain, server: server{waiting: func(p *corev1.Pod, i int) {
			affinity(towards(term(zone)))(p, i)
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "floe.dev/held"}}
		}}},
	)
	return append(all, stored()...)
}

const teamCount = 10

// teamNamespaces are namespaces with a label, and the service account that pods in them need where no controller makes it. Each workload has its own, since a
// namespace that was removed takes its time to go.
func teamNamespaces(prefix string) []runtime.Object {
	var all []runtime.Object
	for i := range teamCount {
		n := namespace()
		n.Name, n.UID, n.Labels = teamName(prefix, i), "", map[string]string{"team": "devops"}
		all = append(all, n)
	}
	for i := range teamCount {
		a := &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: meta("default")}
		a.Namespace = teamName(prefix, i)
		all = append(all, a)
	}
	return all
}

func teamName(prefix string, i int) string { return fmt.Sprintf("%s-%d", prefix, i%teamCount) }

// inTeams makes a workload with placed pods in all teams' namespaces; those that come are in that of the first.
func inTeams(prefix, name string, placed, coming func(*corev1.Pod, int)) kind {
	return kind{name: name, placed: func(p *corev1.Pod, i int) {
		placed(p, i)
		p.Namespace = teamName(prefix, i)
	}, coming: func(p *corev1.Pod, i int) {
		coming(p, i)
		p.Namespace = teamName(prefix, 0)
	}, server: server{objects: func(int, int) []runtime.Object { return teamNamespaces(prefix) }}}
}

// ofTeams is a term that looks at the pods of all namespaces with the teams' label.
func ofTeams(key string) corev1.PodAffinityTerm {
	t := term(key)
	t.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "devops"}}
	return t
}

// taintFifth makes every fifth node one that pods keep off.
func taintFifth(n *corev1.Node, i int) {
	if i%5 == 0 {
		n.Spec.Taints = []corev1.Taint{{Key: "floe.dev/kept", Effect: corev1.TaintEffectNoSchedule}}
	}
}

// onUntainted spreads pods over those nodes that they may go to.
func onUntainted(p *corev1.Pod, i int) {
	spread(corev1.LabelHostname, corev1.DoNotSchedule)(p, i)
	p.Spec.TopologySpreadConstraints[0].NodeTaintsPolicy = new(corev1.NodeInclusionPolicyHonor)
}

// onNode makes a pod of a daemon set, as its controller does.
func onNode(p *corev1.Pod, name string) {
	p.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{name}}},
		}},
	}}}
}

// mixed makes pods with each kind of pod affinity in turn, and with none.
func mixed(p *corev1.Pod, i int) {
	zone, host := corev1.LabelTopologyZone, corev1.LabelHostname
	styles := []func(*corev1.Pod, int){
		plain, affinity(towards(term(zone))), affinity(away(term(host))), affinity(preferring(term(host))), affinity(avoiding(term(host))),
	}
	styles[i%len(styles)](p, i)
}

// churn makes a node, a pod that fits nowhere and a service, in turn.
func churn(i int) runtime.Object {
	switch i % 3 {
	case 0:
		n := node(i)
		n.Name = fmt.Sprintf("churn-%05d", i)
		n.Labels[corev1.LabelHostname] = n.Name
		return n
	case 1:
		p := pod(fmt.Sprintf("churn-%05d", i))
		futile(p, i)
		return p
	}
	s := service("nobody")
	s.Name = fmt.Sprintf("churn-%05d", i)
	return s
}

// service is one that selects the pods of a color.
func service(color string) *corev1.Service {
	s := &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: meta(color)}
	s.Namespace = metav1.NamespaceDefault
	s.Spec = corev1.ServiceSpec{Selector: map[string]string{"color": color}, Ports: []corev1.ServicePort{{Port: 80}}}
	return s
}
