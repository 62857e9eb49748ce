package critest

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/network"
	"github.com/floe-k8s/floe/internal/runtime"
	"github.com/floe-k8s/floe/internal/runtime/cgroup"
	"github.com/floe-k8s/floe/internal/runtime/image"
	"github.com/floe-k8s/floe/internal/runtime/serve"
	"github.com/floe-k8s/floe/internal/runtime/shim/shimtest"
	"github.com/floe-k8s/floe/test/alone"
)

// socket is the address of another runtime that has floe's own image, and is tested in floe's place.
var socket = flag.String("socket", "", "address of a runtime to test instead of floe's, such as unix:///run/containerd/containerd.sock")

func TestMain(m *testing.M) {
	flag.Parse()
	if *socket != "" { // who made the runtime has made namespaces around it and this
		os.Exit(m.Run())
	}
	if alone.Inside() != "" {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "floe-critest-")
	if err == nil {
		err = shimtest.Build(dir, "floe-shim", "floe-tool")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.RemoveAll(dir)
		os.Exit(1)
	}
	code := alone.Again(dir)
	os.RemoveAll(dir)
	os.Exit(code)
}

// TestContract holds floe's socket, or another runtime's, to the contract.
func TestContract(t *testing.T) {
	address := *socket
	if address == "" {
		address = serveFloe(t)
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(serve.MaxMessage)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	Run(t, Target{Conn: conn, Clock: clock.RealClock{}, Image: image.SelfName})
}

// serveFloe serves floe's runtime, with floe's own pod network, until the test ends, and returns the socket's address.
func serveFloe(t *testing.T) string {
	t.Helper()
	programs, dir := alone.Inside(), t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.DiscardHandler)
	cidr := netip.MustParsePrefix("10.99.7.0/24")
	links, err := network.New(network.Config{PodCIDR: cidr, State: filepath.Join(dir, "network"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(links.Close)
	if err := links.Setup(ctx); err != nil {
		t.Fatal(err)
	}
	parent := fmt.Sprintf("/floe-critest-%d", os.Getpid())
	t.Cleanup(func() { // when the runtime has ended: a group with anything in it cannot be removed
		host, err := cgroup.Detect()
		if err == nil {
			err = host.Remove(parent)
		}
		if err != nil {
			t.Error(err)
		}
	})
	passage, err := os.MkdirTemp("/run", "floe-critest-") // the test's own directory lets nobody pass
	if err == nil {
		err = os.Chmod(passage, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(passage); err != nil {
			t.Error(err)
		}
	})
	r, err := runtime.New(runtime.Config{
		Passage: passage,
		Root:    filepath.Join(dir, "images"), State: filepath.Join(dir, "run"), ShimPath: filepath.Join(programs, "floe-shim"),
		CgroupParent: parent, Network: links, PodCIDR: cidr.String(), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	loadSelf(ctx, t, r, filepath.Join(programs, "floe-tool"))
	address := "unix://" + filepath.Join(dir, "floe.sock")
	l, err := serve.Listen(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 2)
	go func() { ended <- r.Run(ctx) }()
	go func() { ended <- serve.Serve(ctx, l, r, log) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	if _, err := r.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{}); err != nil { // which waits until the runtime has looked around
		t.Fatal(err)
	}
	return address
}

func loadSelf(ctx context.Context, t *testing.T, r *runtime.Runtime, tool string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "self.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := image.BuildSelf(f, tool); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Images().LoadFile(ctx, path); err != nil {
		t.Fatal(err)
	}
}
