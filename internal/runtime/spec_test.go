package runtime

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestCommandLine(t *testing.T) {
	words := strings.Fields
	for _, c := range []struct{ entrypoint, cmd, command, args, want string }{
		{"e", "c", "", "", "e c"},
		{"e", "c", "", "a", "e a"},
		{"e", "c", "x", "", "x"},
		{"e", "c", "x", "a", "x a"},
		{"", "c", "", "", "c"},
		{"", "", "", "", ""},
	} {
		img := &v1.ConfigFile{Config: v1.Config{Entrypoint: words(c.entrypoint), Cmd: words(c.cmd)}}
		got := commandLine(&runtimeapi.ContainerConfig{Command: words(c.command), Args: words(c.args)}, img)
		if strings.Join(got, " ") != c.want {
			t.Errorf("image %q %q, request %q %q: got %q, want %q", c.entrypoint, c.cmd, c.command, c.args, got, c.want)
		}
	}
}

func TestEnvironmentOverrides(t *testing.T) {
	c := &container{pod: &pod{config: &runtimeapi.PodSandboxConfig{Hostname: "h"}}, config: &runtimeapi.ContainerConfig{
		Envs: []*runtimeapi.KeyValue{{Key: "B", Value: []byte("request")}, {Key: "C", Value: []byte("a=b")}},
	}}
	got := environment(c, &v1.ConfigFile{Config: v1.Config{Env: []string{"A=image", "B=image", "PATH=/image"}}})
	want := []string{"PATH=/image", "A=image", "B=request", "HOSTNAME=h", "C=a=b"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCapabilities(t *testing.T) {
	h := hostFacts{Caps: 1<<41 - 1 - 1<<capSysResource} // as on a machine without CAP_SYS_RESOURCE
	for _, c := range []struct {
		name, add, drop string
		privileged      bool
		has, lacks      string
	}{
		{"default", "", "", false, "CAP_CHOWN CAP_NET_RAW", "CAP_SYS_ADMIN CAP_NET_ADMIN"},
		{"add", "NET_ADMIN cap_sys_time", "", false, "CAP_NET_ADMIN CAP_SYS_TIME CAP_CHOWN", "CAP_SYS_ADMIN"},
		{"drop", "", "CHOWN", false, "CAP_KILL", "CAP_CHOWN"},
		{"drop all, add one", "NET_BIND_SERVICE", "ALL", false, "CAP_NET_BIND_SERVICE", "CAP_CHOWN"},
		{"add all, drop one", "ALL", "SYS_ADMIN", false, "CAP_NET_ADMIN", "CAP_SYS_ADMIN CAP_SYS_RESOURCE"},
		{"privileged", "", "ALL", true, "CAP_SYS_ADMIN", "CAP_SYS_RESOURCE"},
	} {
		got, err := h.containerCapabilities(&runtimeapi.LinuxContainerSecurityContext{Privileged: c.privileged, Capabilities: &runtimeapi.Capability{
			AddCapabilities: strings.Fields(c.add), DropCapabilities: strings.Fields(c.drop),
		}})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, set := range [][]string{got.Bounding, got.Effective, got.Permitted} {
			for _, cap := range strings.Fields(c.has) {
				if !slices.Contains(set, cap) {
					t.Errorf("%s: lacks %s: %v", c.name, cap, set)
				}
			}
			for _, cap := range strings.Fields(c.lacks) {
				if slices.Contains(set, cap) {
					t.Errorf("%s: has %s: %v", c.name, cap, set)
				}
			}
		}
		if len(got.Ambient)+len(got.Inheritable) > 0 {
			t.Errorf("%s: ambient %v, inheritable %v", c.name, got.Ambient, got.Inheritable)
		}
	}
}

func TestStopSignal(t *testing.T) {
	for _, c := range []struct {
		asked runtimeapi.Signal
		image string
		want  int
	}{
		{0, "", 15}, {0, "SIGQUIT", 3}, {0, "quit", 3}, {0, "9", 9}, {0, "SIGRTMIN+3", 37}, {0, "RTMAX", 64},
		{runtimeapi.Signal_SIGUSR1, "SIGQUIT", 10}, {runtimeapi.Signal_SIGRTMINPLUS3, "", 37}, {runtimeapi.Signal_SIGRTMAXMINUS1, "", 63},
	} {
		got, err := stopSignal(c.asked, c.image)
		if err != nil || got != c.want {
			t.Errorf("request %s, image %q: %d, %v, want %d", c.asked, c.image, got, err, c.want)
		}
	}
	for _, bad := range []string{"SIGNONE", "0", "65", "RTMIN+99", "-1"} {
		if got, err := stopSignal(0, bad); err == nil {
			t.Errorf("%q is signal %d", bad, got)
		}
	}
	// What is reported is what was asked, for all that CRI can name (some names mean the same signal).
	for name, n := range runtimeapi.Signal_value {
		sig, err := stopSignal(runtimeapi.Signal(n), "SIGTERM")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again, err := stopSignal(criSignal(sig), ""); err != nil || again != sig {
			t.Errorf("%s is %d, reported as %s (%v)", name, sig, criSignal(sig), err)
		}
	}
}

func TestUsers(t *testing.T) {
	passwd := [][]string{{"root", "x", "0", "0"}, {"web", "x", "100", "101"}}
	groups := [][]string{{"web", "x", "101", ""}, {"extra", "x", "200", "web,root"}}
	for _, c := range []struct {
		user     string
		uid, gid uint32
		name     string
		groups   []uint32
	}{{"", 0, 0, "root", []uint32{200}}, {"web", 100, 101, "web", []uint32{200}}, {"100", 100, 101, "web", []uint32{200}}, {"7", 7, 0, "", nil}} {
		id, name, err := pickUser(passwd, c.user)
		if err != nil || id.UID != c.uid || id.GID != c.gid || name != c.name || !slices.Equal(memberships(groups, name), c.groups) {
			t.Errorf("%q: %+v %q %v, %v", c.user, id, name, memberships(groups, name), err)
		}
	}
	if _, _, err := pickUser(passwd, "nobody-here"); err == nil {
		t.Error("an unknown name is somebody")
	}
	if gid, err := pickGroup(groups, "extra"); err != nil || gid != 200 {
		t.Errorf("group extra: %d, %v", gid, err)
	}
}

func TestSeccompRules(t *testing.T) {
	allows := func(p *specs.LinuxSeccomp, call string) bool {
		return slices.ContainsFunc(p.Syscalls, func(s specs.LinuxSyscall) bool {
			return s.Action == specs.ActAllow && slices.Contains(s.Names, call)
		})
	}
	plain, admin := defaultSeccomp(nil), defaultSeccomp([]string{"CAP_SYS_ADMIN"})
	for _, c := range []struct {
		call         string
		plain, admin bool
	}{
		{"read", true, true}, {"clone", true, true}, {"mount", false, true}, {"clone3", false, true}, {"bpf", false, true},
		{"kexec_load", false, false}, {"keyctl", false, false}, {"ptrace", false, false},
	} {
		if allows(plain, c.call) != c.plain || allows(admin, c.call) != c.admin {
			t.Errorf("%s: allowed %v, with CAP_SYS_ADMIN %v", c.call, allows(plain, c.call), allows(admin, c.call))
		}
	}
	if plain.DefaultAction != specs.ActErrno || *plain.DefaultErrnoRet != uint(unix.EPERM) {
		t.Error("what is not allowed does not fail with EPERM")
	}
}
