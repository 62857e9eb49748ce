package configuration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/admission/configuration"
	"github.com/floe-k8s/floe/internal/admission/eventratelimit"
	"github.com/floe-k8s/floe/internal/admission/placement"
	"github.com/floe-k8s/floe/internal/admission/resourcequota"
)

const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n"

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// kubeconfig is a file that names a server.
func kubeconfig(t *testing.T) string {
	return write(t, filepath.Join(t.TempDir(), "kubeconfig"), `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://images.example.com/policy"}}]
users: [{name: u, user: {token: secret}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`)
}

func TestSettingsAreRead(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "quota.yaml"), `
apiVersion: apiserver.config.k8s.io/v1
kind: ResourceQuotaConfiguration
limitedResources:
- resource: persistentvolumeclaims
  matchContains: [gold.storageclass.storage.k8s.io/requests.storage]
`)
	path := write(t, filepath.Join(dir, "admission.yaml"), head+`
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline, warn-version: v1.30}
    exemptions: {namespaces: [kube-system], usernames: [me]}
- name: ResourceQuota
  path: quota.yaml
- name: LimitRanger
- name: EventRateLimit
  configuration:
    apiVersion: eventratelimit.admission.k8s.io/v1alpha1
    kind: Configuration
    limits:
    - {type: Server, qps: 10, burst: 50}
    - {type: Namespace, qps: 1, burst: 5, cacheSize: 2000}
- name: PodTolerationRestriction
  configuration:
    apiVersion: podtolerationrestriction.admission.k8s.io/v1alpha1
    kind: Configuration
    default: [{key: a, operator: Exists}]
    whitelist: [{key: b, operator: Exists}]
- name: PodNodeSelector
  configuration:
    podNodeSelectorPluginConfig: {clusterDefaultNodeSelector: zone=a, ns: "zone=a,b=c"}
- name: ImagePolicyWebhook
  configuration:
    imagePolicy: {kubeConfigFile: `+kubeconfig(t)+`, allowTTL: 60, denyTTL: -1, retryBackoff: 250, defaultAllow: true}
- name: MutatingAdmissionWebhook
  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: WebhookAdmissionConfiguration, kubeConfigFile: `+kubeconfig(t)+`}
- name: ValidatingAdmissionPolicy
  configuration: {apiVersion: apiserver.config.k8s.io/v1, kind: ValidatingAdmissionPolicyConfiguration}
`)
	got, err := configuration.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if p := got.PodSecurity; p.Default.Enforce.String() != "baseline:latest" || p.Default.Warn.String() != "privileged:v1.30" ||
		!cmp.Equal(p.Namespaces, []string{"kube-system"}) || !cmp.Equal(p.Users, []string{"me"}) {
		t.Errorf("PodSecurity has %+v", p)
	}
	limited := []resourcequota.Limited{{Resource: "persistentvolumeclaims", Contains: []string{"gold.storageclass.storage.k8s.io/requests.storage"}}}
	if diff := cmp.Diff(limited, got.Limited); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]eventratelimit.Limit{{Type: "Server", QPS: 10, Burst: 50}, {Type: "Namespace", QPS: 1, Burst: 5, CacheSize: 2000}}, got.Events); diff != "" {
		t.Error(diff)
	}
	exists := func(key string) []corev1.Toleration {
		return []corev1.Toleration{{Key: key, Operator: corev1.TolerationOpExists}}
	}
	places := placement.Settings{Selectors: map[string]string{"clusterDefaultNodeSelector": "zone=a", "ns": "zone=a,b=c"}, Default: exists("a"), Allowed: exists("b")}
	if diff := cmp.Diff(places, got.Placement); diff != "" {
		t.Error(diff)
	}
	i := got.Images
	if i == nil || i.URL != "https://images.example.com/policy" || i.Client == nil || i.Allowed != time.Minute || i.Refused != 0 || i.Pause != 250*time.Millisecond || !i.FailOpen {
		t.Errorf("ImagePolicyWebhook has %+v", i)
	}
	if got.MutatingWebhooks == nil || got.ValidatingWebhooks != nil {
		t.Errorf("webhooks have credentials %v and %v", got.MutatingWebhooks, got.ValidatingWebhooks)
	}
	if err := got.Check(nil); err != nil {
		t.Errorf("with all plug-ins on: %v", err)
	}
}

// TestFilesWithoutType: settings alone, as before there was an AdmissionConfiguration.
func TestFilesWithoutType(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "old"), "podNodeSelectorPluginConfig: {ns: a=b}\nimagePolicy: {kubeConfigFile: "+kubeconfig(t)+"}\n")
	got, err := configuration.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if i := got.Images; i == nil || i.Allowed != 5*time.Minute || i.Refused != 30*time.Second || i.Pause != 500*time.Millisecond || i.FailOpen {
		t.Errorf("ImagePolicyWebhook has %+v", i)
	}
	if got.Placement.Selectors["ns"] != "a=b" {
		t.Errorf("PodNodeSelector has %v", got.Placement.Selectors)
	}
}

func TestPluginsThatNeedSettings(t *testing.T) {
	for off, want := range map[string]string{
		"ImagePolicyWebhook":                `couldn't init admission plugin "EventRateLimit": limits: Invalid value: null: must not be empty`,
		"EventRateLimit":                    `couldn't init admission plugin "ImagePolicyWebhook": no config specified`,
		"EventRateLimit ImagePolicyWebhook": "",
	} {
		err := configuration.Default().Check(strings.Fields(off))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("off are %s: got %v, want %s", off, err, want)
		}
	}
}

// TestMistakesAreNamed with file, line and field.
func TestMistakesAreNamed(t *testing.T) {
	inline := func(plugin, versioned, text string) string {
		group, kind, _ := strings.Cut(versioned, " ")
		return head + "- name: " + plugin + "\n  configuration:\n    apiVersion: " + group + "\n    kind: " + kind + "\n    " + text + "\n"
	}
	security := func(text string) string {
		return inline("PodSecurity", "pod-security.admission.config.k8s.io/v1 PodSecurityConfiguration", text)
	}
	limits := func(text string) string {
		return inline("EventRateLimit", "eventratelimit.admission.k8s.io/v1alpha1 Configuration", text)
	}
	tolerations := func(text string) string {
		return inline("PodTolerationRestriction", "podtolerationrestriction.admission.k8s.io/v1alpha1 Configuration", text)
	}
	hooks := func(text string) string {
		return inline("ValidatingAdmissionWebhook", "apiserver.config.k8s.io/v1 WebhookAdmissionConfiguration", text)
	}
	images := func(text string) string {
		return head + "- name: ImagePolicyWebhook\n  configuration:\n    imagePolicy:\n      kubeConfigFile: /nowhere\n      " + text + "\n"
	}
	for want, text := range map[string]string{
		`FILE:3: unknown field "plugin"`: "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugin: []\n",
		`FILE:1: apiVersion "v1", kind "Pod": must be apiserver.config.k8s.io/v1 AdmissionConfiguration`:         "apiVersion: v1\nkind: Pod\n",
		`FILE:1: apiVersion "", kind "": must be`:                                                                "plugins: []\n",
		`FILE:4: plugins[0].name: Unsupported value: "Odd"`:                                                      head + "- name: Odd\n",
		`FILE:5: plugins[1].name: Duplicate value: "PodSecurity"`:                                                head + "- name: PodSecurity\n- name: PodSecurity\n",
		`FILE:4: plugins[0].name: Invalid value: "LimitRanger": this plug-in has no settings`:                    head + "- {name: LimitRanger, path: x}\n",
		`FILE: plugins[0].path: open `:                                                                           head + "- {name: PodSecurity, path: nowhere.yaml}\n",
		`FILE:8: unknown field "default"`:                                                                        security("default: {}"),
		`FILE:8: defaults.enforce: Invalid value: "odd": must be one of privileged, baseline, restricted`:        security("defaults: {enforce: odd}"),
		`FILE:8: exemptions.namespaces[1]: Duplicate value: "a"`:                                                 security("exemptions: {namespaces: [a, a]}"),
		`FILE:8: exemptions.usernames[0]: Invalid value: "": username must not be empty`:                         security(`exemptions: {usernames: [""]}`),
		`FILE:6: apiVersion "apiserver.config.k8s.io/v1", kind "PodSecurityConfiguration": must be`:              inline("PodSecurity", "apiserver.config.k8s.io/v1 PodSecurityConfiguration", ""),
		`FILE:8: limits: Invalid value: null: must not be empty`:                                                 limits("limits:"),
		`FILE:9: limits[0].type: Unsupported value: "Pod"`:                                                       limits("limits:\n    - {type: Pod, qps: 1, burst: 1}"),
		`FILE:9: limits[0].qps: Invalid value: 0: must be positive`:                                              limits("limits:\n    - {type: User, qps: 0, burst: 1}"),
		`FILE:10: limits[1].burst: Invalid value: -1: must be positive`:                                          limits("limits:\n    - {type: User, qps: 1, burst: 1}\n    - {type: User, qps: 1, burst: -1}"),
		`FILE:9: limits[0].cacheSize: Invalid value: -2: must not be negative`:                                   limits("limits:\n    - {type: User, qps: 1, burst: 1, cacheSize: -2}"),
		`FILE:9: json: cannot unmarshal number 3000000000 into Go struct field Limit.limits.qps of type int32`:   limits("limits:\n    - {type: User, qps: 3000000000, burst: 1}"),
		`FILE:8: whitelist[0].operator: Unsupported value: "Like"`:                                               tolerations("whitelist: [{key: a, operator: Like}]"),
		`FILE:9: default[0].effect: Invalid value: "": effect must be 'NoExecute'`:                               tolerations("default:\n    - {key: a, operator: Exists, tolerationSeconds: 3}"),
		`FILE:8: kubeConfigFile: Invalid value: "a": must be an absolute file path`:                              hooks("kubeConfigFile: a"),
		`FILE:8: kubeConfigFile: Invalid value: "/nowhere": kubeconfig file /nowhere: stat /nowhere: no such`:    hooks("kubeConfigFile: /nowhere"),
		`FILE:8: staticManifestsDir: Forbidden: "/x" is configured but the ManifestBasedAdmissionControlConfig `: hooks("staticManifestsDir: /x"),
		`FILE:7: imagePolicy.kubeConfigFile: Invalid value: "/nowhere": kubeconfig file /nowhere`:                images("defaultAllow: true"),
		`FILE:8: imagePolicy.allowTTL: Invalid value: 1801: valid value is between 1s and 30m0s`:                 images("allowTTL: 1801"),
		`FILE:8: imagePolicy.denyTTL: Invalid value: -2: valid value is between 1s and 30m0s`:                    images("denyTTL: -2"),
		`FILE:8: imagePolicy.retryBackoff: Invalid value: 9223372036854775807: valid value is between`:           images("retryBackoff: 9223372036854775807"),
		`FILE:8: unknown field "imagePolicy.allow"`:                                                              images("allow: true"),
		`FILE:1: imagePolicy.kubeConfigFile: Required value`:                                                     "imagePolicy: {defaultAllow: true}\n",
		`FILE:2: podNodeSelectorPluginConfig.ns: Invalid value: "a b": invalid selector`:                         "podNodeSelectorPluginConfig:\n  ns: a b\n",
		`FILE:4: imagePolicy: Required value`:                                                                    head + "- {name: ImagePolicyWebhook, configuration: {}}\n",
	} {
		path := write(t, filepath.Join(t.TempDir(), "admission.yaml"), text)
		want = strings.ReplaceAll(want, "FILE", path)
		if _, err := configuration.Read(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got  %v\nwant %s in it", err, want)
		}
	}
	if _, err := configuration.Read("/nowhere"); err == nil {
		t.Error("a file that is not there is read")
	}
}
