package configuration_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floe-k8s/floe/internal/admission/configuration"
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
`)
	got, err := configuration.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	want := configuration.Default()
	want.PodSecurity.Default.Enforce.Level = "baseline"
	want.PodSecurity.Default.Warn.Version = got.PodSecurity.Default.Warn.Version
	want.PodSecurity.Namespaces, want.PodSecurity.Users = []string{"kube-system"}, []string{"me"}
	want.Limited = []resourcequota.Limited{{Resource: "persistentvolumeclaims", Contains: []string{"gold.storageclass.storage.k8s.io/requests.storage"}}}
	if diff := cmp.Diff(want.Limited, got.Limited); diff != "" {
		t.Error(diff)
	}
	if p := got.PodSecurity; p.Default.Enforce != want.PodSecurity.Default.Enforce || p.Default.Warn.String() != "privileged:v1.30" ||
		!cmp.Equal(p.Namespaces, want.PodSecurity.Namespaces) || !cmp.Equal(p.Users, want.PodSecurity.Users) {
		t.Errorf("got %+v", p)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	security := func(text string) string {
		return head + "- name: PodSecurity\n  configuration: {apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, " + text + "}\n"
	}
	for want, text := range map[string]string{
		`: unknown field "plugin"`:                                                                "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugin: []\n",
		`apiVersion and kind are "v1" and "Pod"`:                                                  "apiVersion: v1\nkind: Pod\n",
		`plugins[0] (Odd): floe reads no settings`:                                                head + "- name: Odd\n",
		`plugins[0].path: open `:                                                                  head + "- {name: PodSecurity, path: nowhere.yaml}\n",
		`plugins[0] (PodSecurity).configuration: unknown field "default"`:                         security("default: {}"),
		`defaults.enforce: Invalid value: "odd": must be one of privileged, baseline, restricted`: security("defaults: {enforce: odd}"),
		`exemptions.namespaces[1]: Duplicate value: "a"`:                                          security("exemptions: {namespaces: [a, a]}"),
		`exemptions.usernames[0]: Invalid value: "": username must not be empty`:                  security(`exemptions: {usernames: [""]}`),
	} {
		path := write(t, filepath.Join(t.TempDir(), "admission.yaml"), text)
		if _, err := configuration.Read(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want %s in it and the file", err, want)
		}
	}
	if _, err := configuration.Read("/nowhere"); err == nil {
		t.Error("a file that is not there is read")
	}
}
