package runtime

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// crashSteps are the steps of a pod's whole life at which something is killed, in their order; a test sees that none is missing.
var crashSteps = [...]string{
	"run: directories", "run: record", "run: shim", "run: namespaces", "run: attached", "run: ready",
	"create: pinned", "create: directories", "create: record", "start: begun", "start: answered", "exec: running",
	"stop container: signalled", "remove container: unmounted", "remove container: layer",
	"stop: killed", "stop: shim ended", "stop: detached", "stop: given back", "remove: containers",
}

// Words that lead a crashing child.
const (
	crashStep = "FLOE_TEST_CRASH_STEP"
	crashDir  = "FLOE_TEST_CRASH_DIR"
)

// life takes a pod through all of it: made, run, used, stopped, removed, with a second container that is there to the end. Errors end it early.
func (w *world) life() error {
	resp, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: w.podConfig("life")})
	if err != nil {
		return err
	}
	for _, name := range []string{"first", "last"} {
		created, err := w.rt.CreateContainer(w.ctx, &runtimeapi.CreateContainerRequest{
			PodSandboxId: resp.PodSandboxId, Config: containerConfig(name, "sleep", "forever"),
		})
		if err != nil {
			return err
		}
		id := created.ContainerId
		if _, err := w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
			return err
		}
		if name == "last" {
			break
		}
		if _, err := w.rt.ExecSync(w.ctx, &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/floe-tool", "echo"}}); err != nil {
			return err
		}
		if _, err := w.rt.RemoveContainer(w.ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id}); err != nil {
			return err
		}
	}
	_, err = w.rt.RemovePodSandbox(w.ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: resp.PodSandboxId})
	return err
}

// TestStepsAreComplete sees that a life passes the steps that are named, and no others.
func TestStepsAreComplete(t *testing.T) {
	var mu sync.Mutex
	passed := map[string]bool{}
	w := newWorldWith(t, func(step string) {
		mu.Lock()
		defer mu.Unlock()
		passed[step] = true
	})
	if err := w.life(); err != nil {
		t.Fatal(err)
	}
	for _, step := range crashSteps {
		if !passed[step] {
			t.Errorf("no life passes %q", step)
		}
		delete(passed, step)
	}
	if len(passed) > 0 {
		t.Errorf("steps that nothing is killed at: %v", passed)
	}
}

// TestRuntimeKilledAtEveryStep kills a process with a runtime in it at each step. The next runtime must find the truth: what it shows as
// running runs, all can be removed, and nothing is left (newWorld checks that).
func TestRuntimeKilledAtEveryStep(t *testing.T) {
	for _, step := range crashSteps {
		t.Run(step, func(t *testing.T) {
			w := newWorldWith(t, nil)
			w.stop()
			child := exec.CommandContext(w.ctx, "/proc/self/exe", "-test.run=^TestCrashingChild$")
			child.Env = append(os.Environ(), crashStep+"="+step, crashDir+"="+filepath.Dir(w.cfg.State)+" "+w.cfg.CgroupParent)
			out, err := child.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
				t.Fatalf("the child was not killed: %v\n%s", err, out)
			}
			w.start()
			w.checkTruth()
		})
	}
}

// TestCrashingChild is the process that TestRuntimeKilledAtEveryStep kills; by itself it does a life and is not killed.
func TestCrashingChild(t *testing.T) {
	step := os.Getenv(crashStep)
	if step == "" {
		if err := newWorldWith(t, nil).life(); err != nil {
			t.Error(err)
		}
		return
	}
	dir, group, _ := strings.Cut(os.Getenv(crashDir), " ")
	w := worldIn(t, dir, func(now string) {
		if now == step {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			select {} // until it arrives
		}
	})
	w.cfg.CgroupParent = group
	w.start()
	t.Fatalf("%q was not passed: %v", step, w.life())
}

// TestShimKilledAtEveryStep kills the pod's shim at each step. The operation may fail; what is shown must be true, and nothing be left.
func TestShimKilledAtEveryStep(t *testing.T) {
	for _, step := range crashSteps {
		t.Run(step, func(t *testing.T) {
			var w *world
			w = newWorldWith(t, func(now string) {
				if now == step {
					w.killShims()
				}
			})
			err := w.life()
			t.Logf("killed at %q: %v", step, err)
			w.checkTruth()
		})
	}
}

// killShims kills every shim of this world, found by its cgroup.
func (w *world) killShims() {
	shims, _ := filepath.Glob(filepath.Join(w.cfg.State, "*"))
	for _, dir := range shims {
		pids, err := w.rt.cgroups.Processes(filepath.Join(w.cfg.CgroupParent, filepath.Base(dir), "shim"))
		if err != nil {
			w.t.Error(err)
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// checkTruth compares what the runtime shows with what there is.
func (w *world) checkTruth() {
	w.t.Helper()
	list, err := w.rt.ListContainers(w.ctx, &runtimeapi.ListContainersRequest{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range list.Containers {
		full, err := w.rt.findContainer(context.Background(), c.Id)
		if err != nil {
			w.t.Error(err)
			continue
		}
		pids, err := w.rt.cgroups.Processes(full.pod.cgroup + "/" + c.Id)
		if err != nil {
			w.t.Error(err)
		}
		shown := w.status(c.Id).State // after looking: one that is ending is shown as ended no later than its processes are
		switch {
		case shown == runtimeapi.ContainerState_CONTAINER_RUNNING && len(pids) == 0 && w.status(c.Id).State == shown:
			w.exited(c.Id) // its end is being written down
		case shown != runtimeapi.ContainerState_CONTAINER_RUNNING && len(pids) > 0:
			if left, err := w.rt.cgroups.Processes(full.pod.cgroup + "/" + c.Id); err != nil || len(left) > 0 {
				w.t.Errorf("container %s is shown as %s and has processes %v", c.Metadata.Name, shown, left)
			}
		}
	}
}
