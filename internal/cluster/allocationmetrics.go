package cluster

import (
	"math"
	"net/netip"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
	"github.com/floe-k8s/floe/internal/store"
)

// allocationMetrics say, when they are asked, how much of the ranges is taken, by upstream's names.
type allocationMetrics struct {
	table *store.Store
	ports utilnet.PortRange

	addressesTaken, addressesFree, portsTaken, portsFree *prometheus.Desc
}

func newAllocationMetrics(table *store.Store, ports utilnet.PortRange) *allocationMetrics {
	const ips, nodePorts = "kube_apiserver_clusterip_allocator_", "kube_apiserver_nodeport_allocator_"
	cidr := []string{"cidr"}
	return &allocationMetrics{
		table: table, ports: ports,
		addressesTaken: prometheus.NewDesc(ips+"allocated_ips", "Addresses of a range that services have.", cidr, nil),
		addressesFree:  prometheus.NewDesc(ips+"available_ips", "Addresses of a range that are free.", cidr, nil),
		portsTaken:     prometheus.NewDesc(nodePorts+"allocated_ports", "Ports of nodes that services have.", nil, nil),
		portsFree:      prometheus.NewDesc(nodePorts+"available_ports", "Ports of nodes that are free.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (m *allocationMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.addressesTaken, m.addressesFree, m.portsTaken, m.portsFree} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *allocationMetrics) Collect(out chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	snapshot := m.table.Snapshot()
	told := map[string]bool{} // two objects may name one range
	for item := range snapshot.Ascend("/registry/servicecidrs/", "") {
		obj, err := api.Object(item)
		if err != nil {
			continue // reported by who reads it for itself
		}
		for _, r := range allocation.RangesOf(obj.(*networkingv1.ServiceCIDR)) {
			text := r.Prefix.String()
			if told[text] {
				continue
			}
			told[text] = true
			taken := takenOf(snapshot, r)
			send(m.addressesTaken, float64(taken), text)
			send(m.addressesFree, float64(min(r.Size(), math.MaxInt64)-min(taken, r.Size())), text)
		}
	}
	ports := allocation.NewPorts(m.ports)
	if item := snapshot.Get("/registry/ranges/" + allocation.PortsName); item != nil {
		if obj, err := api.Object(item); err == nil {
			if stored, ok := allocation.ReadPorts(m.ports, obj.(*corev1.RangeAllocation)); ok {
				ports = stored
			}
		}
	}
	send(m.portsTaken, float64(ports.Used()))
	send(m.portsFree, float64(ports.Free()))
}

// takenOf counts the addresses of a range by their names, without decoding them.
func takenOf(snapshot *store.Snapshot, r allocation.Range) (n uint64) {
	const prefix = "/registry/ipaddresses/"
	for item := range snapshot.Ascend(prefix, "") {
		if addr, err := netip.ParseAddr(strings.TrimPrefix(item.Key, prefix)); err == nil && r.Contains(addr) {
			n++
		}
	}
	return n
}
