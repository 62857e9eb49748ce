package endpointslice

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/client"
)

// spread knows how the cluster's processors are spread over zones. It is asked only for services that spread.
type spread struct{ view client.View }

// parts are the zones' parts of all processors of ready nodes that are none of the control plane's; nil when a node does not say its own, or there are not two zones.
func (s spread) parts() map[string]float64 {
	zones, total := map[string]float64{}, 0.0
	for obj := range s.view.List(nodes(), "") {
		node := obj.(*corev1.Node)
		_, control := node.Labels["node-role.kubernetes.io/control-plane"]
		_, master := node.Labels["node-role.kubernetes.io/master"]
		if control || master || !ready(node) {
			continue
		}
		zone, cpu := node.Labels[corev1.LabelTopologyZone], node.Status.Allocatable.Cpu().MilliValue()
		if zone == "" || cpu == 0 {
			return nil
		}
		zones[zone] += float64(cpu)
		total += float64(cpu)
	}
	if len(zones) < 2 {
		return nil
	}
	for zone := range zones {
		zones[zone] /= total
	}
	return zones
}
