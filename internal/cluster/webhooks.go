package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
)

// serviceAddress is where a port of a service is for the server itself: at its cluster address, or behind its external name, as kube-apiserver finds webhooks and
// servers of aggregated APIs; with --enable-aggregator-routing at one of its endpoints.
func (s *server) serviceAddress(namespace, name string, port int32) (*url.URL, error) {
	if namespace == metav1.NamespaceDefault && name == "kubernetes" && port == 443 { // which is this server
		return &url.URL{Scheme: "https", Host: net.JoinHostPort(reachable(s.listener), portOf(s.listener))}, nil
	}
	k := s.api.Kind(corev1.SchemeGroupVersion.WithResource("services"))
	item := s.store.Snapshot().Get(k.Prefix() + namespace + "/" + name)
	if item == nil {
		return nil, apierrors.NewNotFound(corev1.Resource("service"), name)
	}
	obj, err := api.Object(item)
	if err != nil {
		return nil, err
	}
	spec := &obj.(*corev1.Service).Spec
	switch {
	case spec.Type == corev1.ServiceTypeExternalName:
		return &url.URL{Scheme: "https", Host: net.JoinHostPort(spec.ExternalName, strconv.Itoa(int(port)))}, nil
	case s.Config.Aggregation.EnableAggregatorRouting:
		return s.endpoints.address(obj.(*corev1.Service), port)
	case spec.ClusterIP == corev1.ClusterIPNone:
		return nil, errors.New(`cannot route to service with ClusterIP "None"`)
	}
	for _, p := range spec.Ports {
		if p.Port == port {
			return &url.URL{Scheme: "https", Host: net.JoinHostPort(spec.ClusterIP, strconv.Itoa(int(port)))}, nil
		}
	}
	return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", port, name))
}
