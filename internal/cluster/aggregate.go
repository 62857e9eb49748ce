package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/aggregate"
	"github.com/floe-k8s/floe/internal/api/egress"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/proxy"
	"github.com/floe-k8s/floe/internal/controller/apiservice"
	"github.com/floe-k8s/floe/internal/controller/garbage"
	"github.com/floe-k8s/floe/internal/controller/podautoscaler"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/pki"
)

// Aggregation says how requests are led to servers that API services name. Its fields are kube-apiserver's flags.
type Aggregation struct {
	// ProxyClientCertFile and ProxyClientKeyFile (PEM) are what this server shows to others, and go together; they are read again when they change. Default: a
	// certificate of the authority in DataDir/pki/front-proxy-ca.crt.
	ProxyClientCertFile string `json:"proxyClientCertFile,omitempty"`
	ProxyClientKeyFile  string `json:"proxyClientKeyFile,omitempty"`
	// EnableAggregatorRouting leads to endpoints of services, else to their cluster addresses. It is for webhooks too.
	EnableAggregatorRouting bool `json:"enableAggregatorRouting,omitempty"`
	// RejectForwardingRedirect refuses answers that send clients elsewhere. Default true.
	RejectForwardingRedirect bool `json:"rejectForwardingRedirect"`
}

func defaultAggregation() Aggregation { return Aggregation{RejectForwardingRedirect: true} }

func (a *Aggregation) validate() (errs []error) {
	if (a.ProxyClientCertFile == "") != (a.ProxyClientKeyFile == "") {
		errs = append(errs, errors.New("aggregation: proxyClientCertFile (--proxy-client-cert-file) and proxyClientKeyFile (--proxy-client-key-file) go together"))
	}
	return errs
}

// aggregation is how this server leads requests to others, and what they are told of it.
type aggregation struct {
	*aggregate.Proxy
	leaving func() context.Context
	told    func() apiservice.Trust
}

var _ apiservice.Servers = (*aggregation)(nil)

// Check implements apiservice.Servers.
func (a *aggregation) Check(svc *apiregistrationv1.APIService) error {
	return a.Proxy.Check(a.leaving(), svc)
}

// collectorUser is who asks for owners, as upstream's collector does.
const collectorUser = "system:serviceaccount:kube-system:generic-garbage-collector"

var _ garbage.Others = (*aggregation)(nil)

// Serves implements garbage.Others.
func (a *aggregation) Serves(gvk schema.GroupVersionKind) (namespaced, ok bool) {
	_, namespaced, ok = a.Added().Resource(gvk)
	return namespaced, ok
}

// Object implements garbage.Others.
func (a *aggregation) Object(gvk schema.GroupVersionKind, namespace, name string) (metav1.Object, error) {
	user := auth.User{Name: collectorUser, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", auth.Authenticated}}
	return a.Metadata(a.leaving(), user, gvk, namespace, name)
}

// metricsServers ask aggregated servers as the controller of autoscalers.
type metricsServers struct{ *aggregation }

var _ podautoscaler.Source = metricsServers{}

// Serves implements podautoscaler.Source.
func (m metricsServers) Serves(gv schema.GroupVersion) bool { return m.Find(gv) != nil }

// Read implements podautoscaler.Source.
func (m metricsServers) Read(gv schema.GroupVersion, resource, path string, query url.Values, into any) error {
	user := auth.User{Name: podautoscaler.User, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", auth.Authenticated}}
	return m.Proxy.Read(m.leaving(), user, gv, resource, path, query, into)
}

// aggregating makes what leads to others. s.store and s.listener are there.
func (s *server) aggregating() (*aggregation, error) {
	cfg := &s.Config.Aggregation
	identity, front, err := s.frontProxy()
	if err != nil {
		return nil, err
	}
	told, err := s.trust(front)
	if err != nil {
		return nil, err
	}
	newest := api.NewObjects(s.store, s.kinds)
	return &aggregation{
		Proxy: aggregate.New(aggregate.Config{
			Services: func(name string) *apiregistrationv1.APIService {
				svc, _ := newest.Get(apiregistrationv1.SchemeGroupVersion.WithResource("apiservices"), "", name).(*apiregistrationv1.APIService)
				return svc
			},
			Resolve: s.serviceAddress, Dial: s.egress.To(egress.Cluster), Certificate: identity, ForwardRedirects: !cfg.RejectForwardingRedirect,
		}),
		leaving: func() context.Context { return s.leaving }, told: told,
	}, nil
}

// frontProxyName is who this server is to others, unless it is given a certificate.
const frontProxyName = "front-proxy-client"

// frontProxy is the certificate that is shown to others, and its authority; nil when somebody else's is used.
func (s *server) frontProxy() (identity func() (*tls.Certificate, error), front *pki.Authority, err error) {
	if cfg := &s.Config.Aggregation; cfg.ProxyClientCertFile != "" {
		pair := &keyPair{certFile: cfg.ProxyClientCertFile, keyFile: cfg.ProxyClientKeyFile, log: s.Log}
		if err := pair.load(); err != nil {
			return nil, nil, fmt.Errorf("aggregation.proxyClientCertFile: %w", err)
		}
		return func() (*tls.Certificate, error) { return pair.current(), nil }, nil, nil
	}
	if front, err = pki.OpenFrontProxy(s.dir.join("pki"), s.Clock); err != nil {
		return nil, nil, err
	}
	own, err := s.renewer(frontProxyName, func() (pki.Identity, error) { return front.Client(frontProxyName) })
	if err != nil {
		return nil, nil, err
	}
	return func() (*tls.Certificate, error) { return own.Certificate(), nil }, front, nil
}

// trust is what others are told of whom to believe: whom this server believes, and itself (front; nil: it shows somebody else's certificate).
func (s *server) trust(front *pki.Authority) (func() apiservice.Trust, error) {
	cfg := &s.Config.Authentication
	clients, err := s.bundled(cfg.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("authentication.clientCAFile: %w", err)
	}
	proxies, err := s.bundled(cfg.RequestHeader.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("authentication.requestHeader.clientCAFile: %w", err)
	}
	headers := &cfg.RequestHeader
	trust := apiservice.Trust{
		Names: headers.AllowedNames, Users: headers.UsernameHeaders, UIDs: headers.UIDHeaders, Groups: headers.GroupHeaders, ExtraPrefixes: headers.ExtraHeadersPrefix,
	}
	if front != nil {
		usual := proxy.Usual()
		trust.Users, trust.UIDs = slices.Concat(usual.User, trust.Users), slices.Concat(usual.UID, trust.UIDs)
		trust.Groups, trust.ExtraPrefixes = slices.Concat(usual.Group, trust.Groups), slices.Concat(usual.Extra, trust.ExtraPrefixes)
		if headers.ClientCAFile == "" || len(trust.Names) > 0 { // else all names are good
			trust.Names = slices.Concat([]string{frontProxyName}, trust.Names)
		}
	}
	return func() apiservice.Trust {
		now := trust
		now.Clients = append([]*x509.Certificate{s.authority.Certificate()}, clients()...)
		if front != nil {
			now.Proxies = append(now.Proxies, front.Certificate())
		}
		now.Proxies = append(now.Proxies, proxies()...)
		return now
	}, nil
}

// bundled are the authorities that a file holds now; "": none.
func (s *server) bundled(file string) (func() []*x509.Certificate, error) {
	if file == "" {
		return func() []*x509.Certificate { return nil }, nil
	}
	bundle, err := pki.OpenBundle(file, nil, s.Clock, s.Log)
	if err != nil {
		return nil, err
	}
	return func() []*x509.Certificate {
		bundle.Pool() // reads the file again when it is time to
		return bundle.Certificates()
	}, nil
}

// endpoints finds an endpoint of a service, another one each time.
type endpoints struct {
	newest *api.Objects
	turn   atomic.Uint32
}

// address is where an endpoint of a port is that is ready, one of the service's first family if there is any.
func (e *endpoints) address(svc *corev1.Service, port int32) (*url.URL, error) {
	at := slices.IndexFunc(svc.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port })
	if at < 0 {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", port, svc.Name))
	}
	var preferred, others []string
	e.newest.Each(discoveryv1.SchemeGroupVersion.WithResource("endpointslices"), svc.Namespace, func(obj kinds.Object) bool {
		slice := obj.(*discoveryv1.EndpointSlice)
		if slice.Labels[discoveryv1.LabelServiceName] != svc.Name {
			return true
		}
		found := ready(slice, svc.Spec.Ports[at].Name)
		if len(svc.Spec.IPFamilies) == 0 || string(slice.AddressType) == string(svc.Spec.IPFamilies[0]) {
			preferred = append(preferred, found...)
		} else {
			others = append(others, found...)
		}
		return true
	})
	if len(preferred) == 0 {
		preferred = others
	}
	if len(preferred) == 0 {
		return nil, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", svc.Name))
	}
	return &url.URL{Scheme: "https", Host: preferred[int(e.turn.Add(1))%len(preferred)]}, nil
}

// ready are the endpoints of a slice that are ready, at the port of a name.
func ready(slice *discoveryv1.EndpointSlice, port string) (hosts []string) {
	for _, p := range slice.Ports {
		if p.Name == nil || *p.Name != port || p.Port == nil {
			continue
		}
		for _, e := range slice.Endpoints {
			if len(e.Addresses) > 0 && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				hosts = append(hosts, net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*p.Port))))
			}
		}
	}
	return hosts
}
