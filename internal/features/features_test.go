package features_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/features"
)

// wants fails unless err says each of the texts, or is nil when there are none.
func wants(t *testing.T, name string, err error, texts ...string) {
	t.Helper()
	if len(texts) == 0 && err != nil {
		t.Errorf("%s: %v", name, err)
	}
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want %q", name, err, text)
		}
	}
}

func TestGates(t *testing.T) {
	for given, texts := range map[string][]string{
		"":                                       nil,
		"CBORServingAndStorage=true":             nil,
		"kubelet:InPlacePodVerticalScaling=true": nil,
		"WatchList=true":                         nil,
		"Sunshine=true":                          {"unrecognized feature gate: Sunshine"},
		"WatchList":                              {"missing bool value for WatchList"},
		"WatchList=perhaps":                      {`invalid value of WatchList=perhaps, err: strconv.ParseBool: parsing "perhaps": invalid syntax`},
		"APIServerTracing=false":                 {"cannot set feature gate APIServerTracing to false, feature is locked to true"},
		"APIServingWithRoutine=true":             {"cannot set feature gate APIServingWithRoutine to true: floe has this feature (ALPHA) only as false so far"},
		"AllAlpha=true":                          {"cannot set all gates of stage ALPHA to true", "APIServingWithRoutine"},
		"AllAlpha=false":                         nil,
		"Sunshine=true,Rain=false":               {"Sunshine", "Rain"},
	} {
		var list []string
		if given != "" {
			list = strings.Split(given, ",")
		}
		_, err := features.ParseGates(list)
		wants(t, given, err, texts...)
	}
	on, err := features.ParseGates([]string{"CBORServingAndStorage=true"})
	if err != nil || !on.Enabled(features.CBOR) || (features.Gates{}).Enabled(features.CBOR) {
		t.Errorf("CBOR: %v, by default %v, %v", on.Enabled(features.CBOR), features.Gates{}.Enabled(features.CBOR), err)
	}
}

func TestAPIs(t *testing.T) {
	core, apps := schema.GroupVersion{Version: "v1"}, schema.GroupVersion{Group: "apps", Version: "v1"}
	have := []schema.GroupVersion{core, apps}
	for given, texts := range map[string][]string{
		"":                             nil,
		"api/all=false":                {"invalid runtime-config with only api/all=false"},
		"api/ga=perhaps":               {"invalid value api/ga=perhaps"},
		"api/beta=true":                {"runtime-config api/beta=true: floe does not have these yet", "storage.k8s.io/v1beta1"},
		"api/beta=false":               nil,
		"v1=true":                      {"runtime-config invalid key v1"},
		"apps/v1=perhaps":              {"invalid value of apps/v1: perhaps"},
		"apps/v2=true":                 {"group version apps/v2 that has not been registered"},
		"sunshine/v1=true":             {"unknown api groups sunshine/v1"},
		"storage.k8s.io/v1beta1=true":  {"floe does not have storage.k8s.io/v1beta1 yet"},
		"storage.k8s.io/v1beta1=false": nil,
		"apps/v1/Deployments=true":     {"resource is always lowercase plural"},
	} {
		var list []string
		if given != "" {
			list = strings.Split(given, ",")
		}
		_, err := features.ParseAPIs(list, have)
		wants(t, given, err, texts...)
	}
	a, err := features.ParseAPIs([]string{"api/all=false", "apps/v1/deployments=true", "/v1"}, have)
	if err != nil {
		t.Fatal(err)
	}
	for res, want := range map[schema.GroupVersionResource]bool{
		core.WithResource("pods"): true, apps.WithResource("deployments"): true, apps.WithResource("replicasets"): false,
	} {
		if got := a.Serves(res); got != want || !(features.APIs{}).Serves(res) {
			t.Errorf("%v: served %v, want %v", res, got, want)
		}
	}
}

func TestPlugins(t *testing.T) {
	have := []string{"NamespaceLifecycle", "Priority", "AlwaysPullImages"}
	for name, c := range map[string]struct {
		enable, disable, off string
		texts                []string
	}{
		"default":      {"", "", "AlwaysPullImages", nil},
		"switched":     {"AlwaysPullImages", "Priority", "Priority", nil},
		"unknown":      {"Sunshine", "Rain", "AlwaysPullImages", []string{`enable-admission-plugins plugin "Sunshine" is unknown`, `disable-admission-plugins plugin "Rain" is unknown`}},
		"both":         {"Priority", "Priority", "Priority AlwaysPullImages", []string{"Priority in enable-admission-plugins and disable-admission-plugins overlapped"}},
		"not here":     {"EventRateLimit", "", "AlwaysPullImages", []string{`floe does not have "EventRateLimit" yet`}},
		"off as it is": {"", "LimitRanger", "AlwaysPullImages", nil},
	} {
		off, err := features.ParsePlugins(strings.Fields(c.enable), strings.Fields(c.disable), have)
		wants(t, name, err, c.texts...)
		if got := strings.Join(off, " "); got != c.off {
			t.Errorf("%s: off are %q, want %q", name, got, c.off)
		}
	}
}
