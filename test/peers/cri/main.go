// Command cri holds containerd v2 with runc, and floe's own runtime, to the same client, in network and mount namespaces of its own.
//
//	cri PEERS FLOE suite            runs the CRI contract suite (internal/runtime/critest) on containerd's socket, as the reference
//	cri PEERS FLOE measure OUT      measures both, one after the other, and writes OUT, a JSON file
//
// PEERS is where test/peers/build.sh has put containerd, its shim, ctr, runc and two CNI plug-ins; FLOE is the floe program. It needs root, and go for the
// suite. All that it starts ends with it; its files go to a directory of their own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/floe-k8s/floe/test/alone"
)

func main() {
	if alone.Inside() == "" {
		os.Exit(alone.Again("cri"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cri:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) < 3 {
		return errors.New("which? cri PEERS FLOE suite | cri PEERS FLOE measure OUT")
	}
	peers, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "floe-cri-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	theirs := containerd{peers: peers, dir: filepath.Join(dir, "containerd")}
	switch verb := args[2]; {
	case verb == "suite" && len(args) == 3:
		return theirs.with(ctx, func(socket string) error { return suite(ctx, socket) })
	case verb == "measure" && len(args) == 4:
		ours := floe{program: args[1], dir: filepath.Join(dir, "floe")}
		return compare(ctx, theirs, ours, args[3])
	default:
		return fmt.Errorf("%q is neither suite nor measure OUT", args[2:])
	}
}

// suite runs the contract on a socket; its output is what the caller sees.
func suite(ctx context.Context, socket string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "./internal/runtime/critest", "-run", "TestContract", "-args", "-socket", socket)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// figures are what is measured of one runtime; times in milliseconds.
type figures struct {
	Runtime   string  `json:"runtime"` // name and version, as it says itself
	PodP50    float64 `json:"podP50"`  // sandbox, container and start, one pod after the other
	PodP99    float64 `json:"podP99"`
	StopP50   float64 `json:"stopP50"`   // of a running container, killed
	PerSecond float64 `json:"perSecond"` // of a hundred pods at once
	Load      string  `json:"load"`      // of the machine before, over a minute
}

// compare measures one after the other.
func compare(ctx context.Context, theirs containerd, ours floe, out string) error {
	var all []figures
	for _, with := range []func(context.Context, func(string) error) error{theirs.with, ours.with} {
		if err := with(ctx, func(socket string) error {
			f, err := measure(ctx, socket)
			all = append(all, f)
			return err
		}); err != nil {
			return err
		}
	}
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	fmt.Println(string(data))
	return os.WriteFile(out, append(data, '\n'), 0o644)
}
