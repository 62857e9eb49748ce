package discovery_test

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds/discovery"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func p[T any](v T) *T { return &v }

func slice(kind discoveryv1.AddressType, addresses ...string) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: "s"}, AddressType: kind, Endpoints: []discoveryv1.Endpoint{{Addresses: addresses}}}
}

func TestAddresses(t *testing.T) {
	const at = "endpoints[0].addresses"
	for name, c := range map[string]struct {
		slice *discoveryv1.EndpointSlice
		want  []string
	}{
		"IPv4":        {slice("IPv4", "10.0.0.1"), nil},
		"IPv6":        {slice("IPv6", "2001:db8::1"), nil},
		"name":        {slice("FQDN", "a.example.com"), nil},
		"no type":     {slice("", "what it is is not asked"), []string{"addressType: Required value"}},
		"odd type":    {slice("IP", "10.0.0.1"), []string{`addressType: Unsupported value: "IP": supported values: "FQDN", "IPv4", "IPv6"`}},
		"none":        {slice("IPv4"), []string{at + ": Required value: must contain at least 1 address"}},
		"other type":  {slice("IPv4", "2001:db8::1"), []string{at + `: Invalid value: "2001:db8::1": must be an IPv4 address`}},
		"and other":   {slice("IPv6", "10.0.0.1"), []string{at + `: Invalid value: "10.0.0.1": must be an IPv6 address`}},
		"no address":  {slice("IPv4", "10.0.0"), []string{at + `[0]: Invalid value: "10.0.0": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`}},
		"zeros":       {slice("IPv4", "10.0.0.01"), []string{at + `[0]: Invalid value: "10.0.0.01": must not have leading 0s`}},
		"unspecified": {slice("IPv4", "0.0.0.0"), []string{at + `[0]: Invalid value: "0.0.0.0": may not be unspecified (0.0.0.0)`}},
		"loopback":    {slice("IPv6", "::1"), []string{at + `[0]: Invalid value: "::1": may not be in the loopback range (127.0.0.0/8, ::1/128)`}},
		"link":        {slice("IPv4", "169.254.1.1"), []string{at + `[0]: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)`}},
		"multicast":   {slice("IPv4", "224.0.0.1"), []string{at + `[0]: Invalid value: "224.0.0.1": may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)`}},
		"many":        {slice("", strings.Split(strings.Repeat("a", 101), "")...), []string{"addressType: Required value", at + ": Too many: 101: must have at most 100 items"}},
	} {
		kindtest.Same(t, name, kindtest.Create(discovery.EndpointSlice(), c.slice), c.want)
	}
}

func TestEndpointsAndPorts(t *testing.T) {
	s := slice("IPv4", "10.0.0.1")
	s.Endpoints[0].Hostname, s.Endpoints[0].NodeName = p("A"), p("-")
	s.Endpoints[0].Hints = &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: "a"}, {Name: "a"}}, ForNodes: make([]discoveryv1.ForNode, 9)}
	s.Ports = []discoveryv1.EndpointPort{{Name: p("a")}, {Name: p("a"), Protocol: p(corev1.Protocol("X"))}, {AppProtocol: p("a b")}}
	discovery.EndpointSlice().Default(s)
	var got []string
	for _, e := range kindtest.Create(discovery.EndpointSlice(), s) {
		path, rest, _ := strings.Cut(e, ": ")
		kind, _, _ := strings.Cut(rest, ":")
		got = append(got, path+" "+kind)
	}
	kindtest.Same(t, "all wrong", got, []string{
		"ports[1].name Duplicate value", "ports[1].protocol Unsupported value", "ports[2].appProtocol Invalid value",
		"endpoints[0].nodeName Invalid value", "endpoints[0].hostname Invalid value",
		"endpoints[0].hints.forZones[1].name Duplicate value", "endpoints[0].hints.forNodes Too many",
	})
	many := slice("IPv4")
	many.Endpoints, many.Ports = make([]discoveryv1.Endpoint, 1001), make([]discoveryv1.EndpointPort, 20001)
	kindtest.Same(t, "too many", kindtest.Create(discovery.EndpointSlice(), many), []string{
		"ports: Too many: 20001: must have at most 20000 items", "endpoints: Too many: 1001: must have at most 1000 items",
	})
}

func TestUpdate(t *testing.T) {
	k := discovery.EndpointSlice()
	kindtest.Same(t, "what was odd may stay", kindtest.Update(k, slice("IPv4", "127.0.0.1"), slice("IPv4", "127.0.0.1")), nil)
	kindtest.Same(t, "type", kindtest.Update(k, slice("IPv6", "::1"), slice("IPv4", "::1")), []string{`addressType: Invalid value: "IPv6": field is immutable`})
	kindtest.Same(t, "worse", kindtest.Update(k, slice("IPv4", "127.0.0.2"), slice("IPv4", "127.0.0.1")),
		[]string{`endpoints[0].addresses[0]: Invalid value: "127.0.0.2": may not be in the loopback range (127.0.0.0/8, ::1/128)`})
}

func TestGeneration(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*discoveryv1.EndpointSlice)
		want   int64
	}{
		"nothing":    {func(*discoveryv1.EndpointSlice) {}, 4},
		"annotation": {func(s *discoveryv1.EndpointSlice) { s.Annotations = map[string]string{"a": "b"} }, 4},
		"label":      {func(s *discoveryv1.EndpointSlice) { s.Labels = map[string]string{"a": "b"} }, 5},
		"address":    {func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses[0] = "10.0.0.2" }, 5},
		"port":       {func(s *discoveryv1.EndpointSlice) { s.Ports = []discoveryv1.EndpointPort{{Port: p(int32(1))}} }, 5},
	} {
		was := slice("IPv4", "10.0.0.1")
		was.Generation = 4
		now := was.DeepCopy()
		c.change(now)
		if discovery.EndpointSlice().PrepareUpdate(kindtest.Env(), now, was); now.Generation != c.want {
			t.Errorf("%s: generation %d, want %d", name, now.Generation, c.want)
		}
	}
}

// TestTopology: what v1beta1 wrote is kept while the endpoints are, and becomes a node's name when they change.
func TestTopology(t *testing.T) {
	k, old := discovery.EndpointSlice(), slice("IPv4", "10.0.0.1")
	old.Endpoints[0].DeprecatedTopology = map[string]string{corev1.LabelHostname: "n"}
	made, kept, moved, other := old.DeepCopy(), old.DeepCopy(), old.DeepCopy(), old.DeepCopy()
	moved.Endpoints[0].Addresses = []string{"10.0.0.2"}
	other.Endpoints[0].DeprecatedTopology[corev1.LabelHostname] = "m"
	k.PrepareCreate(kindtest.Env(), made)
	for _, s := range []*discoveryv1.EndpointSlice{kept, moved, other} {
		k.PrepareUpdate(kindtest.Env(), s, old)
	}
	for name, c := range map[string]struct {
		slice *discoveryv1.EndpointSlice
		want  discoveryv1.Endpoint
	}{
		"made":  {made, discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}}},
		"kept":  {kept, discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}, DeprecatedTopology: map[string]string{corev1.LabelHostname: "n"}}},
		"moved": {moved, discoveryv1.Endpoint{Addresses: []string{"10.0.0.2"}, NodeName: p("n")}},
		"other": {other, discoveryv1.Endpoint{Addresses: []string{"10.0.0.1"}}},
	} {
		if got := c.slice.Endpoints[0]; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestColumns(t *testing.T) {
	k := discovery.EndpointSlice()
	if got, want := kindtest.Header(k), []string{"Name/name", "AddressType", "Ports", "Endpoints", "Age"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s := slice("IPv4", "10.0.0.1", "10.0.0.2")
	s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.0.0.3", "10.0.0.4", "10.0.0.5"}})
	s.Ports = []discoveryv1.EndpointPort{{Port: p(int32(80))}, {Name: p("web")}, {}}
	if got, want := kindtest.Row(k, s), []any{"s", "IPv4", "80,web,*", "10.0.0.1,10.0.0.2,10.0.0.3 + 2 more...", "<unknown>"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := kindtest.Row(k, slice("FQDN")), []any{"s", "FQDN", "<unset>", "<unset>", "<unknown>"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
