package egress_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/api/egress"
)

func registry(t *testing.T, m *egress.Metrics) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(m); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWrongFiles(t *testing.T) {
	const head = "apiVersion: apiserver.k8s.io/v1beta1\nkind: EgressSelectorConfiguration\negressSelections:\n"
	for selections, want := range map[string]string{
		`- {name: cluster, connection: {proxyProtocol: SOCKS}}`:                                                                                              `service.connection.protocol: Unsupported value: "SOCKS": supported values: "Direct", "HTTPConnect", "GRPC"`,
		`- {name: cluster, connection: {proxyProtocol: Direct, transport: {}}}`:                                                                              `service.connection.transport: Invalid value: "direct": config must be absent for direct connect`,
		`- {name: cluster, connection: {proxyProtocol: GRPC}}`:                                                                                               `service.connection.transport: Required value: transport must be set for GRPC`,
		`- {name: cluster, connection: {proxyProtocol: HTTPConnect}}`:                                                                                        `service.connection.transport: Required value: transport must be set for HTTPConnect`,
		`- {name: cluster, connection: {proxyProtocol: GRPC, transport: {tcp: {url: "http://a"}}}}`:                                                          `service.connection.uds: Required value: UDS must be set with GRPC`,
		`- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {}}}`:                                                                         `service.connection.tcp: Required value: One of TCP or UDS must be set`,
		`- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {uds: {}, tcp: {}}}}`:                                                         `TCP and UDS cannot both be set`,
		`- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {uds: {}}}}`:                                                                  `service.connection.udsName: Invalid value: "nil": must be present for UDS connections`,
		`- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {tcp: {url: a}}}}`:                                                            `service.connection.url: Invalid value: "a": supported connection protocols are http:// and https://`,
		`- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {tcp: {url: "https://a"}}}}`:                                                  `service.connection.tlsConfig: Required value: TLSConfig must be present when using HTTPS`,
		`- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {tcp: {url: "http://a", tlsConfig: {}}}}}`:                                    `service.connection.tlsConfig: Invalid value: "nil": config must not be present when using HTTP`,
		`- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {tcp: {url: "https://a", tlsConfig: {}}}}}`:                                   `service.connection.tlsConfig.clientKey: Invalid value: "nil": Using TLS requires requires clientKey`,
		`- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {tcp: {url: "https://a", tlsConfig: {caBundle: /none, clientCert: /none}}}}}`: `service.connection.tlsConfig.caBundle: Invalid value: "/none": TLS config ca bundle does not exist`,
		"- {name: etcd, connection: {proxyProtocol: Direct}}\n- {name: ETCD, connection: {proxyProtocol: Direct}}":                                           `service.connection[1]: Duplicate value: "etcd"`,
		`- {name: moon, connection: {proxyProtocol: Direct}}`:                                                                                                `service.connection: Unsupported value: "moon": supported values: "cluster", "controlplane", "etcd"`,
		`- {name: etcd, colour: red}`: `colour`,
	} {
		if err := egress.Check(write(t, head+selections+"\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", selections, err, want)
		}
	}
	if err := egress.Check("/nowhere"); err == nil {
		t.Error("a file that is not there is taken")
	}
	older := strings.Replace(head, "v1beta1", "v1alpha1", 1)
	if err := egress.Check(write(t, older+"- {name: etcd, connection: {proxyProtocol: Direct}}\n")); err != nil {
		t.Error(err)
	}
}
