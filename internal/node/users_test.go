package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestRangesOfIDs(t *testing.T) {
	dir := t.TempDir()
	give := func(r *idRanges, uid types.UID) string {
		t.Helper()
		u, err := r.of(uid)
		if err != nil {
			t.Fatal(err)
		}
		if u.Mode != runtimeapi.NamespaceMode_POD || u.Uids[0].ContainerId != 0 || u.Uids[0].Length != idsPerPod || u.Gids[0].HostId != u.Uids[0].HostId {
			t.Errorf("%s has %v", uid, u)
		}
		return fmt.Sprint(u.Uids[0].HostId / idsPerPod)
	}
	r := &idRanges{dir: dir}
	if got := give(r, "a") + give(r, "b") + give(r, "c") + give(r, "a"); got != "1231" {
		t.Errorf("ranges %s, want 1231", got)
	}
	r = &idRanges{dir: dir} // after a restart
	if got := give(r, "b") + give(r, "d"); got != "24" {
		t.Errorf("ranges %s after a restart, want 24", got)
	}
	if err := os.RemoveAll(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	if got := give(r, "e") + give(r, "f"); got != "15" {
		t.Errorf("ranges %s after a pod has ended, want 15", got)
	}
}

func TestWrongMappings(t *testing.T) {
	const right = `[{"hostId":131072,"containerId":0,"length":65536}]`
	for content, want := range map[string]string{
		`{"uidMappings":` + right + `,"gidMappings":` + right + `}`: "",
		`nonsense`: "invalid user namespace mappings file",
		`{"uidMappings":` + right + `,"gidMappings":[]}`:                                                       "GID and UID mapping should be identical",
		strings.ReplaceAll(`{"uidMappings":X,"gidMappings":X}`, "X", strings.Replace(right, "131072", "7", 1)): "wrong user namespace offset specified 7",
		strings.ReplaceAll(`{"uidMappings":X,"gidMappings":X}`, "X", strings.Replace(right, "131072", "0", 1)): "wrong user namespace offset specified 0",
		strings.ReplaceAll(`{"uidMappings":X,"gidMappings":X}`, "X", strings.Replace(right, "65536", "9", 1)):  "wrong user namespace length 9",
		strings.ReplaceAll(`{"uidMappings":X,"gidMappings":X}`, "X", strings.Replace(right, ":0,", ":1,", 1)):  "UID 0 must be mapped",
	} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "old"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "old", usersName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		u, err := (&idRanges{dir: dir}).of("new")
		if want == "" && (err != nil || u.Uids[0].HostId != idsPerPod) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, %v, want %q", content, u, err, want)
		}
	}
}

func TestUsersOfAPod(t *testing.T) {
	b := newBed(t)
	a := b.agent(b.cluster)
	for _, handler := range []string{"plain", "other"} {
		class := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: handler + "-class"}, Handler: handler}
		if _, err := b.cluster.Create(context.Background(), nodev1.SchemeGroupVersion.WithResource("runtimeclasses"), class, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	own, host, plain, absent := false, true, "plain-class", "absent"
	for _, c := range []struct {
		users *bool
		class *string
		want  string
	}{
		{nil, nil, "NODE"}, {&host, &plain, "NODE"}, {&own, nil, "POD"},
		{&own, &plain, "can't set `spec.hostUsers: false`, RuntimeClass handler \"plain\" does not support user namespaces"},
		{&own, &absent, `runtimeclasses.node.k8s.io "absent" not found`},
	} {
		pod := plainPod()
		pod.Spec.HostUsers, pod.Spec.RuntimeClassName = c.users, c.class
		config, err := a.sandboxConfig(context.Background(), pod, 0)
		got := config.GetLinux().GetSecurityContext().GetNamespaceOptions().GetUsernsOptions().GetMode().String()
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestPodWithUsersAndHandler(t *testing.T) {
	b := newBed(t)
	class := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "quick"}, Handler: "plain"}
	if _, err := b.cluster.Create(context.Background(), nodev1.SchemeGroupVersion.WithResource("runtimeclasses"), class, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	name := class.Name
	b.createPodWith(func(s *corev1.PodSpec) { s.RuntimeClassName = &name })
	b.start()
	b.until("the pod runs", isRunning)
	b.runtime.mu.Lock()
	defer b.runtime.mu.Unlock()
	if n := len(b.runtime.asked); n != 1 || b.runtime.asked[0].RuntimeHandler != "plain" {
		t.Errorf("the runtime was asked %d times: %v", n, b.runtime.asked)
	}
}

func TestMappedVolumes(t *testing.T) {
	a, _, _ := plainAgent(t)
	own := false
	pod := plainPod()
	pod.Spec.HostUsers = &own
	pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
	config, err := a.containerConfig(context.Background(), input{pod: pod}, &pod.Spec.Containers[0], 0, &runtimeapi.Image{Id: "i"})
	if err != nil {
		t.Fatal(err)
	}
	users := config.Linux.SecurityContext.NamespaceOptions.UsernsOptions
	if len(config.Mounts) != 2 || users.GetMode() != runtimeapi.NamespaceMode_POD {
		t.Fatalf("%d mounts, user namespace %v", len(config.Mounts), users)
	}
	for _, m := range config.Mounts {
		if len(m.UidMappings) != 1 || m.UidMappings[0].HostId != users.Uids[0].HostId || len(m.GidMappings) != 1 {
			t.Errorf("mount %s is mapped as %v, %v", m.ContainerPath, m.UidMappings, m.GidMappings)
		}
	}
}

func TestAppArmorOfAPod(t *testing.T) {
	name := "mine"
	local := &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeLocalhost, LocalhostProfile: &name}
	byDefault, unconfined := &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeRuntimeDefault}, &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
	const refusal = "Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host"
	for _, c := range []struct {
		name      string
		pod, own  *corev1.AppArmorProfile
		enabled   bool
		want, cri string
	}{
		{"nothing", nil, nil, false, "", "nil"},
		{"default of a host without", byDefault, nil, false, "", "RuntimeDefault"},
		{"unconfined on a host without", nil, unconfined, false, "", "Unconfined"},
		{"a profile on a host without", local, nil, false, refusal, "Localhost"},
		{"the container's wins", local, unconfined, false, "", "Unconfined"},
		{"a container's on a host without", unconfined, local, false, refusal, "Localhost"},
		{"a profile", local, nil, true, "", "Localhost"},
	} {
		pod := plainPod()
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{AppArmorProfile: c.pod}
		pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{AppArmorProfile: c.own}
		p := decide(input{pod: pod, appArmor: c.enabled, hostIPs: []string{"192.0.2.1"}})
		got := ""
		if p.status.Reason == "AppArmor" && p.status.Phase == corev1.PodFailed {
			got = p.status.Message
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		security, err := securityContext(pod, &pod.Spec.Containers[0], &runtimeapi.Image{})
		if err != nil {
			t.Fatal(err)
		}
		kind := "nil"
		if security.Apparmor != nil {
			kind = security.Apparmor.ProfileType.String()
		}
		if kind != c.cri {
			t.Errorf("%s: the runtime is asked for %s, want %s", c.name, kind, c.cri)
		}
	}
}
