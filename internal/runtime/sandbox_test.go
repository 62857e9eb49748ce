package runtime

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/pidfd"
)

func (w *world) podStatus(id string) *runtimeapi.PodSandboxStatusResponse {
	w.t.Helper()
	resp, err := w.rt.PodSandboxStatus(w.ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

func TestSandboxLife(t *testing.T) {
	w := newWorld(t)
	events := w.rt.Subscribe()
	defer events.Close()
	pod := w.runPod("life")
	if s := w.podStatus(pod).Status; s.State != runtimeapi.PodSandboxState_SANDBOX_READY || s.Network.Ip != "10.9.8.2" {
		t.Errorf("status %v", s)
	}
	_, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: w.podConfig("life")})
	if status.Code(err) != codes.AlreadyExists {
		t.Errorf("the same sandbox again: %v", err)
	}
	id := w.run(pod, containerConfig("main", "sleep", "forever"))
	for range 2 {
		if _, err := w.rt.StopPodSandbox(w.ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: pod}); err != nil {
			t.Fatal(err)
		}
	}
	if s := w.status(id); s.ExitCode != 137 {
		t.Errorf("status %v", s)
	}
	if s := w.podStatus(pod).Status; s.State != runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
		t.Errorf("status %v", s)
	}
	for range 2 {
		if _, err := w.rt.RemovePodSandbox(w.ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: pod}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for range 8 {
		e, err := events.Next(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		kind := strings.TrimSuffix(strings.TrimPrefix(e.ContainerEventType.String(), "CONTAINER_"), "_EVENT")
		got = append(got, map[string]string{pod: "pod", id: "main"}[e.ContainerId]+" "+kind)
	}
	want := []string{"pod CREATED", "pod STARTED", "main CREATED", "main STARTED", "main STOPPED", "pod STOPPED", "main DELETED", "pod DELETED"}
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

func TestNetworkFailureLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.network.fail = errors.New("no addresses left")
	_, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: w.podConfig("unlucky")})
	if err == nil || !strings.Contains(err.Error(), "no addresses left") {
		t.Errorf("error %v", err)
	}
	w.network.fail = nil
	w.runPod("unlucky") // the name is free again
}

func TestSysctls(t *testing.T) {
	w := newWorld(t)
	config := w.podConfig("sysctl")
	config.Linux.Sysctls = map[string]string{"net.ipv4.ip_local_port_range": "2000 3000", "kernel.msgmax": "9999"}
	if _, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: config}); err != nil {
		t.Fatal(err)
	}
	config = w.podConfig("badsysctl")
	config.Linux.Sysctls = map[string]string{"vm.swappiness": "1"}
	if _, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: config}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a sysctl of the host: %v", err)
	}
}

func TestRestartFindsEverything(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("restart")
	running := w.run(pod, containerConfig("running", "serve"))
	ending := w.run(pod, containerConfig("ending", "serve", "--port", "8081"))
	created := w.create(pod, containerConfig("created", "echo", "late"))
	ended := w.run(pod, containerConfig("ended", "fail", "--code", "5"))
	w.exited(ended)
	w.serving(ending)
	pids := map[string]int{}
	for _, id := range []string{running, ending} {
		c, err := w.rt.findContainer(w.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		pids[id] = c.state.PID
	}
	startedAt := w.status(running).StartedAt
	w.stop()
	endBehindBack(t, pids[ending])
	w.start()

	if s := w.podStatus(pod).Status; s.State != runtimeapi.PodSandboxState_SANDBOX_READY || s.Network.Ip != "10.9.8.2" {
		t.Errorf("sandbox: %v", s)
	}
	if s := w.status(running); s.State != runtimeapi.ContainerState_CONTAINER_RUNNING || s.StartedAt != startedAt {
		t.Errorf("running: %v", s)
	}
	c, err := w.rt.findContainer(w.ctx, running)
	if err != nil || c.state.PID != pids[running] {
		t.Errorf("running has process %d instead of %d (%v)", c.state.PID, pids[running], err)
	}
	if s := w.exited(ending); s.ExitCode != 137 {
		t.Errorf("ending: %v", s)
	}
	if s := w.status(ended); s.ExitCode != 5 || s.Reason != "Error" {
		t.Errorf("ended: %v", s)
	}
	if _, err := w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: created}); err != nil {
		t.Error(err)
	}
	if s := w.exited(created); s.ExitCode != 0 || w.logs(created) != "stdout F late\n" {
		t.Errorf("created: %v, log %q", s, w.logs(created))
	}
}

// endBehindBack ends a process while no runtime looks, as when something ends while floe is down.
func endBehindBack(t *testing.T, pid int) {
	t.Helper()
	p, err := pidfd.Open(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestDeadShimTouchesNoOtherPod(t *testing.T) {
	w := newWorld(t)
	doomed, other := w.runPod("doomed"), w.runPod("other")
	lost := w.run(doomed, containerConfig("lost", "sleep", "forever"))
	before := w.run(doomed, containerConfig("before", "fail", "--code", "4"))
	w.exited(before)
	kept := w.run(other, containerConfig("kept", "sleep", "forever"))
	kill := func(pod string) {
		p, err := w.rt.findPod(pod)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Kill(p.client.Hello().PID, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	kill(doomed)
	if s := w.exited(lost); s.ExitCode != 255 || s.Reason != "Unknown" {
		t.Errorf("lost: %v", s)
	}
	if s := w.status(before); s.ExitCode != 4 {
		t.Errorf("before: %v", s)
	}
	if s := w.podStatus(doomed).Status; s.State != runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
		p, _ := w.rt.findPod(doomed)
		<-p.gone
		if s := w.podStatus(doomed).Status; s.State != runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
			t.Errorf("doomed: %v", s)
		}
	}
	if s := w.status(kept); s.State != runtimeapi.ContainerState_CONTAINER_RUNNING {
		t.Errorf("kept: %v", s)
	}

	// The same while no floe runs.
	p, err := w.rt.findPod(other)
	if err != nil {
		t.Fatal(err)
	}
	shim := p.client.Hello().PID
	w.stop()
	endBehindBack(t, shim)
	w.start()
	if s := w.status(kept); s.ExitCode != 255 || s.Reason != "Unknown" {
		t.Errorf("kept, found dead: %v", s)
	}
	if s := w.status(lost); s.ExitCode != 255 || s.Reason != "Unknown" {
		t.Errorf("lost, found again: %v", s)
	}
}

func TestHalfMadeIsRemoved(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("half")
	id := w.create(pod, containerConfig("main", "echo"))
	p, err := w.rt.findPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.rt.findContainer(w.ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	if err := os.Remove(c.dir + "/" + containerRecordName); err != nil {
		t.Fatal(err)
	}
	w.start()
	if _, err := w.rt.findContainer(w.ctx, id); !isNotFound(err) {
		t.Errorf("a container without record: %v", err)
	}
	w.stop()
	if err := os.WriteFile(p.dir+"/"+podRecordName, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	if _, err := w.rt.findPod(pod); !isNotFound(err) {
		t.Errorf("a sandbox without record: %v", err)
	}
}

func TestManyPodsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.runAtOnce(20)
	list, err := w.rt.ListContainers(w.ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{
		State: &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_RUNNING},
	}})
	if err != nil || len(list.Containers) != 20 {
		t.Errorf("%d containers run (%v)", len(list.GetContainers()), err)
	}
}

// runAtOnce runs count pods of one container each, all at the same time.
func (w *world) runAtOnce(count int) {
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() {
			config := w.podConfig("many-" + strconv.Itoa(i))
			resp, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: config})
			if err != nil {
				w.t.Error(err)
				return
			}
			created, err := w.rt.CreateContainer(w.ctx, &runtimeapi.CreateContainerRequest{
				PodSandboxId: resp.PodSandboxId, Config: containerConfig("main", "sleep", "forever"),
			})
			if err != nil {
				w.t.Error(err)
				return
			}
			if _, err := w.rt.StartContainer(w.ctx, &runtimeapi.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
				w.t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestNetworkThatIsNotReady: Status says why, and a sandbox that cannot be attached leaves nothing.
func TestNetworkThatIsNotReady(t *testing.T) {
	w := newWorld(t)
	w.network.mu.Lock()
	w.network.fail = errors.New("no network configuration")
	w.network.mu.Unlock()
	resp, err := w.rt.Status(w.ctx, &runtimeapi.StatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range resp.Status.Conditions {
		ready := c.Type == runtimeapi.RuntimeReady
		if c.Status != ready || (!ready && c.Message != "Network plugin returns error: no network configuration") {
			t.Errorf("condition %v", c)
		}
	}
	if _, err := w.rt.RunPodSandbox(w.ctx, &runtimeapi.RunPodSandboxRequest{Config: w.podConfig("lost")}); err == nil {
		t.Error("a sandbox without its network was run")
	}
}
