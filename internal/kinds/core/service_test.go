package core_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds/core"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func TestServiceRules(t *testing.T) {
	svc := func(text string) string { return `{'spec':{` + text + `}}` }
	one := `'ports':[{'port':80}]`
	check(t, core.Service(core.ServiceNetwork{}), []rule{
		{"good", svc(one), "", ""},
		{"no ports", svc(``), "", "spec.ports: Required value"},
		{"headless needs none", svc(`'clusterIP':'None','clusterIPs':['None']`), "", ""},
		{"headless on nodes", svc(`'type':'NodePort','clusterIP':'None','clusterIPs':['None']`), "", `spec.clusterIPs[0]: Invalid value: "None": may not be set to 'None' for NodePort services`},
		{"a name", svc(`'type':'ExternalName','externalName':'a.b.'`), "", ""},
		{"no name", svc(`'type':'ExternalName','clusterIP':'1.2.3.4','clusterIPs':['1.2.3.4']`), "", "spec.clusterIPs: Forbidden: may not be set for ExternalName services\nspec.externalName: Required value"},
		{"type", svc(`'type':'X',` + one), "", `spec.type: Unsupported value: "X": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"`},
		{"two ports", svc(`'ports':[{'port':80,'name':'a'},{'port':80,'name':'a','nodePort':1}]`), "", "spec.ports[1].name: Duplicate value: \"a\"\n" +
			"spec.ports[1].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'\n" +
			`spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}`},
		{"port", svc(`'ports':[{'port':0,'targetPort':'-'}]`), "", "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive\n" +
			"spec.ports[0].targetPort: Invalid value: \"-\": must contain at least one letter (a-z)\nspec.ports[0].targetPort: Invalid value: \"-\": must not begin or end with a hyphen"},
		{"affinity", svc(`'sessionAffinity':'X',` + one), "", `spec.sessionAffinity: Unsupported value: "X": supported values: "ClientIP", "None"`},
		{"affinity's time", svc(`'sessionAffinity':'ClientIP','sessionAffinityConfig':{'clientIP':{'timeoutSeconds':0}},` + one), "",
			"spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400"},
		{"addresses differ", svc(`'clusterIP':'10.0.0.1','clusterIPs':['10.0.0.2'],` + one), "", "spec.clusterIPs: Invalid value: [\"10.0.0.2\"]: first value must match `clusterIP`"},
		{"address", svc(`'clusterIP':'x','clusterIPs':['x'],` + one), "", `spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`},
		{"two of a family", svc(`'clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1','10.0.0.2'],` + one), "", `spec.clusterIPs: Invalid value: ["10.0.0.1","10.0.0.2"]: may specify no more than one IP for each IP family`},
		{"another family", svc(`'clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1'],'ipFamilies':['IPv6'],` + one), "", "spec.clusterIPs[0]: Invalid value: \"10.0.0.1\": expected an IPv6 value as indicated by `ipFamilies[0]`"},
		{"families", svc(`'ipFamilies':['IPv4','IPv4','X'],'ipFamilyPolicy':'P',` + one), "", "spec.ipFamilies[1]: Duplicate value: \"IPv4\"\n" +
			"spec.ipFamilies[2]: Unsupported value: \"X\": supported values: \"IPv4\", \"IPv6\"\n" +
			`spec.ipFamilyPolicy: Unsupported value: "P": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"`},
		{"external", svc(`'externalIPs':['127.0.0.1'],` + one), "", `spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)`},
		{"ranges", svc(`'loadBalancerSourceRanges':['1.2.3.0/24'],` + one), "", "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'"},
		{"a balancer's parts", svc(`'allocateLoadBalancerNodePorts':true,'loadBalancerClass':'a','externalTrafficPolicy':'Local','healthCheckNodePort':1,` + one), "",
			"spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'\nspec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'\n" +
				"spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services\n" +
				"spec.healthCheckNodePort: Invalid value: 1: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"},
		{"a check's port is allocated", svc(`'type':'LoadBalancer','externalTrafficPolicy':'Local',` + one), "", "spec.healthCheckNodePort: Required value"},
		{"distribution", svc(`'trafficDistribution':'X','internalTrafficPolicy':'Y',` + one), "", "spec.internalTrafficPolicy: Unsupported value: \"Y\": supported values: \"Cluster\", \"Local\"\n" +
			`spec.trafficDistribution: Unsupported value: "X": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"`},
		{"an address stays", svc(`'clusterIP':'10.0.0.2','clusterIPs':['10.0.0.2'],` + one), svc(`'clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1'],` + one), `spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set`},
		{"a second goes with its policy", svc(`'clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1'],` + one), svc(`'clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1','fd00::1'],` + one),
			"spec.ipFamilyPolicy: Invalid value: null: must be set to 'SingleStack' when releasing the secondary clusterIP"},
		{"a balancer's class stays", svc(`'type':'LoadBalancer','loadBalancerClass':'b',` + one), svc(`'type':'LoadBalancer','loadBalancerClass':'a',` + one), `spec.loadBalancerClass: Invalid value: "b": may not change once set`},
	})
}

func TestServiceKeepsAndDrops(t *testing.T) {
	k := core.Service(core.ServiceNetwork{})
	old := `{'spec':{'type':'NodePort','clusterIP':'10.0.0.1','clusterIPs':['10.0.0.1'],'ipFamilies':['IPv4'],'ipFamilyPolicy':'SingleStack','ports':[{'name':'a','port':80,'nodePort':30080}]}}`
	change := func(next *corev1.Service) (field.ErrorList, *corev1.ServiceSpec) {
		t.Helper()
		if _, err := k.Claim(env(), next, parse(t, k, old), kindtest.Objects{}); err != nil {
			t.Fatal(err)
		}
		return update(t, k, next, old), &next.Spec
	}
	errs, s := change(parse(t, k, `{'spec':{'type':'NodePort','ipFamilies':['IPv4'],'ports':[{'name':'a','port':81}]}}`).(*corev1.Service))
	if len(errs) > 0 || s.ClusterIP != "10.0.0.1" || s.Ports[0].NodePort != 30080 {
		t.Errorf("%v %+v", errs, s)
	}
	errs, s = change(parse(t, k, `{'spec':{'type':'ClusterIP','ipFamilies':['IPv4'],'externalTrafficPolicy':'Cluster','ports':[{'name':'a','port':80,'nodePort':30080}]}}`).(*corev1.Service))
	if len(errs) > 0 || s.Ports[0].NodePort != 0 || s.ExternalTrafficPolicy != "" {
		t.Errorf("%v %+v", errs, s)
	}
	next := parse(t, k, old).(*corev1.Service)
	next.Spec.Type, next.Spec.ExternalName = corev1.ServiceTypeExternalName, "a.b"
	errs, s = change(next)
	if len(errs) > 0 || s.ClusterIP != "" || s.IPFamilies != nil || s.IPFamilyPolicy != nil || s.InternalTrafficPolicy != nil {
		t.Errorf("%v %+v", errs, s)
	}
}

func TestServiceStatus(t *testing.T) {
	k := core.Service(core.ServiceNetwork{})
	balanced, plain := parse(t, k, `{'spec':{'type':'LoadBalancer'}}`), parse(t, k, `{}`)
	status := `{'spec':{'type':'LoadBalancer'},'status':{'loadBalancer':{'ingress':[{'ip':'x'},{'hostname':'1.2.3.4','ipMode':'VIP'}]}}}`
	want := "status.loadBalancer.ingress[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)\n" +
		"status.loadBalancer.ingress[1].ipMode: Forbidden: may not be specified when `ip` is not set\n" +
		`status.loadBalancer.ingress[1].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address`
	if got := texts(k.Subresources[1].Update(env(), parse(t, k, status), balanced)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := texts(k.Subresources[1].Update(env(), parse(t, k, status), plain)); got != "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'" {
		t.Error(got)
	}
}
