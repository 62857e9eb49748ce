package runtime

import (
	"bufio"
	"errors"
	"slices"
	"strings"
	"testing"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// fakeArmor knows profiles, and loads the default one unless it cannot.
type fakeArmor struct {
	known  []string
	byself string
	fails  error
}

func (a fakeArmor) Loaded(name string) (bool, error) { return slices.Contains(a.known, name), a.fails }
func (a fakeArmor) Default() (string, error)         { return a.byself, a.fails }

func TestConfinement(t *testing.T) {
	field := func(kind runtimeapi.SecurityProfile_ProfileType, name string) *runtimeapi.LinuxContainerSecurityContext {
		return &runtimeapi.LinuxContainerSecurityContext{Apparmor: &runtimeapi.SecurityProfile{ProfileType: kind, LocalhostRef: name}}
	}
	old := func(profile string) *runtimeapi.LinuxContainerSecurityContext {
		//lint:ignore SA1019 the deprecated form is still sent
		return &runtimeapi.LinuxContainerSecurityContext{ApparmorProfile: profile}
	}
	privileged := field(runtimeapi.SecurityProfile_RuntimeDefault, "")
	privileged.Privileged = true
	const unconfined, byDefault, local = runtimeapi.SecurityProfile_Unconfined, runtimeapi.SecurityProfile_RuntimeDefault, runtimeapi.SecurityProfile_Localhost
	const words = "failed to generate apparmor spec opts: "
	has := fakeArmor{known: []string{"mine"}, byself: "floe-default"}
	for _, c := range []struct {
		name  string
		sc    *runtimeapi.LinuxContainerSecurityContext
		armor appArmor
		want  string // the profile, or what the error ends with
	}{
		{"nothing asked, no AppArmor", nil, nil, ""},
		{"default, no AppArmor", field(byDefault, ""), nil, ""},
		{"unconfined, no AppArmor", field(unconfined, ""), nil, ""},
		{"a profile, no AppArmor", field(local, "mine"), nil, words + "apparmor is not supported"},
		{"a profile in the old form, no AppArmor", old("localhost/mine"), nil, words + "apparmor is not supported"},
		{"nothing asked", nil, has, "floe-default"},
		{"default", field(byDefault, ""), has, "floe-default"},
		{"default in the old form", old("runtime/default"), has, "floe-default"},
		{"default, which nothing can load", field(byDefault, ""), fakeArmor{}, ""},
		{"default, which does not load", field(byDefault, ""), fakeArmor{fails: errors.New("parser says no")}, words + "parser says no"},
		{"default, privileged", privileged, has, ""},
		{"unconfined", field(unconfined, ""), has, ""},
		{"unconfined in the old form", old("unconfined"), has, ""},
		{"a profile", field(local, "mine"), has, "mine"},
		{"a profile with a prefix", field(local, "localhost/mine"), has, "mine"},
		{"a profile in the old form", old("localhost/mine"), has, "mine"},
		{"an unknown profile", field(local, "other"), has, words + "apparmor profile not found other"},
		{"a profile without a name", field(local, ""), has, words + words + "nil apparmor profile is not supported"},
		{"a name with the default", field(byDefault, "mine"), has, "apparmor config invalid LocalhostRef must only be set if ProfileType is Localhost"},
		{"nonsense", old("nonsense"), has, `invalid seccomp profile "nonsense"`},
	} {
		got, err := confinement(c.sc, c.armor)
		if err != nil {
			if got = err.Error(); strings.HasSuffix(got, c.want) && c.want != "" {
				continue
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestLoadedProfiles(t *testing.T) {
	const kernel = "docker-default (enforce)\nfloe (complain)\n"
	for name, want := range map[string]bool{"docker-default": true, "floe": true, "docker": false, "enforce": false} {
		if got, err := listed(bufio.NewScanner(strings.NewReader(kernel)), name); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestSELinuxOptions(t *testing.T) {
	for level, want := range map[string]string{
		"": "", "s0": "", "s0:c1,c5": "", "s0-s0:c0.c1023": "",
		"secret": `the format of 'level' "secret" is not correct`, "s0:c12345": `the format of 'level' "s0:c12345" is not correct`,
	} {
		err := checkSELinux(&runtimeapi.SELinuxOption{Level: level}, false)
		if (err == nil) != (want == "") || err != nil && !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", level, err, want)
		}
	}
	if err := checkSELinux(&runtimeapi.SELinuxOption{Type: "x"}, true); err == nil || !strings.Contains(err.Error(), "SELinux labels are not supported") {
		t.Errorf("on a host that enforces labels: %v", err)
	}
	if err := checkSELinux(nil, true); err != nil {
		t.Error(err)
	}
}
