package cluster

import (
	"fmt"
	"net"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/api"
)

// serviceAddress is where a port of a service is for the server itself: at its cluster address, or behind its external name, as kube-apiserver finds webhooks.
func (s *server) serviceAddress(namespace, name string, port int32) (*url.URL, error) {
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
	host := spec.ClusterIP
	switch {
	case spec.Type == corev1.ServiceTypeExternalName:
		host = spec.ExternalName
	case host == corev1.ClusterIPNone:
		return nil, fmt.Errorf("no service port %d found for service %q: it has no cluster address", port, name)
	}
	for _, p := range spec.Ports {
		if p.Port == port {
			return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, strconv.Itoa(int(port)))}, nil
		}
	}
	return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", port, name))
}
