package cluster

import (
	"flag"
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
	bad := Controllers{Enabled: []string{"-nobody"}, NodeControllers: defaultNodeControllers(), AutoscalerController: defaultAutoscalerController()}
	if errs := bad.validate(); len(errs) != 3 || !strings.HasPrefix(errs[0].Error(), `controllers.enabled: "nobody" is not in the list of known controllers: bootstrap-signer-controller, `) ||
		errs[1].Error() != "controllers.clusterSigningDuration: 0s: must be above 0" ||
		errs[2].Error() != "controllers.legacyServiceAccountTokenCleanUpPeriod: 0s: must be above 0" {
		t.Errorf("%v", errs)
	}
}
