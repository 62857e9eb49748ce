package simulate

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/simulate/podlife"
)

// What a kubelet says of a pod whose ports are taken.
const (
	reasonPorts  = "NodePorts"
	messagePorts = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
)

// hostPort is a port of the node's own. An ip of its zero value stands for all.
type hostPort struct {
	ip       netip.Addr
	protocol corev1.Protocol
	number   int32
}

func (a hostPort) clashes(b hostPort) bool {
	return a.number == b.number && a.protocol == b.protocol && (a.ip == b.ip || !a.ip.IsValid() || !b.ip.IsValid())
}

// ports are the host ports of one node's pods, by pod: of those that have some, from when the node takes them until they have ended.
type ports map[types.UID][]hostPort

// wanted are the host ports that a pod asks for: of its containers and its sidecars.
func wanted(p *corev1.Pod) (list []hostPort) {
	add := func(c *corev1.Container) {
		for _, port := range c.Ports {
			if port.HostPort <= 0 {
				continue
			}
			ip, err := netip.ParseAddr(port.HostIP)
			if err != nil || ip == netip.IPv4Unspecified() {
				ip = netip.Addr{}
			}
			list = append(list, hostPort{ip, port.Protocol, port.HostPort})
		}
	}
	for i := range p.Spec.InitContainers {
		if c := &p.Spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	for i := range p.Spec.Containers {
		add(&p.Spec.Containers[i])
	}
	return list
}

// keep gives a pod that the node took before what it asks for, whatever others have.
func (t *ports) keep(p *corev1.Pod) {
	if list := wanted(p); len(list) > 0 {
		if *t == nil {
			*t = ports{}
		}
		(*t)[p.UID] = list
	}
}

// take gives a pod what it asks for, unless another has it.
func (t *ports) take(p *corev1.Pod) bool {
	list := wanted(p)
	for uid, others := range *t {
		for _, other := range others {
			for _, mine := range list {
				if uid != p.UID && mine.clashes(other) {
					return false
				}
			}
		}
	}
	t.keep(p)
	return true
}

// admit says whether a node takes a pod, as it does when it has started it before.
func (m *machine) admit(p *corev1.Pod) bool {
	switch {
	case podlife.Ended(&p.Status) || p.DeletionTimestamp != nil:
		return true
	case p.Status.StartTime != nil:
		m.ports.keep(p)
		return true
	}
	return m.ports.take(p)
}

// refuse ends a pod that its node does not take.
func (s *Simulator) refuse(m *machine, p *pod) *job {
	return s.writeStatus(m, p, corev1.PodStatus{
		Phase: corev1.PodFailed, QOSClass: p.obj.Status.QOSClass, Reason: reasonPorts, Message: "Pod was rejected: " + messagePorts,
	}, podlife.Event{Type: corev1.EventTypeWarning, Reason: reasonPorts, Message: messagePorts})
}
