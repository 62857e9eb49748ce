package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestKeptFilterIsTheSame starts a container that compiles its seccomp filter and one that is given it, and compares what the kernel has.
func TestKeptFilterIsTheSame(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("filter")
	compiled := w.run(pod, containerConfig("compiled", "sleep", "forever"))
	var kept []string
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(kept) == 0 {
		select {
		case <-tick.C:
		case <-w.ctx.Done():
			t.Fatal("no filter was kept")
		}
		all, err := filepath.Glob(filepath.Join(w.rt.filters(), "*"))
		if err != nil {
			t.Fatal(err)
		}
		kept = slices.DeleteFunc(all, func(path string) bool { return filepath.Ext(path) == ".new" })
	}
	p, err := w.rt.findPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	// libcontainer puts something before every filter, compiled or given: for unknown calls, in an order of architectures that is by chance.
	one, same := w.filterOf(compiled), false
	for i := 0; i < 40 && !same; i++ {
		given := w.run(pod, containerConfig("given-"+strconv.Itoa(i), "sleep", "forever"))
		if target, err := os.Readlink(filepath.Join(p.containers[given].dir, "filter")); err != nil || target != kept[0] {
			t.Fatalf("a container was given %q, %v", target, err)
		}
		two := w.filterOf(given)
		if len(one) < 100 || len(one) != len(two) {
			t.Fatalf("filters of %d and %d instructions", len(one), len(two))
		}
		same = slices.Equal(one, two)
		if _, err := w.rt.RemoveContainer(w.ctx, &runtimeapi.RemoveContainerRequest{ContainerId: given}); err != nil {
			t.Fatal(err)
		}
	}
	if !same {
		t.Error("the filter that is given is never the one that is compiled")
	}
	// Another profile has another filter.
	config := containerConfig("other", "sleep", "forever")
	config.Linux.SecurityContext.Capabilities = &runtimeapi.Capability{AddCapabilities: []string{"SYS_TIME"}}
	if other := w.filterOf(w.run(pod, config)); len(one) == len(other) {
		t.Error("a container with one more capability has the same filter")
	}
}

// filterOf reads the seccomp filter of a container's first process from the kernel.
func (w *world) filterOf(id string) []unix.SockFilter {
	w.t.Helper()
	c, err := w.rt.findContainer(w.ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	goruntime.LockOSThread() // a traced process answers to one thread
	defer goruntime.UnlockOSThread()
	pid := c.state.PID
	if err := unix.PtraceAttach(pid); err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		if err := unix.PtraceDetach(pid); err != nil {
			w.t.Error(err)
		}
	}()
	if _, err := unix.Wait4(pid, nil, unix.WALL, nil); err != nil {
		w.t.Fatal(err)
	}
	filter := make([]unix.SockFilter, 4096)
	n, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SECCOMP_GET_FILTER, uintptr(pid), 0, uintptr(unsafe.Pointer(&filter[0])), 0, 0)
	if errno != 0 {
		w.t.Fatal(fmt.Errorf("filter of process %d: %w", pid, errno))
	}
	return filter[:n]
}
