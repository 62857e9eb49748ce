package cluster

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/pki"
)

// renewer makes a certificate that renews itself. name says whose it is.
type renewer func(name string, make func() (pki.Identity, error)) (*pki.Renewed, error)

// ownCertificates tell how long each of the server's own certificates lasts. All are there before anybody asks.
type ownCertificates struct {
	clock clock.PassiveClock
	list  []ownCertificate
}

type ownCertificate struct {
	name string
	*pki.Renewed
}

var _ prometheus.Collector = (*ownCertificates)(nil)

func (*ownCertificates) desc() *prometheus.Desc {
	return prometheus.NewDesc("floe_certificate_expiration_seconds", "How long one of the server's own certificates is still valid.", []string{"name"}, nil)
}

// Describe implements prometheus.Collector.
func (o *ownCertificates) Describe(out chan<- *prometheus.Desc) { out <- o.desc() }

// Collect implements prometheus.Collector.
func (o *ownCertificates) Collect(out chan<- prometheus.Metric) {
	for _, c := range o.list {
		out <- prometheus.MustNewConstMetric(o.desc(), prometheus.GaugeValue, c.Expires().Sub(o.clock.Now()).Seconds(), c.name)
	}
}

// renewer is the server's.
func (s *server) renewer(name string, make func() (pki.Identity, error)) (*pki.Renewed, error) {
	r, err := pki.NewRenewed(name, make, s.Clock, s.Log)
	if err == nil {
		s.own.list = append(s.own.list, ownCertificate{name, r})
	}
	return r, err
}
