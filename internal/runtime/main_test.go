package runtime

import (
	"fmt"
	"os"
	"testing"

	"github.com/floe-k8s/floe/internal/runtime/shim/shimtest"
	"github.com/floe-k8s/floe/test/alone"
)

// The tests run real containers, so they need root. The whole test binary runs again inside mount and network namespaces of its own: what
// it mounts is seen by nobody, links and addresses are its own, and what is left over at the end can be counted.

// programs holds floe-shim and floe-tool, built once.
var programs string

func TestMain(m *testing.M) {
	if programs = alone.Inside(); programs != "" {
		if err := loopbackUp(); err != nil { // what streams is served there
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	os.Exit(outside())
}

func outside() int {
	dir, err := os.MkdirTemp("", "floe-runtime-test-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = shimtest.Build(dir, "floe-shim", "floe-tool")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return alone.Again(dir)
}
