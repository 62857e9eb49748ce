package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/shim/shimtest"
)

// The tests run real containers, so they need root. The whole test binary runs again inside mount and network namespaces of its own: what
// it mounts is seen by nobody, links and addresses are its own, and what is left over at the end can be counted.

const insideEnv = "FLOE_RUNTIME_TEST_INSIDE"

// programs holds floe-shim and floe-tool, built once.
var programs string

func TestMain(m *testing.M) {
	if programs = os.Getenv(insideEnv); programs != "" {
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
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Unshareflags: unix.CLONE_NEWNS}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "run the tests in namespaces of their own:", err)
		return 1
	}
	return 0
}
