// Command logbench measures floe's log and table by themselves: beside etcd, which its own benchmark tool drives, and with a million objects.
//
//	logbench beside DIR RECORDS  the log beside the etcd of DIR (test/peers/build.sh makes it); the answers go to RECORDS as JSON
//	logbench million             puts a million objects of 1 KiB into a log on disk, opens it in a fresh process and says what that took
//
// What is compared is alike in this: 1 KiB values of random bytes under keys of 24 bytes, overwritten in turn in a space of 10,000 keys; each put is
// a transaction of its own, and is answered after its sync; both lie on the same disk, under TMPDIR. The machine should do nothing else meanwhile.
// It is not alike in this: etcd is asked over the network, by a second process on the same cores, and runs raft; floe's log is called in the process
// that measures it, so that the CPU that is counted for floe is that of the log and of its callers.
//
// Each measurement of floe's log runs in a fresh process, which is this program again with one of the words that usage does not list: log, fill, open.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"k8s.io/utils/clock"
)

const usage = "usage: logbench beside DIR RECORDS | logbench million [-objects N] [-indexes N] [-gogc LIST] [-profile DIR]"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, clock.RealClock{}, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "logbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c clock.Clock, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	word, rest := args[0], args[1:]
	switch {
	case word == "beside" && len(rest) == 2:
		return beside(ctx, c, rest[0], rest[1])
	case word == "million":
		return million(ctx, rest)
	case word == "log" && len(rest) == 1:
		return answer(measureLog(ctx, c, rest[0], fullSize))
	case word == "fill" && len(rest) == 2:
		return fillFrom(ctx, rest)
	case word == "open" && len(rest) >= 1:
		return openFrom(ctx, c, rest)
	}
	return errors.New(usage)
}

// answer prints what a child measured, for its parent.
func answer[T any](result T, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// child runs this program again and reads its answer into result; nil: it has none.
func child(ctx context.Context, result any, env []string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("logbench %s: %w", strings.Join(args, " "), err)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(out, result); err != nil {
		return fmt.Errorf("answer of logbench %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// inTemporary calls f with a directory that is removed afterwards.
func inTemporary(f func(dir string) error) error {
	dir, err := os.MkdirTemp("", "logbench-")
	if err != nil {
		return err
	}
	return errors.Join(f(dir), os.RemoveAll(dir))
}
