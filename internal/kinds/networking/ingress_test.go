package networking_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/networking"
)

func service(name, port string, number int32) networkingv1.IngressBackend {
	return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: name, Port: networkingv1.ServiceBackendPort{Name: port, Number: number}}}
}

func ingress(host string, kind networkingv1.PathType, path string, to networkingv1.IngressBackend) *networkingv1.Ingress {
	return &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Name: "i"}, Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{
		Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: path, PathType: &kind, Backend: to}}}},
	}}}}
}

func TestIngressRules(t *testing.T) {
	const at = "spec.rules[0].http.paths[0]"
	web := service("web", "", 80)
	other := networkingv1.IngressBackend{Resource: &corev1.TypedLocalObjectReference{Kind: "K", Name: "n"}}
	twice := web
	twice.Resource = other.Resource
	for name, c := range map[string]struct {
		obj  *networkingv1.Ingress
		want []string
	}{
		"good":        {ingress("a.example.com", "Prefix", "/", web), nil},
		"wildcard":    {ingress("*.example.com", "Exact", "/a", service("0-web", "http", 0)), nil},
		"no path":     {ingress("", "ImplementationSpecific", "", other), nil},
		"nothing":     {&networkingv1.Ingress{}, []string{"spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"}},
		"default":     {&networkingv1.Ingress{Spec: networkingv1.IngressSpec{DefaultBackend: &networkingv1.IngressBackend{}}}, []string{`spec.defaultBackend: Invalid value: "": resource or service backend is required`}},
		"no host":     {ingress("10.0.0.1", "Exact", "/", web), []string{`spec.rules[0].host: Invalid value: "10.0.0.1": must be a DNS name, not an IP address`}},
		"relative":    {ingress("", "Exact", "a", web), []string{at + `.path: Invalid value: "a": must be an absolute path`}},
		"any way":     {ingress("", "ImplementationSpecific", "a", web), []string{at + `.path: Invalid value: "a": must be an absolute path`}},
		"odd path":    {ingress("", "Prefix", "/a//b/./c%2fd/..", web), []string{at + `.path: Invalid value: "/a//b/./c%2fd/..": must not contain '//'`, at + `.path: Invalid value: "/a//b/./c%2fd/..": must not contain '/./'`, at + `.path: Invalid value: "/a//b/./c%2fd/..": must not contain '%2f'`, at + `.path: Invalid value: "/a//b/./c%2fd/..": cannot end with '/..'`}},
		"odd type":    {ingress("", "Odd", "/", web), []string{at + `.pathType: Unsupported value: "Odd": supported values: "Exact", "ImplementationSpecific", "Prefix"`}},
		"two ways":    {ingress("", "Exact", "/", twice), []string{at + `.backend: Invalid value: "": cannot set both resource and service backends`}},
		"no port":     {ingress("", "Exact", "/", service("web", "", 0)), []string{at + ".backend: Required value: port name or number is required"}},
		"two ports":   {ingress("", "Exact", "/", service("web", "a", 1)), []string{at + `.backend: Invalid value: "": cannot set both port name & port number`}},
		"odd port":    {ingress("", "Exact", "/", service("web", "", 70000)), []string{at + `.backend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive`}},
		"odd service": {ingress("", "Exact", "/", service("a.b", "", 1)), []string{at + `.backend.service.name: Invalid value: "a.b": must not contain dots`}},
		"no service":  {ingress("", "Exact", "/", service("", "", 1)), []string{at + ".backend.service.name: Required value"}},
	} {
		kindtest.Same(t, name, kindtest.Create(networking.Ingress(), c.obj), c.want)
		kindtest.Same(t, name+", updated", kindtest.Update(networking.Ingress(), c.obj, &networkingv1.Ingress{}), c.want)
	}
	bare := ingress("", "Exact", "/", web)
	bare.Spec.Rules[0].HTTP.Paths[0].PathType = nil
	kindtest.Same(t, "no type", kindtest.Create(networking.Ingress(), bare), []string{at + ".pathType: Required value: pathType must be specified"})
	bare.Spec.Rules[0].HTTP.Paths = nil
	kindtest.Same(t, "no paths", kindtest.Create(networking.Ingress(), bare), []string{"spec.rules[0].http.paths: Required value"})
}

func TestIngressRest(t *testing.T) {
	k, web := networking.Ingress(), service("web", "", 80)
	obj := ingress("", "Exact", "/", web)
	obj.Annotations = map[string]string{"kubernetes.io/ingress.class": "a"}
	obj.Spec.IngressClassName = p("b")
	kindtest.Same(t, "two classes", kindtest.Create(k, obj), []string{"annotations.kubernetes.io/ingress.class: Invalid value: \"a\": must match `ingressClassName` when both are specified"})
	kindtest.Same(t, "two classes later", kindtest.Update(k, obj, obj.DeepCopy()), nil)

	secret := ingress("", "Exact", "/", web)
	secret.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{"a", "*.b"}, SecretName: "A"}}
	const lower = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
	kindtest.Same(t, "secret", kindtest.Create(k, secret), []string{`spec.tls[0].secretName: Invalid value: "A": ` + lower})
	kindtest.Same(t, "secret as before", kindtest.Update(k, secret, secret.DeepCopy()), nil)

	wild := ingress("*.a", "Exact", "b", web)
	kindtest.Same(t, "odd rule as before", kindtest.Update(k, wild, wild.DeepCopy()), nil)
	kindtest.Same(t, "odd rule now", kindtest.Update(k, wild, ingress("*.a", "Exact", "/b", web)), []string{`spec.rules[0].http.paths[0].path: Invalid value: "b": must be an absolute path`})
}

func TestIngressStatus(t *testing.T) {
	k := networking.Ingress()
	at := func(points ...networkingv1.IngressLoadBalancerIngress) *networkingv1.Ingress {
		return &networkingv1.Ingress{Status: networkingv1.IngressStatus{LoadBalancer: networkingv1.IngressLoadBalancerStatus{Ingress: points}}}
	}
	type point = networkingv1.IngressLoadBalancerIngress
	kindtest.Same(t, "good", kindtest.Part(t, k, "status", at(point{IP: "10.0.0.1"}, point{Hostname: "a.b"}), at()), nil)
	kindtest.Same(t, "zeros", kindtest.Part(t, k, "status", at(point{IP: "10.0.0.01"}), at()), []string{`status.loadBalancer.ingress[0].ip: Invalid value: "10.0.0.01": must not have leading 0s`})
	kindtest.Same(t, "zeros as before", kindtest.Part(t, k, "status", at(point{IP: "10.0.0.01"}), at(point{IP: "10.0.0.01"})), nil)
	kindtest.Same(t, "no name", kindtest.Part(t, k, "status", at(point{Hostname: "10.0.0.1"}), at()), []string{`status.loadBalancer.ingress[0].hostname: Invalid value: "10.0.0.1": must be a DNS name, not an IP address`})

	header := []string{"Name/name", "Class", "Hosts", "Address", "Ports", "Age"}
	obj := at(point{IP: "10.0.0.2"}, point{Hostname: "a.very.long.name.example.com"}, point{IP: "10.0.0.2"})
	obj.Spec.Rules = []networkingv1.IngressRule{{Host: "a"}, {}, {Host: "b"}, {Host: "c"}, {Host: "d"}}
	obj.Spec.TLS, obj.Spec.IngressClassName = make([]networkingv1.IngressTLS, 1), p("x")
	table(t, k, header, obj, "", "x", "a,b,c + 2 more...", "10.0.0.2,a.very.long.name.example.com", "80, 443", "<unknown>")
	table(t, k, header, at(), "", "<none>", "*", "", "80", "<unknown>")
}
