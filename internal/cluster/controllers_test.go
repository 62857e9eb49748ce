package cluster

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/controllers.txt anew")

// TestControllerGraph: who reads and who writes what is in review. With -rewrite the file follows the code.
func TestControllerGraph(t *testing.T) {
	const golden = "testdata/controllers.txt"
	got, err := ControllerGraph()
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("floe controllers prints (-want +got; go test ./internal/cluster -run TestControllerGraph -rewrite):\n%s", diff)
	}
}

// TestWhichControllersRun: --controllers says what kube-controller-manager's does.
func TestWhichControllersRun(t *testing.T) {
	for _, c := range []struct {
		enabled         []string
		namespace, sign bool
	}{
		{[]string{"*"}, true, false},
		{[]string{"*", "bootstrap-signer-controller"}, true, true},
		{[]string{"bootstrapsigner"}, false, true},
		{[]string{"-namespace-controller", "*"}, false, false},
		{[]string{"*", "-namespace"}, false, false},
		{[]string{"namespace", "-namespace"}, true, false},
		{nil, false, false},
	} {
		cfg := defaultControllers()
		cfg.Enabled = c.enabled
		if errs := cfg.validate(); len(errs) > 0 {
			t.Errorf("%v: %v", c.enabled, errs)
		}
		if got := cfg.runs("namespace"); got != c.namespace {
			t.Errorf("%v: the namespace controller runs: %v", c.enabled, got)
		}
		if got := cfg.runs("bootstrap-signer"); got != c.sign {
			t.Errorf("%v: the bootstrap signer runs: %v", c.enabled, got)
		}
		if !cfg.runs("ipallocator-repair") {
			t.Errorf("%v: a controller that cannot be left out does not run", c.enabled)
		}
	}
	graph, err := ControllerGraph()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range switchables() {
		if !strings.Contains("\n"+graph, "\n"+s.own+" ") {
			t.Errorf("%s is no controller", s.own)
		}
	}
	for name, c := range map[string]struct {
		cluster []string
		set     NodeControllers
		want    string // the sizes, or the beginning of the error
	}{
		"IPv4":              {[]string{"10.244.0.0/16"}, NodeControllers{}, "[24]"},
		"IPv6":              {[]string{"fd00::/56"}, NodeControllers{}, "[64]"},
		"both":              {[]string{"fd00::/56", "10.244.0.0/16"}, NodeControllers{NodeCIDRMaskSizeIPv4: 26}, "[64 26]"},
		"one size":          {[]string{"10.244.0.0/16"}, NodeControllers{NodeCIDRMaskSize: 25}, "[25]"},
		"one size for both": {[]string{"fd00::/56", "10.244.0.0/16"}, NodeControllers{NodeCIDRMaskSize: 25}, "controllers.nodeCIDRMaskSize: 25: must be 0 with a range of each family"},
		"twice":             {[]string{"10.244.0.0/16"}, NodeControllers{NodeCIDRMaskSize: 25, NodeCIDRMaskSizeIPv4: 25}, "controllers.nodeCIDRMaskSize: 25: must be 0 with nodeCIDR"},
		"of the other":      {[]string{"10.244.0.0/16"}, NodeControllers{NodeCIDRMaskSizeIPv6: 64}, "controllers.nodeCIDRMaskSizeIPv6: 64: must be 0"},
		"too large":         {[]string{"10.244.0.0/16"}, NodeControllers{NodeCIDRMaskSize: 8}, "controllers.nodeCIDRMaskSize: a node's range of /8"},
	} {
		c.set.AllocateNodeCIDRs = true
		ranges, err := c.set.ranges(&Network{ClusterCIDR: c.cluster})
		got := fmt.Sprint(ranges.Bits)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
	bad := Controllers{Enabled: []string{"-nobody"}, NodeControllers: defaultNodeControllers(), AutoscalerController: defaultAutoscalerController()}
	if errs := bad.validate(); len(errs) != 3 || !strings.HasPrefix(errs[0].Error(), `controllers.enabled: "nobody" is not in the list of known controllers: bootstrap-signer-controller, `) ||
		errs[1].Error() != "controllers.clusterSigningDuration: 0s: must be above 0" ||
		errs[2].Error() != "controllers.legacyServiceAccountTokenCleanUpPeriod: 0s: must be above 0" {
		t.Errorf("%v", errs)
	}
}
