package networking_test

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/networking"
)

func p[T any](v T) *T { return &v }

func class(change func(*networkingv1.IngressClass)) *networkingv1.IngressClass {
	c := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: networkingv1.IngressClassSpec{
		Controller: "example.com/c", Parameters: &networkingv1.IngressClassParametersReference{Kind: "K", Name: "n"},
	}}
	networking.IngressClass().Default(c)
	change(c)
	return c
}

func TestIngressClass(t *testing.T) {
	k := networking.IngressClass()
	type parameters = networkingv1.IngressClassParametersReference
	for name, c := range map[string]struct {
		change func(*networkingv1.IngressClassSpec)
		want   []string
	}{
		"good":          {func(*networkingv1.IngressClassSpec) {}, nil},
		"no parameters": {func(s *networkingv1.IngressClassSpec) { s.Parameters = nil }, nil},
		"no controller": {func(s *networkingv1.IngressClassSpec) { s.Controller = "" }, []string{"spec.controller: Required value"}},
		"no path":       {func(s *networkingv1.IngressClassSpec) { s.Controller = "example.com" }, []string{`spec.controller: Invalid value: "example.com": must be a domain-prefixed path (such as "acme.io/foo")`}},
		"empty":         {func(s *networkingv1.IngressClassSpec) { *s.Parameters = parameters{} }, []string{"spec.parameters.kind: Required value", "spec.parameters.name: Required value", "spec.parameters.scope: Required value"}},
		"odd scope":     {func(s *networkingv1.IngressClassSpec) { s.Parameters.Scope = p("Odd") }, []string{`spec.parameters.scope: Unsupported value: "Odd": supported values: "Cluster", "Namespace"`}},
		"no namespace":  {func(s *networkingv1.IngressClassSpec) { s.Parameters.Scope = p("Namespace") }, []string{"spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"}},
		"a namespace":   {func(s *networkingv1.IngressClassSpec) { s.Parameters.Namespace = p("n") }, []string{"spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"}},
		"odd kind":      {func(s *networkingv1.IngressClassSpec) { s.Parameters.Kind = "a/b" }, []string{`spec.parameters.kind: Invalid value: "a/b": may not contain '/'`}},
	} {
		obj := class(func(o *networkingv1.IngressClass) { c.change(&o.Spec) })
		kindtest.Same(t, name, kindtest.Create(k, obj), c.want)
	}
	other := class(func(o *networkingv1.IngressClass) { o.Spec.Controller = "other.com" })
	kindtest.Same(t, "other controller", kindtest.Update(k, other, class(func(*networkingv1.IngressClass) {})), []string{
		`spec.controller: Invalid value: "other.com": field is immutable`, `spec.controller: Invalid value: "other.com": must be a domain-prefixed path (such as "acme.io/foo")`,
	})
	first := class(func(o *networkingv1.IngressClass) {
		o.Annotations = map[string]string{networkingv1.AnnotationIsDefaultIngressClass: "true"}
		o.Spec.Parameters.APIGroup = p("g.io")
	})
	table(t, k, []string{"Name/name", "Controller", "Parameters", "Age"}, first, "c (default)", "example.com/c", "K.g.io/n", "<unknown>")
}

func table(t *testing.T, k *kinds.Kind, header []string, obj kinds.Object, row ...any) {
	t.Helper()
	if got := kindtest.Header(k); !reflect.DeepEqual(got, header) {
		t.Errorf("%s: got %v, want %v", k.Resource, got, header)
	}
	if got := kindtest.Row(k, obj); !reflect.DeepEqual(got, row) {
		t.Errorf("%s: got %v, want %v", k.Resource, got, row)
	}
}

// TestGeneration: it begins with 1 and rises with what is wanted, which a status is not.
func TestGeneration(t *testing.T) {
	in := &networkingv1.Ingress{Status: networkingv1.IngressStatus{LoadBalancer: networkingv1.IngressLoadBalancerStatus{Ingress: []networkingv1.IngressLoadBalancerIngress{{IP: "10.0.0.1"}}}}}
	made := in.DeepCopy()
	networking.Ingress().PrepareCreate(kindtest.Env(), made)
	if made.Generation != 1 || made.Status.LoadBalancer.Ingress != nil {
		t.Errorf("made: %+v", made)
	}
	next := &networkingv1.Ingress{}
	networking.Ingress().PrepareUpdate(kindtest.Env(), next, in)
	if next.Generation != 0 || !reflect.DeepEqual(next.Status, in.Status) {
		t.Errorf("nothing wanted: %+v", next)
	}
	next.Spec.IngressClassName = p("a")
	if networking.Ingress().PrepareUpdate(kindtest.Env(), next, in); next.Generation != 1 {
		t.Errorf("another class: generation %d", next.Generation)
	}
	was := &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Ingress"}}}
	now := &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{"Egress"}}}
	if networking.NetworkPolicy().PrepareUpdate(kindtest.Env(), now, was); now.Generation != 1 {
		t.Errorf("policy: generation %d", now.Generation)
	}
	old := class(func(*networkingv1.IngressClass) {})
	other := class(func(o *networkingv1.IngressClass) { o.Spec.Parameters = nil })
	if networking.IngressClass().PrepareUpdate(kindtest.Env(), other, old); other.Generation != 1 {
		t.Errorf("class: generation %d", other.Generation)
	}
}

func TestIPAddress(t *testing.T) {
	k := networking.IPAddress()
	of := func(group, resource, ns, name string) *networkingv1.IPAddress {
		return &networkingv1.IPAddress{ObjectMeta: metav1.ObjectMeta{Name: "10.0.0.1"}, Spec: networkingv1.IPAddressSpec{
			ParentRef: &networkingv1.ParentReference{Group: group, Resource: resource, Namespace: ns, Name: name},
		}}
	}
	for name, c := range map[string]struct {
		obj  *networkingv1.IPAddress
		want []string
	}{
		"good":    {of("", "services", "default", "kubernetes"), nil},
		"nobody":  {&networkingv1.IPAddress{}, []string{"spec.parentRef: Required value"}},
		"unnamed": {of("", "", "", ""), []string{"spec.parentRef.resource: Required value", "spec.parentRef.name: Required value"}},
		"odd":     {of("", "a%", "..", "b/c"), []string{`spec.parentRef.resource: Invalid value: "a%": may not contain '%'`, `spec.parentRef.name: Invalid value: "b/c": may not contain '/'`, `spec.parentRef.namespace: Invalid value: "..": may not be '..'`}},
	} {
		kindtest.Same(t, name, kindtest.Create(k, c.obj), c.want)
	}
	kindtest.Same(t, "another's", kindtest.Update(k, of("", "services", "a", "b"), of("", "services", "a", "c")),
		[]string{`spec.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"a","Name":"b"}: field is immutable`})
	kindtest.Same(t, "the same", kindtest.Update(k, of("", "services", "a", "b"), of("", "services", "a", "b")), nil)
	for name, want := range map[string][]string{
		"10.0.0.1": nil, "2001:db8::1": nil,
		"10.0.0.01": {"must not have leading 0s"}, "2001:DB8::1": {"must be in canonical form (\"2001:db8::1\")"},
		"web": {"must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"},
	} {
		if got := k.ValidName(name, false); !reflect.DeepEqual(got, want) {
			t.Errorf("name %s: got %q, want %q", name, got, want)
		}
	}
	table(t, k, []string{"Name/name", "ParentRef"}, of("G.io", "Things", "n", "a"), "10.0.0.1", "things.g.io/n/a", "<unknown>")
}

func TestServiceCIDR(t *testing.T) {
	k := networking.ServiceCIDR()
	of := func(ranges ...string) *networkingv1.ServiceCIDR {
		return &networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: ranges}}
	}
	const family = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
	for name, c := range map[string]struct {
		obj  *networkingv1.ServiceCIDR
		want []string
	}{
		"one":    {of("10.0.0.0/16"), nil},
		"two":    {of("10.0.0.0/16", "2001:db8::/112"), nil},
		"none":   {of(), []string{"spec.cidrs: Required value: at least one CIDR required"}},
		"three":  {of("a", "b", "c"), []string{`spec.cidrs: Invalid value: {"CIDRs":["a","b","c"]}: may only hold up to 2 values`}},
		"family": {of("10.0.0.0/16", "10.1.0.0/16"), []string{`spec.cidrs: Invalid value: ["10.0.0.0/16","10.1.0.0/16"]: ` + family}},
		"odd":    {of("10.0.0.0"), []string{`spec.cidrs[0]: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`}},
	} {
		kindtest.Same(t, name, kindtest.Create(k, c.obj), c.want)
	}
	kindtest.Same(t, "same", kindtest.Update(k, of("10.0.0.0"), of("10.0.0.0")), nil)
	kindtest.Same(t, "other", kindtest.Update(k, of("10.1.0.0/16"), of("10.0.0.0/16")), []string{`spec.cidrs[0]: Invalid value: "10.1.0.0/16": field is immutable`})
	kindtest.Same(t, "more", kindtest.Update(k, of("10.0.0.0/16", "2001:db8::/112"), of("10.0.0.0/16")), nil)
	kindtest.Same(t, "more of it", kindtest.Update(k, of("10.0.0.0/16", "10.1.0.0/16"), of("10.0.0.0/16")), []string{`spec.cidrs: Invalid value: ["10.0.0.0/16","10.1.0.0/16"]: ` + family})
	kindtest.Same(t, "less", kindtest.Update(k, of("10.0.0.0/16"), of("10.0.0.0/16", "2001:db8::/112")), []string{`spec.cidrs: Invalid value: ["10.0.0.0/16"]: field is immutable`})
	kindtest.Same(t, "none left", kindtest.Update(k, of(), of("10.0.0.0/16")), []string{`spec.cidrs: Invalid value: null: field is immutable`})

	ready := []metav1.Condition{{Type: networkingv1.ServiceCIDRConditionReady}}
	now, was := of("10.1.0.0/16"), of("10.0.0.0/16")
	now.Labels, now.Status.Conditions = map[string]string{"a": "b"}, ready
	kindtest.Same(t, "status", kindtest.Part(t, k, "status", now, was), nil)
	if now.Spec.CIDRs[0] != "10.0.0.0/16" || now.Labels != nil || len(now.Status.Conditions) != 1 {
		t.Errorf("status: %+v", now)
	}
	k.PrepareUpdate(kindtest.Env(), was, now)
	if len(was.Status.Conditions) != 1 {
		t.Errorf("the status was not kept: %+v", was)
	}
	if k.PrepareCreate(kindtest.Env(), was); was.Status.Conditions != nil {
		t.Errorf("made with a status: %+v", was)
	}
	table(t, k, []string{"Name/name", "CIDRs", "Age"}, of("10.0.0.0/16", "2001:db8::/112"), "s", "10.0.0.0/16,2001:db8::/112", "<unknown>")
}

func policy(change func(*networkingv1.NetworkPolicySpec)) *networkingv1.NetworkPolicy {
	obj := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	change(&obj.Spec)
	networking.NetworkPolicy().Default(obj)
	return obj
}

func TestPolicyDefaults(t *testing.T) {
	in := policy(func(s *networkingv1.NetworkPolicySpec) {
		s.Ingress = []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{}}}}
	})
	out := policy(func(s *networkingv1.NetworkPolicySpec) {
		s.Egress = []networkingv1.NetworkPolicyEgressRule{{Ports: []networkingv1.NetworkPolicyPort{{Protocol: p(corev1.ProtocolUDP)}}}}
	})
	if got := in.Spec; !reflect.DeepEqual(got.PolicyTypes, []networkingv1.PolicyType{"Ingress"}) || *got.Ingress[0].Ports[0].Protocol != corev1.ProtocolTCP {
		t.Errorf("in: %+v", got)
	}
	if got := out.Spec; !reflect.DeepEqual(got.PolicyTypes, []networkingv1.PolicyType{"Ingress", "Egress"}) || *got.Egress[0].Ports[0].Protocol != corev1.ProtocolUDP {
		t.Errorf("out: %+v", got)
	}
}
