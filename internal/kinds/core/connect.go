//lint:file-ignore SA1019 upstream has deprecated Endpoints, and serves them all the same

package core

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/floe-k8s/floe/internal/kinds"
)

// This file is where connections into pods, services and nodes lead. What goes over them is nobody's business here.

// proxyVerbs are those of every proxy, as discovery lists them.
var proxyVerbs = []string{"create", "delete", "get", "patch", "update"}

// stream is a subresource of a pod whose answer is an upgraded connection with its node; it leads to path(pod, container) there.
func stream(name, options string, where func(pod *corev1.Pod, query url.Values) (path string, rest url.Values, err error)) kinds.Subresource {
	return kinds.Subresource{
		Name: name, GVK: corev1.SchemeGroupVersion.WithKind(options), Verbs: []string{"create", "get"}, Upgrade: true,
		Node: func(obj kinds.Object, query url.Values) (node, path string, rest url.Values, err error) {
			pod := obj.(*corev1.Pod)
			if path, rest, err = where(pod, query); err != nil {
				return "", "", nil, err
			}
			if pod.Spec.NodeName == "" {
				return "", "", nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", pod.Name))
			}
			return pod.Spec.NodeName, path, rest, nil
		},
	}
}

// intoContainer leads to a container. The options that a node knows have names of its own.
func intoContainer(verb string) func(*corev1.Pod, url.Values) (string, url.Values, error) {
	return func(pod *corev1.Pod, query url.Values) (string, url.Values, error) {
		rest := url.Values{}
		for name, at := range map[string]string{"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"} {
			if values, ok := query[name]; ok && (len(values) == 0 || values[0] != "false" && values[0] != "0") { // as upstream's conversion reads them
				rest.Set(at, "1")
			}
		}
		if verb == "exec" {
			if list := query["command"]; len(list) > 0 {
				rest["command"] = list
			}
		}
		container, err := logContainer(pod, query.Get("container"))
		if err != nil {
			return "", nil, err
		}
		return fmt.Sprintf("/%s/%s/%s/%s", verb, pod.Namespace, pod.Name, container), rest, nil
	}
}

// intoPorts leads to a pod's ports.
func intoPorts(pod *corev1.Pod, query url.Values) (string, url.Values, error) {
	rest := url.Values{}
	var ports []string
	for _, text := range query["ports"] {
		for _, one := range strings.Split(text, ",") {
			n, err := strconv.ParseInt(one, 10, 32)
			if err != nil {
				return "", nil, apierrors.NewBadRequest(err.Error())
			}
			ports = append(ports, strconv.FormatInt(n, 10))
		}
	}
	if len(ports) > 0 {
		rest.Set("port", strings.Join(ports, ","))
	}
	return fmt.Sprintf("/portForward/%s/%s", pod.Namespace, pod.Name), rest, nil
}

// proxyOf is a subresource that leads somewhere else with all of a request.
func proxyOf(options string, where func(env kinds.Env, see kinds.Reader, namespace, id string) (kinds.Place, error)) kinds.Subresource {
	return kinds.Subresource{Name: "proxy", GVK: corev1.SchemeGroupVersion.WithKind(options), Verbs: proxyVerbs, Proxy: where}
}

// podPlace is where a pod listens: NAME, NAME:PORT or SCHEME:NAME:PORT, without a port at the first that a container names.
func podPlace(_ kinds.Env, see kinds.Reader, namespace, id string) (kinds.Place, error) {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(id)
	if !ok {
		return kinds.Place{}, apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", id))
	}
	pod, ok := see.Get(corev1.SchemeGroupVersion.WithResource("pods"), namespace, name).(*corev1.Pod)
	if !ok {
		return kinds.Place{}, apierrors.NewNotFound(corev1.Resource("pods"), name)
	}
	for i := 0; port == "" && i < len(pod.Spec.Containers); i++ {
		if list := pod.Spec.Containers[i].Ports; len(list) > 0 {
			port = strconv.Itoa(int(list[0].ContainerPort))
		}
	}
	host := ""
	if len(pod.Status.PodIPs) > 0 {
		host = pod.Status.PodIPs[0].IP
	}
	// Nobody reaches the server's own machine or its link by a status that he wrote.
	if ip := net.ParseIP(host); ip == nil || !ip.IsGlobalUnicast() {
		return kinds.Place{}, apierrors.NewBadRequest("address not allowed")
	}
	if port != "" {
		host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return kinds.Place{URL: &url.URL{Scheme: scheme, Host: host}}, nil
}

// servicePlace is one of a service's endpoints that are pods, by chance: NAME, NAME:PORT or SCHEME:NAME:PORT, where PORT is a port's name or number.
func servicePlace(env kinds.Env, see kinds.Reader, namespace, id string) (kinds.Place, error) {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(id)
	if !ok {
		return kinds.Place{}, apierrors.NewBadRequest(fmt.Sprintf("invalid service request %q", id))
	}
	if n, err := strconv.ParseInt(port, 10, 64); err == nil {
		svc, ok := see.Get(corev1.SchemeGroupVersion.WithResource("services"), namespace, name).(*corev1.Service)
		if !ok {
			return kinds.Place{}, apierrors.NewNotFound(corev1.Resource("services"), name)
		}
		if port, ok = portName(svc, n); !ok {
			return kinds.Place{}, apierrors.NewServiceUnavailable(fmt.Sprintf("no service port %d found for service %q", n, name))
		}
	}
	eps, ok := see.Get(corev1.SchemeGroupVersion.WithResource("endpoints"), namespace, name).(*corev1.Endpoints) //nolint:staticcheck // upstream's proxy reads them
	if !ok {
		return kinds.Place{}, apierrors.NewNotFound(corev1.Resource("services"), name) // upstream names what the request is about
	}
	if len(eps.Subsets) == 0 {
		return kinds.Place{}, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", name))
	}
	for i, first := 0, env.Pick(len(eps.Subsets)); i < len(eps.Subsets); i++ {
		set := &eps.Subsets[(first+i)%len(eps.Subsets)]
		for _, p := range set.Ports {
			if p.Name != port || len(set.Addresses) == 0 {
				continue
			}
			for j, from := 0, env.Pick(len(set.Addresses)); j < len(set.Addresses); j++ {
				if addr := &set.Addresses[(from+j)%len(set.Addresses)]; ofPod(see, addr) {
					return kinds.Place{URL: &url.URL{Scheme: scheme, Host: net.JoinHostPort(addr.IP, strconv.Itoa(int(p.Port)))}}, nil
				}
			}
		}
	}
	return kinds.Place{}, apierrors.NewServiceUnavailable(fmt.Sprintf("no endpoints available for service %q", id))
}

func portName(svc *corev1.Service, n int64) (string, bool) {
	for _, p := range svc.Spec.Ports {
		if int64(p.Port) == n {
			return p.Name, true
		}
	}
	return "", false
}

// ofPod says that an endpoint is the pod that it names: any other would be a way to wherever its writer likes.
func ofPod(see kinds.Reader, addr *corev1.EndpointAddress) bool {
	ref := addr.TargetRef
	if ref == nil || ref.Kind != "Pod" && ref.Kind != "" && !strings.EqualFold(ref.Kind, "pod") {
		return false
	}
	pod, ok := see.Get(corev1.SchemeGroupVersion.WithResource("pods"), ref.Namespace, ref.Name).(*corev1.Pod)
	if !ok {
		return false
	}
	for _, ip := range pod.Status.PodIPs {
		if ip.IP == addr.IP {
			return true
		}
	}
	return false
}

// nodePlace is a node's own API, or another port of its machine: NAME, NAME:PORT or SCHEME:NAME:PORT.
func nodePlace(_ kinds.Env, see kinds.Reader, _, id string) (kinds.Place, error) {
	scheme, name, port, ok := utilnet.SplitSchemeNamePort(id)
	if !ok {
		return kinds.Place{}, apierrors.NewBadRequest(fmt.Sprintf("invalid node request %q", id))
	}
	node, ok := see.Get(corev1.SchemeGroupVersion.WithResource("nodes"), metav1.NamespaceNone, name).(*corev1.Node)
	if !ok {
		return kinds.Place{}, apierrors.NewNotFound(corev1.Resource("nodes"), name)
	}
	if own := strconv.Itoa(int(node.Status.DaemonEndpoints.KubeletEndpoint.Port)); port == "" || port == own {
		return kinds.Place{Node: name}, nil
	}
	for _, addr := range node.Status.Addresses {
		if ip := net.ParseIP(addr.Address); ip != nil && ip.IsGlobalUnicast() {
			return kinds.Place{URL: &url.URL{Scheme: scheme, Host: net.JoinHostPort(addr.Address, port)}}, nil
		}
	}
	return kinds.Place{}, apierrors.NewBadRequest("address not allowed")
}
