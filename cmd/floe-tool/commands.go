package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func echo(_ context.Context, args []string) error {
	fmt.Println(strings.Join(args, " "))
	return nil
}

func printFacts(ctx context.Context, args []string) error {
	if len(args) == 1 && args[0] == "terminal" {
		return printTerminal(ctx)
	}
	if len(args) != 1 || args[0] != "env" {
		return errUsage
	}
	for _, kv := range os.Environ() {
		fmt.Println(kv)
	}
	return nil
}

func printTerminal(ctx context.Context) error {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	defer signal.Stop(changed)
	for {
		size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
		if err != nil {
			return err
		}
		fmt.Printf("%dx%d\n", size.Col, size.Row)
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

func cat(_ context.Context, args []string) error {
	if len(args) == 0 {
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	}
	for _, name := range args {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(os.Stdout, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// fill writes to a file, or to its output.
func fill(_ context.Context, args []string) error {
	if len(args) == 0 || len(args) > 2 {
		return errUsage
	}
	n, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		return errUsage
	}
	out := os.Stdout
	if len(args) == 2 {
		if out, err = os.OpenFile(args[1], os.O_CREATE|os.O_WRONLY, 0o644); err != nil {
			return err
		}
		defer out.Close()
	}
	for block := []byte(strings.Repeat("0123456789abcde\n", 4096)); n > 0 && err == nil; n -= int64(len(block)) {
		_, err = out.Write(block[:min(n, int64(len(block)))])
	}
	return err
}

func links(_ context.Context, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	info, err := os.Lstat(args[0])
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSymlink == 0 {
		fmt.Println("no link")
		return nil
	}
	target, err := os.Readlink(args[0])
	if err != nil {
		return err
	}
	fmt.Println(target)
	return nil
}

func fork(ctx context.Context, args []string) error {
	child := exec.Command("/proc/self/exe", append([]string{"sleep"}, args...)...)
	child.Stdout = os.Stdout // held open, as by whoever is forgotten in the background
	if err := child.Start(); err != nil {
		return err
	}
	fmt.Printf("forked %d\n", child.Process.Pid)
	return sleep(ctx, args)
}

func sleep(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	d, err := duration(args[0])
	if err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return nil
}

func duration(s string) (time.Duration, error) {
	if s == "forever" || s == "infinity" {
		return math.MaxInt64, nil
	}
	if n, err := strconv.ParseInt(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	return time.ParseDuration(s)
}

func fail(_ context.Context, args []string) error {
	flags := flagsOf("fail")
	code := flags.Int("code", 1, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return errUsage
	}
	fmt.Fprintf(os.Stderr, "floe-tool: failing with code %d, as asked\n", *code)
	return exitCode(*code)
}

// burn touches every page, so the memory is really used, and then waits.
func burn(ctx context.Context, args []string) error {
	flags := flagsOf("burn")
	size := flags.Int64("memory", 0, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || *size <= 0 {
		return errUsage
	}
	const step = 1 << 20
	var held [][]byte
	for used := int64(0); used < *size && ctx.Err() == nil; used += step {
		block := make([]byte, min(step, *size-used))
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		held = append(held, block)
	}
	fmt.Printf("holding %d bytes\n", *size)
	<-ctx.Done()
	runtime.KeepAlive(held)
	return nil
}

func lookup(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errUsage
	}
	addrs, err := net.DefaultResolver.LookupHost(ctx, args[0])
	if err != nil {
		return err
	}
	for _, a := range addrs {
		fmt.Println(a)
	}
	return nil
}

func flagsOf(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}
