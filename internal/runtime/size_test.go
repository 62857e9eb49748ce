package runtime

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// maxShim is the budget of a shim with one container, in KiB.
const maxShim = 6 << 10

// TestShimIsSmall waits for the shim to give back what the start of a container took.
func TestShimIsSmall(t *testing.T) {
	w := newWorld(t)
	pod := w.runPod("small")
	w.run(pod, containerConfig("main", "sleep", "forever"))
	p, err := w.rt.findPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for {
		size, status := resident(t, p.client.Hello().PID)
		if size <= maxShim {
			t.Logf("the shim takes %d KiB", size)
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the shim takes %d KiB, at most %d are budgeted:\n%s", size, maxShim, status)
		}
	}
}

// resident returns the resident memory of a process in KiB, and all that the kernel says about it.
func resident(t *testing.T, pid int) (int, string) {
	t.Helper()
	status, err := os.ReadFile(procPath(pid, "status"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, _, _ := strings.Cut(rest, "kB")
	n, err := strconv.Atoi(strings.TrimSpace(kib))
	if err != nil {
		t.Fatalf("%v in\n%s", err, status)
	}
	return n, string(status)
}
