package cni

import (
	"fmt"
	"math"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/floe-k8s/floe/internal/runtime"
)

// portMapping is an element of the capability portMappings.
type portMapping struct {
	HostPort      int32  `json:"hostPort"`
	ContainerPort int32  `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP,omitempty"`
}

// bandwidth is the capability of that name: bits per second, and how many bits may come at once.
type bandwidth struct {
	IngressRate  uint64 `json:"ingressRate,omitempty"`
	IngressBurst uint64 `json:"ingressBurst,omitempty"`
	EgressRate   uint64 `json:"egressRate,omitempty"`
	EgressBurst  uint64 `json:"egressBurst,omitempty"`
}

// anyBurst is as much as plug-ins take: pods are limited in the long run only, as with other runtimes.
const anyBurst = math.MaxUint32

// The annotations of pods that limit their bandwidth.
const (
	ingressAnnotation = "kubernetes.io/ingress-bandwidth"
	egressAnnotation  = "kubernetes.io/egress-bandwidth"
)

// runtimeConf is what plug-ins are told of a pod.
func runtimeConf(pod runtime.PodNetwork) (*libcni.RuntimeConf, error) {
	capabilities := map[string]any{}
	var ports []portMapping
	for _, p := range pod.PortMappings {
		if p.GetHostPort() > 0 {
			ports = append(ports, portMapping{
				HostPort: p.GetHostPort(), ContainerPort: p.GetContainerPort(), Protocol: strings.ToLower(p.GetProtocol().String()), HostIP: p.GetHostIp(),
			})
		}
	}
	if len(ports) > 0 {
		capabilities["portMappings"] = ports
	}
	limits, err := bandwidthOf(pod.Annotations)
	if err != nil {
		return nil, err
	}
	if limits != (bandwidth{}) {
		capabilities["bandwidth"] = limits
	}
	return &libcni.RuntimeConf{
		ContainerID: pod.ID, NetNS: pod.NetNSPath, IfName: inside, CapabilityArgs: capabilities,
		Args: [][2]string{
			{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", pod.Namespace}, {"K8S_POD_NAME", pod.Name},
			{"K8S_POD_INFRA_CONTAINER_ID", pod.ID}, {"K8S_POD_UID", pod.UID},
		},
	}, nil
}

// bandwidthOf reads a pod's limits.
func bandwidthOf(annotations map[string]string) (bandwidth, error) {
	var b bandwidth
	for _, way := range []struct {
		annotation  string
		rate, burst *uint64
	}{{ingressAnnotation, &b.IngressRate, &b.IngressBurst}, {egressAnnotation, &b.EgressRate, &b.EgressBurst}} {
		value, ok := annotations[way.annotation]
		if !ok {
			continue
		}
		q, err := resource.ParseQuantity(value)
		if err != nil || q.Value() <= 0 {
			return b, fmt.Errorf("annotation %s: %q is no number of bits per second", way.annotation, value)
		}
		*way.rate, *way.burst = uint64(q.Value()), anyBurst
	}
	return b, nil
}
