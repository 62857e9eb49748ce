//lint:file-ignore SA1019 upstream has deprecated Endpoints, and serves them all the same

package cluster

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/controller/bootstrap"
	"github.com/floe-k8s/floe/internal/controller/servicerepair"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/allocation"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

// masterLeases are the signs of life of the servers that share the state, under kube-apiserver's keys. Where they lie in etcd they have no time to
// live there: floe's servers remove the dead.
type masterLeases struct{ api *api.Server }

var _ bootstrap.Leases = masterLeases{}

// Renew implements bootstrap.Leases.
func (m masterLeases) Renew(ctx context.Context, address string) error {
	return m.api.Keep(ctx, core.MasterLeases, address, apiServer, func(old kinds.Object) (kinds.Object, error) {
		next := core.MasterLease().New().(*corev1.Endpoints) //nolint:staticcheck // kube-apiserver's form
		if old != nil {
			old.(*corev1.Endpoints).DeepCopyInto(next) //nolint:staticcheck // as above
		}
		next.Generation++
		next.Subsets = []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: address}}}} //nolint:staticcheck // as above
		return next, nil
	})
}

// List implements bootstrap.Leases.
func (m masterLeases) List(context.Context) (list []bootstrap.Lease, err error) {
	err = m.api.EachKept(core.MasterLeases, func(name string, obj kinds.Object) bool {
		list = append(list, bootstrap.Lease{Address: name, Sign: signOf(obj)})
		return true
	})
	return list, err
}

// Remove implements bootstrap.Leases.
func (m masterLeases) Remove(ctx context.Context, address, sign string) error {
	return m.api.Keep(ctx, core.MasterLeases, address, apiServer, func(old kinds.Object) (kinds.Object, error) {
		if old == nil || sign == "" || signOf(old) == sign {
			return nil, nil
		}
		return old, nil
	})
}

// nodePorts holds the ports that services have on nodes against those that are taken.
func (s *server) nodePorts() servicerepair.Ports {
	return servicerepair.Ports{
		Client: s.client(apiServer, auth.Masters), Clock: s.Clock, Log: s.Log.With("component", "node ports"), Range: s.Config.Network.services().NodePorts,
		Keep: func(ctx context.Context, next func(*corev1.RangeAllocation) (*corev1.RangeAllocation, error)) error {
			return s.api.Keep(ctx, allocation.PortsKept, allocation.PortsName, apiServer, func(old kinds.Object) (kinds.Object, error) {
				stored, _ := old.(*corev1.RangeAllocation)
				return next(stored)
			})
		},
	}
}

func signOf(lease kinds.Object) string { return strconv.FormatInt(lease.GetGeneration(), 10) }
