package floetest

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// traces are what a control plane could leave behind: goroutines that run code of floe or of its store, or a connection; open files; directories.
type traces struct {
	goroutines map[string]int // by what they run
	files      int
	folders    []string
}

func look(t *testing.T) traces {
	t.Helper()
	found := traces{goroutines: map[string]int{}}
	stacks := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if _, made, ok := strings.Cut(stack, "created by "); ok && !strings.Contains(stack, "testing.(*") {
			by, _, _ := strings.Cut(made, " in goroutine")
			found.goroutines[by]++
		}
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	found.files = len(open)
	for _, parent := range []string{"/dev/shm", os.TempDir()} {
		list, err := filepath.Glob(filepath.Join(parent, "floetest-*"))
		if err != nil {
			t.Fatal(err)
		}
		found.folders = append(found.folders, list...)
	}
	return found
}

// more is what there is beyond what there was.
func (now traces) more(before traces) (left []string) {
	for by, n := range now.goroutines {
		if n > before.goroutines[by] {
			left = append(left, by)
		}
	}
	if now.files > before.files {
		left = append(left, "open files")
	}
	if len(now.folders) > len(before.folders) {
		left = append(left, strings.Join(now.folders, " "))
	}
	return left
}

// TestNothingIsLeft starts all that there is, uses it, ends it, and looks for what it left. It runs beside no other test of this package.
func TestNothingIsLeft(t *testing.T) {
	use := func() string {
		c := Start(t, Controllers("*"), Scheduler(), Nodes(2))
		if _, err := c.Client().CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		watch, err := c.Client().CoreV1().Pods("").Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Stop()
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
		return c.Config().Host
	}
	use() // what the process makes once, for all of them, stays
	before := look(t)
	host := use()
	at, err := url.Parse(host)
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := net.DialTimeout("tcp", at.Host, time.Second); err == nil {
		conn.Close()
		t.Errorf("somebody still listens at %s", at.Host)
	}
	var left []string
	// The client's own goroutines see the end of their connections a little later.
	err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		left = look(t).more(before)
		return len(left) == 0, nil
	})
	if err != nil {
		t.Errorf("a control plane that has ended left behind: %s", strings.Join(left, ", "))
	}
}

// TestAFailedStartLeavesNothing gives an option that cannot be.
func TestAFailedStartLeavesNothing(t *testing.T) {
	before := look(t)
	for _, c := range []struct {
		option Option
		want   string
	}{
		{Controllers("nobody-controller"), `controllers.enabled: "nobody-controller" is not in the list of known controllers`},
		{Nodes(-1), "simulation.nodes: -1"},
		{FeatureGate("NoSuchThing", true), "NoSuchThing"},
	} {
		_, err := start([]Option{c.option})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want an error with %s", err, c.want)
		}
	}
	if left := look(t).more(before); len(left) > 0 {
		t.Errorf("left behind: %s", strings.Join(left, ", "))
	}
}
