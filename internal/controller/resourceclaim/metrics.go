package resourceclaim

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
)

// Metrics count claims when they are asked, and those that are made from templates, by upstream's names. It is a prometheus.Collector and safe for concurrent use. A nil
// one counts nothing.
type Metrics struct {
	view    func() client.View // nil when there is nothing to see yet
	creates *prometheus.CounterVec
	claims  *prometheus.Desc
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics of the claims that view shows.
func NewMetrics(view func() client.View) *Metrics {
	return &Metrics{
		view: view,
		creates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Subsystem: "resourceclaim_controller", Name: "creates_total", Help: "Claims that were asked for from templates.",
		}, []string{"status", "admin_access"}),
		claims: prometheus.NewDesc("resourceclaim_controller_resource_claims",
			"Claims: whether they have devices, whether they may reach devices in use, and who made them ('resource_claim_template', 'extended_resource', or a person).",
			[]string{"allocated", "admin_access", "source"}, nil),
	}
}

// made counts a claim that was asked for.
func (m *Metrics) made(c *resourcev1.ResourceClaim, err error) {
	if m == nil {
		return
	}
	status := "success"
	if err != nil {
		status = "failure"
	}
	m.creates.WithLabelValues(status, admin(c)).Inc()
}

// admin says whether a claim asks to reach devices that are in use.
func admin(c *resourcev1.ResourceClaim) string {
	for _, r := range c.Spec.Devices.Requests {
		if r.Exactly != nil && ptr.Deref(r.Exactly.AdminAccess, false) {
			return "true"
		}
	}
	return "false"
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) { m.creates.Describe(out); out <- m.claims }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.creates.Collect(out)
	view := m.view()
	if view == nil {
		return
	}
	count := map[[3]string]int{}
	for obj := range view.List(claims(), "") {
		c, source := obj.(*resourcev1.ResourceClaim), ""
		switch {
		case c.Annotations[resourcev1.ExtendedResourceClaimAnnotation] == "true":
			source = "extended_resource"
		case c.Annotations[resourcev1.PodResourceClaimAnnotation] != "":
			source = "resource_claim_template"
		}
		count[[3]string{strconv.FormatBool(c.Status.Allocation != nil), admin(c), source}]++
	}
	for labels, n := range count {
		out <- prometheus.MustNewConstMetric(m.claims, prometheus.GaugeValue, float64(n), labels[:]...)
	}
}
