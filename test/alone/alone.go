// Package alone runs a test program in namespaces of its own, so that links, addresses, rules and mounts that its tests make end with it.
//
// A TestMain asks Inside; when that is empty it calls Again, which starts the same program once more in new network and mount namespaces,
// with Inside set. These tests need root, and say so.
package alone

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

const mark = "FLOE_TEST_ALONE"

// Inside is what Again was called with; "" in the program that go test started.
func Inside() string { return os.Getenv(mark) }

// Again runs this program in new namespaces, in which Inside returns word, and returns its exit code. word is not empty.
func Again(word string) int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), mark+"="+word)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Unshared, not cloned: the mounts are made private to it as well.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Unshareflags: unix.CLONE_NEWNS}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	fmt.Fprintf(os.Stderr, "these tests need root, to make network and mount namespaces of their own: %v\n", err)
	return 1
}
