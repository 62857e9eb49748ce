package networking_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/networking"
)

func from(peers ...networkingv1.NetworkPolicyPeer) *networkingv1.NetworkPolicy {
	return policy(func(s *networkingv1.NetworkPolicySpec) {
		s.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: peers}}
	})
}

func block(cidr string, except ...string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
}

func TestPolicyPeers(t *testing.T) {
	k, all := networking.NetworkPolicy(), &metav1.LabelSelector{}
	both := block("10.0.0.0/8")
	both.PodSelector = all
	const at = "spec.ingress[0].from[0]"
	for name, c := range map[string]struct {
		obj  *networkingv1.NetworkPolicy
		want []string
	}{
		"nothing":    {policy(func(*networkingv1.NetworkPolicySpec) {}), nil},
		"range":      {from(block("10.0.0.0/8", "10.1.0.0/16")), nil},
		"selectors":  {from(networkingv1.NetworkPolicyPeer{PodSelector: all, NamespaceSelector: all}), nil},
		"nobody":     {from(networkingv1.NetworkPolicyPeer{}), []string{at + ": Required value: must specify a peer"}},
		"both":       {from(both), []string{at + ": Forbidden: may not specify both ipBlock and another peer"}},
		"no range":   {from(block("")), []string{at + ".ipBlock.cidr: Required value"}},
		"odd range":  {from(block("10.0.0.1")), []string{at + `.ipBlock.cidr: Invalid value: "10.0.0.1": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`}},
		"zeros":      {from(block("10.0.0.00/8")), []string{at + `.ipBlock.cidr: Invalid value: "10.0.0.00/8": must not have leading 0s in IP or prefix length`}},
		"not inside": {from(block("10.0.0.0/8", "11.0.0.0/16")), []string{at + ".ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be a strict subset of `cidr`"}},
		"all of it":  {from(block("10.0.0.0/8", "10.0.0.0/8")), []string{at + ".ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`"}},
		"odd to": {policy(func(s *networkingv1.NetworkPolicySpec) {
			s.Egress = []networkingv1.NetworkPolicyEgressRule{{To: make([]networkingv1.NetworkPolicyPeer, 1)}}
		}), []string{"spec.egress[0].to[0]: Required value: must specify a peer"}},
		"odd type":    {policy(func(s *networkingv1.NetworkPolicySpec) { s.PolicyTypes = []networkingv1.PolicyType{"Odd"} }), []string{`spec.policyTypes[0]: Unsupported value: "Odd": supported values: "Ingress", "Egress"`}},
		"three types": {policy(func(s *networkingv1.NetworkPolicySpec) { s.PolicyTypes = make([]networkingv1.PolicyType, 3) }), []string{`spec.policyTypes: Invalid value: ["","",""]: may not specify more than two policyTypes`}},
	} {
		kindtest.Same(t, name, kindtest.Create(k, c.obj), c.want)
		kindtest.Same(t, name+", updated", kindtest.Update(k, c.obj, policy(func(*networkingv1.NetworkPolicySpec) {})), c.want)
	}
	kindtest.Same(t, "zeros as before", kindtest.Update(k, from(block("10.0.0.0/7"), block("10.0.0.00/8")), from(block("10.0.0.00/8"))), nil)
	table(t, k, []string{"Name/name", "Pod-Selector", "Age"}, from(), "n", "<none>", "<unknown>")
}

func TestPolicyPorts(t *testing.T) {
	number := func(n int32) *intstr.IntOrString { return p(intstr.FromInt32(n)) }
	const at = "spec.ingress[0].ports[0]"
	for name, c := range map[string]struct {
		port networkingv1.NetworkPolicyPort
		want []string
	}{
		"all":       {networkingv1.NetworkPolicyPort{}, nil},
		"range":     {networkingv1.NetworkPolicyPort{Port: number(1), EndPort: p(int32(2))}, nil},
		"named":     {networkingv1.NetworkPolicyPort{Port: p(intstr.FromString("web"))}, nil},
		"protocol":  {networkingv1.NetworkPolicyPort{Protocol: p(corev1.Protocol("X"))}, []string{at + `.protocol: Unsupported value: "X": supported values: "TCP", "UDP", "SCTP"`}},
		"zero":      {networkingv1.NetworkPolicyPort{Port: number(0)}, []string{at + ".port: Invalid value: 0: must be between 1 and 65535, inclusive"}},
		"backwards": {networkingv1.NetworkPolicyPort{Port: number(9), EndPort: p(int32(0))}, []string{at + ".endPort: Invalid value: 9: must be greater than or equal to `port`", at + ".endPort: Invalid value: 0: must be between 1 and 65535, inclusive"}},
		"of a name": {networkingv1.NetworkPolicyPort{Port: p(intstr.FromString("web")), EndPort: p(int32(2))}, []string{at + ".endPort: Invalid value: 2: may not be specified when `port` is non-numeric"}},
		"of none":   {networkingv1.NetworkPolicyPort{EndPort: p(int32(2))}, []string{at + ".endPort: Invalid value: 2: may not be specified when `port` is not specified"}},
		"odd name":  {networkingv1.NetworkPolicyPort{Port: p(intstr.FromString("1"))}, []string{at + `.port: Invalid value: "1": must contain at least one letter (a-z)`}},
	} {
		obj := policy(func(s *networkingv1.NetworkPolicySpec) {
			s.Ingress = []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{c.port}}}
		})
		kindtest.Same(t, name, kindtest.Create(networking.NetworkPolicy(), obj), c.want)
	}
}
