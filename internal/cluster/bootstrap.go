package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/auth/rbac/policy"
	"github.com/floe-k8s/floe/internal/controller/bootstrap"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
)

// apiServer is who the log says did what the server does by itself.
const apiServer = "system:apiserver"

// bootstrap makes what every cluster begins with, then says that the API is ready, lets the components begin, and keeps true what the server says of
// itself.
func (s *server) bootstrap(ctx context.Context) error {
	cfg, err := s.bootstrapConfig()
	if err != nil {
		return err
	}
	b := bootstrap.New(cfg)
	if err := b.Ensure(ctx); err != nil {
		return fmt.Errorf("what every cluster begins with: %w", err)
	}
	s.door.SetReady()
	close(s.begun)
	s.Log.Info("ready", "url", s.localURL(), "kubeconfig", s.dir.join(adminKubeconfig))
	if s.Ready != nil {
		s.Ready(s.admin)
	}
	// The server says that it is gone before it is: clients that find it by default/kubernetes then have all of its delay to find another.
	until, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.leaving, cancel)()
	if err := b.Run(until); !errors.Is(err, context.Canceled) {
		return err
	}
	<-ctx.Done()
	return nil
}

func (s *server) bootstrapConfig() (bootstrap.Config, error) {
	network := &s.Config.Network
	address, err := s.advertised()
	if err != nil {
		return bootstrap.Config{}, err
	}
	host, err := os.Hostname()
	if err != nil {
		return bootstrap.Config{}, err
	}
	instance, err := uuid.NewRandomFromReader(s.random(randomInstance))
	if err != nil {
		return bootstrap.Config{}, err
	}
	cfg := bootstrap.Config{
		Client: s.client(apiServer, "system:masters"), Clock: s.Clock, Log: s.Log.With("component", "bootstrap"),
		Policy: policy.Objects(), Ranges: network.serviceRanges(), Served: s.door.Served(), Added: s.addedVersions,
		Address: address, Port: int32(s.listener.Addr().(*net.TCPAddr).Port), Host: host, Instance: instance.String(),
		NodePort: network.KubernetesServiceNodePort,
	}
	switch {
	case network.EndpointReconcilerType == reconcileNone:
	case address.IsLoopback(): // which no endpoint may have
		s.Log.Warn("this host has only loopback addresses: default/kubernetes gets no endpoints (set --advertise-address)")
	case allocation.FamilyOf(address) != allocation.FamilyOf(cfg.Ranges[0].First()):
		return bootstrap.Config{}, fmt.Errorf("service IP family %q must match public address family %q: set --advertise-address, or --service-cluster-ip-range in the order that fits",
			network.ServiceClusterIPRange[0], address)
	default:
		cfg.Leases = masterLeases{s.api}
	}
	return cfg, nil
}

// addedVersions are the groups and versions of custom resources that are served now.
func (s *server) addedVersions() (list []schema.GroupVersion, changed <-chan struct{}) {
	catalog := s.api.Catalog()
	for _, k := range catalog.All() {
		if gv := k.GVK.GroupVersion(); k.Dynamic != nil && !slices.Contains(list, gv) {
			list = append(list, gv)
		}
	}
	return list, catalog.Changed()
}

// afterBootstrap holds a part back until the cluster has what every cluster begins with.
func (s *server) afterBootstrap(p part) part {
	return part{p.name, func(ctx context.Context) error {
		select {
		case <-s.begun:
			return p.run(ctx)
		case <-ctx.Done():
			return nil
		}
	}}
}
