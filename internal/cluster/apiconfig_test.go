package cluster

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestSwitchesOfTheAPI: what a file and flags say of features and versions is held against what there is.
func TestSwitchesOfTheAPI(t *testing.T) {
	for given, want := range map[string]string{
		"featureGates: {WatchList: true}":              "",
		"featureGates: {Sunshine: true}":               "unrecognized feature gate: Sunshine",
		"featureGates: {WatchList: 3}":                 "WatchList: 3: must be true or false",
		"runtimeConfig: {apps/v1: false}":              "",
		"runtimeConfig: {sunshine/v1: \"true\"}":       "unknown api groups sunshine/v1",
		"enableAdmissionPlugins: [ImagePolicyWebhook]": `couldn't init admission plugin "ImagePolicyWebhook": no config specified`,
		"enableAdmissionPlugins: [EventRateLimit]":     `couldn't init admission plugin "EventRateLimit": limits: Invalid value: null: must not be empty`,
		"enableAdmissionPlugins: [PodNodeSelector, PodTolerationRestriction, PodGroupProtection, ClusterTrustBundleAttest, JobValidation]": "",
		"enableAdmissionPlugins: [NamespaceAutoProvision]": `floe does not have "NamespaceAutoProvision" yet`,
		"disableAdmissionPlugins: [Priority]":              "",
		"disableAdmissionPlugins: [NodeRestriction]":       "",
		"authorization: {mode: [Node, RBAC]}":              "",
		"authorization: {mode: [Magic]}":                   `authorization-mode "Magic" is not a valid mode`,
		"authorization: {mode: [ABAC]}":                    "floe does not have ABAC",
		"authorization: {configFile: /none}":               "authorization configuration: open /none: no such file or directory",
		"authorization: {mode: [RBAC], configFile: /none}": "--authorization-config can not be specified when",
		"maxRequestsInflight: -1":                          "api.maxRequestsInflight: -1: must be 0 (no bound) or above",
		"requestTimeout: -1s":                              "api.requestTimeout: -1s: must be above 0",
		"minRequestTimeout: 0":                             "",
		"minRequestTimeout: -1":                            "api.minRequestTimeout: -1: must be 0 (no bound) or above",
		"http2MaxStreamsPerConnection: 0":                  "",
		"http2MaxStreamsPerConnection: -1":                 "api.http2MaxStreamsPerConnection: -1: must be 0 (the default) or above",
		"maxConnectionBytesPerSec: -1":                     "api.maxConnectionBytesPerSec: -1: must be 0 (no bound) or above",
		"eventTTL: -1s":                                    "api.eventTTL: -1s: can not be a negative value",
		"livezGracePeriod: -1s":                            "api.livezGracePeriod: -1s: can not be a negative value",
		"shutdownDelayDuration: -1s":                       "api.shutdownDelayDuration: -1s: can not be a negative value",
		"shutdownWatchTerminationGracePeriod: -1s":         "api.shutdownWatchTerminationGracePeriod: -1s: can not be a negative value",
		"goawayChance: 0.02":                               "",
		"goawayChance: 0.03":                               "api.goawayChance: 0.03: can not be less than 0 or greater than 0.02",
		"corsAllowedOrigins: ['//a\\.b(:|$)']":             "",
		"corsAllowedOrigins: ['a.b']":                      `api.corsAllowedOrigins: "a.b": regular expression does not pin to start/end of host in the origin header`,
		"corsAllowedOrigins: ['^a.b']":                     "does not pin",
		"corsAllowedOrigins: ['//[:']":                     `api.corsAllowedOrigins: "//[:": invalid regular expression`,
		"corsAllowedOrigins: ['']":                         `api.corsAllowedOrigins: "": empty value`,
		"strictTransportSecurityDirectives: [max-age=1, includeSubDomains, preload]": "",
		"strictTransportSecurityDirectives: [maxage=1]":                              `api.strictTransportSecurityDirectives: "maxage=1": allowed values: max-age=expireTime, includeSubDomains, preload`,
	} {
		file := filepath.Join(t.TempDir(), "config.yaml")
		text := "apiVersion: " + ConfigAPIVersion + "\nkind: " + ConfigKind + "\nnode: {disabled: true}\napi: {" + given + "}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := DefaultConfig()
		err := cfg.LoadFile(file)
		if err == nil {
			err = cfg.Complete()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", given, err, want)
		}
	}
}

// TestSwitchesAreFlags: a flag that is given twice adds, and one that is set again over a file is as it was given.
func TestSwitchesAreFlags(t *testing.T) {
	var s Switches
	for _, text := range []string{"B=false, A=true", "C"} {
		if err := s.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"A=true", "B=false", "C="}
	if got := s.GetSlice(); !reflect.DeepEqual(got, want) || s.String() != "A=true,B=false,C=" {
		t.Errorf("got %v, %s", got, &s)
	}
	again := Switches{"D": "true"}
	if err := again.Replace(s.GetSlice()); err != nil || !reflect.DeepEqual(again, s) {
		t.Errorf("replaced: %v, %v", again, err)
	}
}
