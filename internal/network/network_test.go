package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/runtime"
)

func open(t testing.TB, state, cidr string) *Network {
	t.Helper()
	n, err := New(Config{PodCIDR: netip.MustParsePrefix(cidr), State: state, Log: observe.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	if err := n.Setup(context.Background()); err != nil {
		t.Fatal(err)
	}
	return n
}

// namespace makes a network namespace with a path, which ends with the test.
func namespace(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "netns")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	made := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- err
			return
		}
		made <- unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), path, "", unix.MS_BIND, "")
	}()
	if err := <-made; err != nil {
		t.Fatalf("making a network namespace: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			t.Error(err)
		}
	})
	return path
}

// within runs f in a namespace.
func within[T any](t testing.TB, path string, f func() (T, error)) T {
	t.Helper()
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		goruntime.LockOSThread()
		ns, err := netns.GetFromPath(path)
		if err == nil {
			defer ns.Close()
			err = netns.Set(ns)
		}
		if err != nil {
			done <- answer{err: err}
			return
		}
		value, err := f()
		done <- answer{value, err}
	}()
	a := <-done
	if a.err != nil {
		t.Fatal(a.err)
	}
	return a.value
}

func attach(t testing.TB, n *Network, id, path string) netip.Addr {
	t.Helper()
	addrs, err := n.Attach(context.Background(), runtime.PodNetwork{ID: id, Namespace: "default", Name: id, UID: id, NetNSPath: path})
	if err != nil {
		t.Fatal(err)
	}
	return addrs[0]
}

// serve answers every connection inside a namespace with the peer's address, until the test ends.
func serve(t testing.TB, path string) {
	t.Helper()
	l := within(t, path, func() (net.Listener, error) { return net.Listen("tcp4", ":80") })
	answerPeers(t, l)
}

func answerPeers(t testing.TB, l net.Listener) {
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, c.RemoteAddr().(*net.TCPAddr).IP)
			c.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		done.Wait()
	})
}

// ask connects and returns the address that the other side saw.
func ask(address string) func() (string, error) {
	return func() (string, error) {
		c, err := net.DialTimeout("tcp4", address, 5*time.Second)
		if err != nil {
			return "", err
		}
		defer c.Close()
		data, err := io.ReadAll(c)
		return string(data), err
	}
}

func TestPodsAndNodeReachEachOther(t *testing.T) {
	n := open(t, t.TempDir(), "10.99.0.0/24")
	one, two := namespace(t), namespace(t)
	a, b := attach(t, n, "one", one), attach(t, n, "two", two)
	serve(t, one)
	serve(t, two)
	l, err := net.Listen("tcp4", ":81")
	if err != nil {
		t.Fatal(err)
	}
	answerPeers(t, l)
	for _, c := range []struct{ what, got, want string }{
		{"pod to pod", within(t, one, ask(b.String()+":80")), a.String()},
		{"and back", within(t, two, ask(a.String()+":80")), b.String()},
		{"pod to itself", within(t, one, ask(a.String()+":80")), a.String()},
		{"pod to the node", within(t, one, ask("10.99.0.1:81")), a.String()},
	} {
		if c.got != c.want {
			t.Errorf("%s: the other side saw %s, want %s", c.what, c.got, c.want)
		}
	}
	got, err := ask(a.String() + ":80")()
	if err != nil || got != "10.99.0.1" {
		t.Errorf("node to pod: seen as %q (%v), want the node's address in the range", got, err)
	}
}

func TestRepeatAndRestartKeepTheAddress(t *testing.T) {
	state := t.TempDir()
	n := open(t, state, "10.98.0.0/24")
	path := namespace(t)
	first := attach(t, n, "one", path)
	serve(t, path)
	index := linkIndex(t, n, "one")
	again := open(t, state, "10.98.0.0/24")
	if err := again.Collect(context.Background(), []string{"one"}); err != nil {
		t.Fatal(err)
	}
	if addr := attach(t, again, "one", path); addr != first {
		t.Errorf("after a restart the address is %s, was %s", addr, first)
	}
	if now := linkIndex(t, again, "one"); now != index {
		t.Errorf("the link was made anew (%d, was %d): connections would have been lost", now, index)
	}
	if _, err := ask(first.String() + ":80")(); err != nil {
		t.Error(err)
	}
}

func linkIndex(t *testing.T, n *Network, id string) int {
	t.Helper()
	l, err := n.host.LinkByName(n.linkName(id))
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Index
}

func TestDetachAndCollectLeaveNothing(t *testing.T) {
	n := open(t, t.TempDir(), "10.97.0.0/24")
	path := namespace(t)
	attach(t, n, "one", path)
	attach(t, n, "two", namespace(t))
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second has nothing to do
		if err := n.Detach(context.Background(), "one"); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Collect(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if ids := n.addresses.holders(); len(ids) > 0 {
		t.Errorf("addresses are still held by %v", ids)
	}
	links, err := n.host.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, n.prefix) {
			t.Errorf("link %s is left", l.Attrs().Name)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(n.State, "*")); !slices.Equal(files, []string{filepath.Join(n.State, cursorName)}) {
		t.Errorf("files are left: %v", files)
	}
}

// TestHalfMadeIsFinished breaks an attachment at each of its steps; the next attach finishes it.
func TestHalfMadeIsFinished(t *testing.T) {
	n := open(t, t.TempDir(), "10.96.0.0/24")
	for name, broken := range map[string]func(string) error{
		"no link": func(string) error { return n.removeLink(n.linkName("no link")) },
		"no route": func(id string) error {
			return n.host.RouteDel(&netlink.Route{Dst: single(n.addresses.byID[id]), Scope: netlink.SCOPE_LINK})
		},
		"link is down":  func(id string) error { return withLink(n, id, n.host.LinkSetDown) },
		"address alone": func(id string) error { return n.removeLink(n.linkName(id)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := namespace(t)
			addr := attach(t, n, name, path)
			if err := broken(name); err != nil {
				t.Fatal(err)
			}
			if again := attach(t, n, name, path); again != addr {
				t.Errorf("address %s, was %s", again, addr)
			}
			serve(t, path)
			if _, err := ask(addr.String() + ":80")(); err != nil {
				t.Error(err)
			}
		})
	}
}

func withLink(n *Network, id string, f func(netlink.Link) error) error {
	l, err := n.host.LinkByName(n.linkName(id))
	if err != nil {
		return err
	}
	return f(l)
}

// TestOutsideSeesTheNode puts a neighbour behind an uplink that knows nothing of the pod range.
func TestOutsideSeesTheNode(t *testing.T) {
	n := open(t, t.TempDir(), "10.95.0.0/24")
	pod, outside := namespace(t), namespace(t)
	attach(t, n, "one", pod)
	ns, err := netns.GetFromPath(outside)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "uplink"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer", PeerNamespace: netlink.NsFd(ns)}); err != nil {
		t.Fatal(err)
	}
	up := func(h *netlink.Handle, name, address string) {
		t.Helper()
		l, err := h.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		a, err := netlink.ParseAddr(address)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(h.AddrAdd(l, a), h.LinkSetUp(l)); err != nil {
			t.Fatal(err)
		}
	}
	there, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	up(n.host, "uplink", "192.0.2.1/24")
	up(there, "peer", "192.0.2.2/24")
	serve(t, outside)
	if seen := within(t, pod, ask("192.0.2.2:80")); seen != "192.0.2.1" {
		t.Errorf("outside saw %s, want the node's own address", seen)
	}
}

func TestManyAtOnce(t *testing.T) {
	n := open(t, t.TempDir(), "10.94.0.0/24")
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[netip.Addr]bool{}
	for i := range 50 {
		path := namespace(t)
		all.Go(func() {
			addrs, err := n.Attach(context.Background(), runtime.PodNetwork{ID: fmt.Sprint(i), NetNSPath: path})
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[addrs[0]] {
				t.Errorf("sandbox %d: %v, %v: not its own", i, addrs, err)
				return
			}
			seen[addrs[0]] = true
		})
	}
	all.Wait()
}

func take(a *addresses, id string) (netip.Addr, error) { return a.take(id, "link of "+id) }

func TestExhaustionAndReuse(t *testing.T) {
	a, err := openAddresses(t.TempDir(), netip.MustParsePrefix("10.0.0.0/29"), observe.Discard())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range 5 {
		addr, err := take(a, fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, addr.String())
	}
	if want := []string{"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}; !slices.Equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
	if _, err := take(a, "more"); !errors.Is(err, ErrNoAddress) || !strings.Contains(err.Error(), "10.0.0.0/29") {
		t.Errorf("a full range: %v", err)
	}
	for _, id := range []string{"1", "3"} {
		if err := a.give(id, "link of "+id); err != nil {
			t.Fatal(err)
		}
	}
	if addr, err := take(a, "again"); err != nil || addr.String() != "10.0.0.3" {
		t.Errorf("after that: %v, %v", addr, err)
	}
	if err := a.give("again", ""); err != nil {
		t.Fatal(err)
	}
	if addr, err := take(a, "other"); err != nil || addr.String() != "10.0.0.5" {
		t.Errorf("an address just given back was taken before a rested one: %v, %v", addr, err)
	}
}

// TestAddressesAreNeverShared takes, gives and reopens at random.
func TestAddressesAreNeverShared(t *testing.T) {
	seed := time.Now().UnixNano()
	r, dir := rand.New(rand.NewSource(seed)), t.TempDir()
	prefix := netip.MustParsePrefix("10.0.0.0/27")
	a, err := openAddresses(dir, prefix, observe.Discard())
	if err != nil {
		t.Fatal(err)
	}
	model := map[string]netip.Addr{}
	for step := range 3000 {
		id := fmt.Sprint(r.Intn(40))
		switch r.Intn(20) {
		case 0:
			if a, err = openAddresses(dir, prefix, observe.Discard()); err != nil {
				t.Fatal(err)
			}
		case 1, 2, 3, 4, 5, 6, 7, 8:
			if err := a.give(id, "link of "+id); err != nil {
				t.Fatal(err)
			}
			delete(model, id)
		default:
			addr, err := take(a, id)
			if errors.Is(err, ErrNoAddress) && len(model) == 29 {
				continue
			}
			if had, ok := model[id]; err != nil || ok && had != addr {
				t.Fatalf("seed %d, step %d: %s gets %v (%v), had %v", seed, step, id, addr, err, had)
			}
			for other, has := range model {
				if other != id && has == addr {
					t.Fatalf("seed %d, step %d: %s and %s share %s", seed, step, id, other, addr)
				}
			}
			model[id] = addr
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("10.0.0.2", "sandbox\n")
	f.Add("10.0.0.2", "")
	f.Add("10.0.0.255", "x\n")
	f.Fuzz(func(t *testing.T, name, content string) {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || len(name) > 200 {
			return
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return
		}
		a, err := openAddresses(dir, netip.MustParsePrefix("10.0.0.0/24"), observe.Discard())
		if err != nil {
			t.Fatal(err)
		}
		for id, addr := range a.byID {
			if id+"\n" != content || addr.String() != name {
				t.Errorf("%q with %q became %s at %s", name, content, id, addr)
			}
		}
	})
}

func TestHostPortsAreRefusedByName(t *testing.T) {
	n := open(t, t.TempDir(), "10.93.0.0/24")
	_, err := n.Attach(context.Background(), runtime.PodNetwork{ID: "x", Namespace: "default", Name: "web", NetNSPath: namespace(t), PortMappings: []*runtimeapi.PortMapping{{HostPort: 80, ContainerPort: 80}}})
	if err == nil || !strings.Contains(err.Error(), "host port 80") || !strings.Contains(err.Error(), "default/web") {
		t.Errorf("got %v", err)
	}
}

func BenchmarkAttachDetach(b *testing.B) {
	n := open(b, b.TempDir(), "10.92.0.0/16")
	path := namespace(b)
	b.ReportAllocs()
	for b.Loop() {
		attach(b, n, "one", path)
		if err := n.Detach(context.Background(), "one"); err != nil {
			b.Fatal(err)
		}
	}
}
