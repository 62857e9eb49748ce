package main

import (
	"fmt"
	"os"

	_ "github.com/opencontainers/cgroups/devices" // gives cgroup managers the rules of devices; without it they refuse
	"github.com/opencontainers/runc/libcontainer"
	_ "github.com/opencontainers/runc/libcontainer/nsenter" // enters namespaces in C, before the Go runtime starts its threads
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "floe-shim:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "init":
		useFilter()
		libcontainer.Init() // never returns
	case len(args) == 1 && args[0] == "filter":
		return compileFilter()
	case len(args) == 3 && args[0] == "pod":
		return standOver(args[1], args[2])
	case len(args) == 1 && args[0] == "unpack":
		return unpack()
	}
	return fmt.Errorf("usage: floe-shim pod SANDBOX CGROUP | unpack | filter | init; floe runs it, people do not")
}
