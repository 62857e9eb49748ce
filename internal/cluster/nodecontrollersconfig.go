package cluster

import (
	"cmp"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/nodeipam"
	"github.com/floe-k8s/floe/internal/controller/nodelifecycle"
	"github.com/floe-k8s/floe/internal/controller/podgc"
)

// NodeControllers says how long nodes may be silent, and what becomes of their pods then. Its fields are kube-controller-manager's flags.
type NodeControllers struct {
	// NodeMonitorPeriod is how often a node is looked at that is not ready. Default 5s.
	NodeMonitorPeriod metav1.Duration `json:"nodeMonitorPeriod,omitempty"`
	// NodeMonitorGracePeriod is how long a node may give no sign of life before its conditions become Unknown. Default 50s.
	NodeMonitorGracePeriod metav1.Duration `json:"nodeMonitorGracePeriod,omitempty"`
	// NodeStartupGracePeriod is that of a node that has never said how it is. Default 1m.
	NodeStartupGracePeriod metav1.Duration `json:"nodeStartupGracePeriod,omitempty"`
	// NodeEvictionRate is of how many nodes a second the pods may go, in each zone. Default 0.1.
	NodeEvictionRate float64 `json:"nodeEvictionRate"`
	// SecondaryNodeEvictionRate is that of zones of which too many nodes are not ready (UnhealthyZoneThreshold), when they are large. Default 0.01.
	SecondaryNodeEvictionRate float64 `json:"secondaryNodeEvictionRate"`
	// LargeClusterSizeThreshold is how many nodes a zone must have more than to be large; in smaller ones nothing goes then. Default 50.
	LargeClusterSizeThreshold int `json:"largeClusterSizeThreshold"`
	// UnhealthyZoneThreshold is which share of a zone's nodes, three at least, is too many. Default 0.55.
	UnhealthyZoneThreshold float64 `json:"unhealthyZoneThreshold"`
	// TerminatedPodGCThreshold is how many pods that have ended are kept. Default 12500; 0: all.
	TerminatedPodGCThreshold int `json:"terminatedPodGCThreshold"`
	// AllocateNodeCIDRs gives each node that has none a part of the network's ClusterCIDR for its pods' addresses. Default false.
	AllocateNodeCIDRs bool `json:"allocateNodeCIDRs,omitempty"`
	// NodeCIDRMaskSize is how many bits of addresses are the same in a node's range, where there is one family. Default 0: 24 of IPv4, 64 of IPv6.
	NodeCIDRMaskSize int `json:"nodeCIDRMaskSize,omitempty"`
	// NodeCIDRMaskSizeIPv4 and NodeCIDRMaskSizeIPv6 are those of one family. Default 0: as above.
	NodeCIDRMaskSizeIPv4 int `json:"nodeCIDRMaskSizeIPv4,omitempty"`
	NodeCIDRMaskSizeIPv6 int `json:"nodeCIDRMaskSizeIPv6,omitempty"`
}

// Sizes of nodes' ranges, where nothing is said.
const (
	nodeBitsIPv4 = 24
	nodeBitsIPv6 = 64
)

func defaultNodeControllers() NodeControllers {
	d := nodelifecycle.Default()
	span := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
	return NodeControllers{
		NodeMonitorPeriod: span(d.NodeMonitorPeriod), NodeMonitorGracePeriod: span(d.NodeMonitorGracePeriod), NodeStartupGracePeriod: span(d.NodeStartupGracePeriod),
		NodeEvictionRate: d.NodeEvictionRate, SecondaryNodeEvictionRate: d.SecondaryNodeEvictionRate,
		LargeClusterSizeThreshold: d.LargeClusterSizeThreshold, UnhealthyZoneThreshold: d.UnhealthyZoneThreshold,
		TerminatedPodGCThreshold: podgc.DefaultThreshold,
	}
}

func (c *NodeControllers) lifecycle() nodelifecycle.Config {
	return nodelifecycle.Config{
		NodeMonitorPeriod: c.NodeMonitorPeriod.Duration, NodeMonitorGracePeriod: c.NodeMonitorGracePeriod.Duration, NodeStartupGracePeriod: c.NodeStartupGracePeriod.Duration,
		NodeEvictionRate: c.NodeEvictionRate, SecondaryNodeEvictionRate: c.SecondaryNodeEvictionRate,
		LargeClusterSizeThreshold: c.LargeClusterSizeThreshold, UnhealthyZoneThreshold: c.UnhealthyZoneThreshold,
	}
}

// ranges says which ranges nodes get in a valid network. When none are given, nothing is wrong with them.
func (c *NodeControllers) ranges(n *Network) (nodeipam.Config, error) {
	pods, _ := prefixes("", n.ClusterCIDR)
	services, _ := prefixes("", n.ServiceClusterIPRange)
	cfg := nodeipam.Config{Cluster: pods, Services: services}
	if !c.AllocateNodeCIDRs || len(pods) == 0 {
		return cfg, nil
	}
	four, six := c.NodeCIDRMaskSizeIPv4, c.NodeCIDRMaskSizeIPv6
	switch {
	case c.NodeCIDRMaskSize != 0 && len(pods) > 1:
		return cfg, fmt.Errorf("controllers.nodeCIDRMaskSize: %d: must be 0 with a range of each family: set nodeCIDRMaskSizeIPv4 and nodeCIDRMaskSizeIPv6", c.NodeCIDRMaskSize)
	case c.NodeCIDRMaskSize != 0 && (four != 0 || six != 0):
		return cfg, fmt.Errorf("controllers.nodeCIDRMaskSize: %d: must be 0 with nodeCIDRMaskSizeIPv4 or nodeCIDRMaskSizeIPv6", c.NodeCIDRMaskSize)
	case len(pods) == 1 && four != 0 && !pods[0].Addr().Is4():
		return cfg, fmt.Errorf("controllers.nodeCIDRMaskSizeIPv4: %d: must be 0 when pods have addresses of IPv6 only", four)
	case len(pods) == 1 && six != 0 && pods[0].Addr().Is4():
		return cfg, fmt.Errorf("controllers.nodeCIDRMaskSizeIPv6: %d: must be 0 when pods have addresses of IPv4 only", six)
	}
	for _, p := range pods {
		bits := cmp.Or(c.NodeCIDRMaskSize, six, nodeBitsIPv6)
		if p.Addr().Is4() {
			bits = cmp.Or(c.NodeCIDRMaskSize, four, nodeBitsIPv4)
		}
		cfg.Bits = append(cfg.Bits, bits)
	}
	if err := cfg.Validate(); err != nil {
		return cfg, fmt.Errorf("controllers.nodeCIDRMaskSize: %w", err)
	}
	return cfg, nil
}

func (c *NodeControllers) validate() (errs []error) {
	bad := func(field string, value any, want string) {
		errs = append(errs, fmt.Errorf("controllers.%s: %v: must be %s", field, value, want))
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"nodeMonitorPeriod", c.NodeMonitorPeriod.Duration}, {"nodeMonitorGracePeriod", c.NodeMonitorGracePeriod.Duration},
		{"nodeStartupGracePeriod", c.NodeStartupGracePeriod.Duration},
	} {
		if d.value <= 0 {
			bad(d.field, d.value, "above 0")
		}
	}
	for _, r := range []struct {
		field string
		value float64
	}{{"nodeEvictionRate", c.NodeEvictionRate}, {"secondaryNodeEvictionRate", c.SecondaryNodeEvictionRate}, {"largeClusterSizeThreshold", float64(c.LargeClusterSizeThreshold)},
		{"terminatedPodGCThreshold", float64(c.TerminatedPodGCThreshold)}} {
		if r.value < 0 {
			bad(r.field, r.value, "0 or more")
		}
	}
	if share := c.UnhealthyZoneThreshold; share < 0 || share > 1 {
		bad("unhealthyZoneThreshold", share, "from 0 to 1")
	}
	return errs
}
