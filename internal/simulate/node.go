package simulate

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/simulate/podlife"
)

// Labels and annotations of nodes.
const (
	// LabelSimulated is on every node that a profile makes, with the value "true".
	LabelSimulated = "simulate.floe.dev/node"
	// AnnotationFake is kwok's: a Node object that has it, with the value "fake", has no kubelet and is simulated.
	AnnotationFake = "kwok.x-k8s.io/node"
	fake           = "fake"
)

// isFake says that a Node object asks to be simulated.
func isFake(n *corev1.Node) bool { return n.Annotations[AnnotationFake] == fake }

// isMade says that a Node object was made by a simulation.
func isMade(n *corev1.Node) bool { return n.Labels[LabelSimulated] == "true" }

// plan is what a node is before it registers.
type plan struct {
	group *Group
	zone  string
	name  string
	ip    netip.Addr
	pods  netip.Prefix
}

// plan is that of the n-th node of a profile, in its group.
func (p *Profile) plan(g *Group, n, inGroup int, name string) plan {
	out := plan{group: g, name: name}
	if len(g.Zones) > 0 {
		out.zone = g.Zones[inGroup%len(g.Zones)]
	}
	out.ip, out.pods = p.place(n)
	return out
}

// place is the address and the pods' range of the n-th node. The first of each range is left free.
func (p *Profile) place(n int) (netip.Addr, netip.Prefix) {
	nodes, pods := netip.MustParsePrefix(p.NodeAddresses), netip.MustParsePrefix(p.PodAddresses) // Validate has read them
	return nth(nodes, n+1), netip.PrefixFrom(nth(pods, n<<(32-podBits)), podBits)
}

// node is the object that registers a planned node.
func (p *plan) node(kubernetes string, now time.Time) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: p.name, Annotations: p.group.Annotations, Labels: map[string]string{
		LabelSimulated: "true", corev1.LabelHostname: p.name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64", corev1.LabelInstanceTypeStable: "simulated",
	}}}
	if p.zone != "" {
		n.Labels[corev1.LabelTopologyZone] = p.zone
	}
	if p.group.Region != "" {
		n.Labels[corev1.LabelTopologyRegion] = p.group.Region
	}
	for k, v := range p.group.Labels {
		n.Labels[k] = v
	}
	n.Spec.Taints = p.group.Taints
	n.Spec.PodCIDR, n.Spec.PodCIDRs = p.pods.String(), []string{p.pods.String()}
	n.Status = corev1.NodeStatus{
		Capacity: p.group.Allocatable, Allocatable: p.group.Allocatable,
		Addresses: nodeAddresses(p.ip, p.name), NodeInfo: systemInfo(p.name, kubernetes),
	}
	n.Status.Conditions = nodeConditions(nil, now)
	return n
}

func nodeAddresses(ip netip.Addr, name string) []corev1.NodeAddress {
	return []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip.String()}, {Type: corev1.NodeHostName, Address: name}}
}

// systemInfo is what a kubelet tells of its machine; its ids are made of its name, so that they stay.
func systemInfo(name, kubernetes string) corev1.NodeSystemInfo {
	sum := sha256.Sum256([]byte("machine " + name))
	id := hex.EncodeToString(sum[:16])
	return corev1.NodeSystemInfo{
		MachineID: id, SystemUUID: id, BootID: hex.EncodeToString(sum[16:]), KernelVersion: "simulated", OSImage: "simulated", OperatingSystem: "linux",
		Architecture: "amd64", ContainerRuntimeVersion: "simulated://1", KubeletVersion: kubernetes,
	}
}

// report is the status of a node that is well. What is there of capacity, addresses and machine stays, which others may have set.
func report(n *corev1.Node, ip netip.Addr, kubernetes string, now time.Time) corev1.NodeStatus {
	s := *n.Status.DeepCopy()
	if len(s.Addresses) == 0 {
		s.Addresses = nodeAddresses(ip, n.Name)
	}
	if len(s.Capacity) == 0 {
		g := Profile{Nodes: []Group{{}}}
		g.complete()
		s.Capacity = g.Nodes[0].Allocatable
	}
	if len(s.Allocatable) == 0 {
		s.Allocatable = s.Capacity
	}
	if s.NodeInfo.KubeletVersion == "" {
		s.NodeInfo = systemInfo(n.Name, kubernetes)
	}
	s.Conditions = nodeConditions(s.Conditions, now)
	return s
}

// nodeConditions are those of a node that is well, with kubelets' words, and those of others.
func nodeConditions(old []corev1.NodeCondition, now time.Time) []corev1.NodeCondition {
	at := metav1.NewTime(now).Rfc3339Copy()
	well := func(t corev1.NodeConditionType, s corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: t, Status: s, Reason: reason, Message: message, LastHeartbeatTime: at, LastTransitionTime: at}
	}
	list := []corev1.NodeCondition{
		well(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
		well(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
		well(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
		well(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status"),
	}
	for _, o := range old {
		if i := conditionAt(list, o.Type); i < 0 {
			list = append(list, o)
		} else if o.Status == list[i].Status {
			list[i].LastTransitionTime = o.LastTransitionTime
		}
	}
	return list
}

func conditionAt(list []corev1.NodeCondition, t corev1.NodeConditionType) int {
	for i := range list {
		if list[i].Type == t {
			return i
		}
	}
	return -1
}

// isReady says that a Node object says so.
func isReady(n *corev1.Node) bool {
	i := conditionAt(n.Status.Conditions, corev1.NodeReady)
	return i >= 0 && n.Status.Conditions[i].Status == corev1.ConditionTrue
}

// lease is a node's first.
func lease(n *corev1.Node, every time.Duration, now time.Time) *coordinationv1.Lease {
	holder, seconds, at := n.Name, max(int32(leaseTimes*every/time.Second), 1), metav1.NewMicroTime(now)
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, Namespace: corev1.NamespaceNodeLease,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}}},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &at},
	}
}

// renewed is a lease with a later time. All else is shared with the old one, which stays as it is.
func renewed(old *coordinationv1.Lease, now time.Time) *coordinationv1.Lease {
	next, at := *old, metav1.NewMicroTime(now)
	next.Spec.RenewTime = &at
	return &next
}

// outage is one failure of a node: from begin to before end.
type outage struct {
	kind       FailureKind
	begin, end time.Time // end zero: never
	rule, turn int       // which failure of the group's, for the how manieth time
}

// nextOutage is the one that befalls a node after last (nil: the first, after begun). nil: none does any more. A failure that repeats is the last.
func nextOutage(g *Group, seed uint64, name string, begun time.Time, last *outage) *outage {
	rule, turn, from := 0, 0, begun
	if last != nil {
		if last.end.IsZero() {
			return nil
		}
		if rule, from = last.rule+1, last.end; g.Failures[last.rule].Repeat {
			rule, turn = last.rule, last.turn+1
		}
	}
	for ; rule < len(g.Failures); rule++ {
		f := &g.Failures[rule]
		chance := func(step string) float64 {
			return podlife.Share(seed, name, strconv.Itoa(rule), strconv.Itoa(turn), step)
		}
		if f.Share != nil && podlife.Share(seed, name, strconv.Itoa(rule), "befalls") >= *f.Share {
			continue
		}
		o := &outage{kind: f.Kind, begin: from.Add(f.After.At(chance("after"))), rule: rule, turn: turn}
		if f.For != nil {
			o.end = o.begin.Add(f.For.At(chance("for")))
		}
		return o
	}
	return nil
}
