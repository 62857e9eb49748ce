package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// newWorldOfDevices makes a world whose runtime finds this description of devices.
func newWorldOfDevices(t *testing.T, description string) *world {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "test.yaml"), []byte(description), 0o644); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.stop()
	w.cfg.CDISpecDirs = filepath.Join(dir, "none") + ":" + dir
	w.start()
	return w
}

// described has a device of each kind of edit; %[1]s is a directory, %[2]s floe-tool.
const described = `cdiVersion: 0.7.0
kind: floe.dev/test
containerEdits:
  env: [COMMON=yes]
devices:
- name: whole
  containerEdits:
    env: [DEVICE=whole, HOME=/given]
    deviceNodes:
    - {path: /dev/mine, hostPath: /dev/null}
    - {path: /dev/read, type: c, major: 1, minor: 11, permissions: r, fileMode: 292}
    mounts:
    - {hostPath: %[1]s, containerPath: /given, options: [rbind, rw]}
    additionalGids: [4711]
    hooks:
    - {hookName: createRuntime, path: %[2]s, args: [floe-tool, fill, "1", %[1]s/createRuntime]}
    - {hookName: prestart, path: %[2]s, args: [floe-tool, fill, "2", %[1]s/prestart]}
    - {hookName: createContainer, path: %[2]s, args: [floe-tool, fill, "3", %[1]s/createContainer]}
    - {hookName: startContainer, path: /floe-tool, args: [floe-tool, fill, "4", /given/startContainer]}
    - {hookName: poststart, path: %[2]s, args: [floe-tool, fill, "5", %[1]s/poststart]}
    - {hookName: poststop, path: %[2]s, args: [floe-tool, fill, "6", %[1]s/poststop]}
- name: failing
  containerEdits:
    hooks:
    - {hookName: createRuntime, path: %[2]s, args: [floe-tool, fail, --code, "3"]}
- name: absent
  containerEdits:
    deviceNodes: [{path: /dev/no-such-device}]
`

func TestDevicesByName(t *testing.T) {
	dir := t.TempDir()
	w := newWorldOfDevices(t, fmt.Sprintf(described, dir, filepath.Join(programs, "floe-tool")))
	pod := w.runPod("devices")
	config := containerConfig("main", "sleep", "forever")
	config.CDIDevices = []*runtimeapi.CDIDevice{{Name: "floe.dev/test=whole"}}
	id := w.run(pod, config)
	environ, err := w.rt.ExecSync(w.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/floe-tool", "print", "env"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"COMMON=yes\n", "DEVICE=whole\n", "HOME=/given\n"} {
		if !strings.Contains(string(environ.Stdout), want) {
			t.Errorf("environment %q lacks %q", environ.Stdout, want)
		}
	}
	if s := w.inside(id, "status"); !strings.Contains(s, "4711") {
		t.Errorf("the group is missing in\n%s", s)
	}
	for _, c := range []struct {
		args string
		fits bool
	}{
		{"fill 3 /dev/mine", true}, {"fill 3 /dev/read", false}, {"fill 7 /given/written", true},
	} {
		got, err := w.rt.ExecSync(w.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: strings.Fields("/floe-tool " + c.args)})
		if err != nil || (got.ExitCode == 0) != c.fits {
			t.Errorf("%s: %v, %v", c.args, got, err)
		}
	}
	if _, err := w.rt.RemoveContainer(w.ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int64{"createRuntime": 1, "prestart": 2, "createContainer": 3, "startContainer": 4, "poststart": 5, "poststop": 6, "written": 7} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() != size {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestDevicesByAnnotation(t *testing.T) {
	w := newWorldOfDevices(t, fmt.Sprintf(described, t.TempDir(), filepath.Join(programs, "floe-tool")))
	pod := w.runPod("annotated")
	for name, want := range map[string]string{
		"floe.dev/test=no-such": "CDI device injection failed: unresolvable CDI devices floe.dev/test=no-such",
		"nonsense":              `failed to parse CDI device annotations: invalid CDI device name "nonsense"`,
		"floe.dev/test=absent": `CDI device injection failed: failed to inject devices: failed to stat CDI host device "/dev/no-such-device": ` +
			"no such file or directory",
	} {
		config := containerConfig("main", "echo")
		config.Annotations = map[string]string{"cdi.k8s.io/vendor": name}
		_, err := w.rt.CreateContainer(w.ctx, &runtimeapi.CreateContainerRequest{PodSandboxId: pod, Config: config})
		if status.Code(err) != codes.InvalidArgument || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	config := containerConfig("main", "echo")
	config.Annotations = map[string]string{"cdi.k8s.io/vendor": "floe.dev/test=failing"}
	id := w.create(pod, config)
	if _, err := w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: id}); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("a hook that fails: %v", err)
	}
	if st := w.status(id); st.Reason != "StartError" {
		t.Errorf("a container whose hook failed: %v", st)
	}
}
