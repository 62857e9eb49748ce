package cluster

import (
	"context"
	"fmt"
	"net"

	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/api/egress"
)

// openEgress reads through which proxies others are reached.
func (s *server) openEgress() (err error) {
	s.dialled = egress.NewMetrics()
	if s.egress, err = egress.Read(s.Config.API.EgressSelectorConfigFile, s.dialled, s.Clock); err != nil {
		return fmt.Errorf("api.egressSelectorConfigFile: %w", err)
	}
	return nil
}

// webhookMeans are how webhooks are reached: services in the cluster, URLs as what belongs to the control plane.
func (s *server) webhookMeans() reach.Means {
	return reach.Means{Resolve: s.serviceAddress, ToService: s.egress.To(egress.Cluster), ToURL: s.egress.To(egress.ControlPlane)}
}

// issuerDial is how issuers of tokens that name a destination are reached; nil: none may.
func (s *server) issuerDial() func(destination string) func(ctx context.Context, network, address string) (net.Conn, error) {
	if s.egress == nil {
		return nil
	}
	return func(destination string) func(context.Context, string, string) (net.Conn, error) {
		return s.egress.To(egress.Destination(destination))
	}
}
