package network

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/runtime"
)

// TestLostRecordsCostNoAddress breaks what is written about a running sandbox; neither it nor a new one may notice.
func TestLostRecordsCostNoAddress(t *testing.T) {
	for name, lose := range map[string]func(file string) error{
		"half-written": func(file string) error { return os.WriteFile(file, []byte("on"), 0o600) },
		"empty":        func(file string) error { return os.Truncate(file, 0) },
		"file gone":    os.Remove,
		"all gone":     func(file string) error { return os.RemoveAll(filepath.Dir(file)) },
	} {
		t.Run(name, func(t *testing.T) {
			state, path := t.TempDir(), namespace(t)
			had := attach(t, open(t, state, "10.91.0.0/24"), "one", path)
			if err := lose(filepath.Join(state, had.String())); err != nil {
				t.Fatal(err)
			}
			n := open(t, state, "10.91.0.0/24")
			if other := attach(t, n, "two", namespace(t)); other == had {
				t.Errorf("a new sandbox got %s, which a running one has", other)
			}
			if err := n.Collect(context.Background(), []string{"one", "two"}); err != nil {
				t.Fatal(err)
			}
			if now := attach(t, n, "one", path); now != had {
				t.Errorf("the sandbox's address is %s, was %s", now, had)
			}
			serve(t, path)
			if _, err := ask(had.String() + ":80")(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLostRecordsAreCollected loses the record of a sandbox that is gone as well.
func TestLostRecordsAreCollected(t *testing.T) {
	for name, end := range map[string]func(*Network) error{
		"collect": func(n *Network) error { return n.Collect(context.Background(), nil) },
		"detach":  func(n *Network) error { return n.Detach(context.Background(), "one") },
	} {
		t.Run(name, func(t *testing.T) {
			state := t.TempDir()
			had := attach(t, open(t, state, "10.90.0.0/30"), "one", namespace(t)) // the range's only one
			if err := os.Remove(filepath.Join(state, had.String())); err != nil {
				t.Fatal(err)
			}
			n := open(t, state, "10.90.0.0/30")
			if addr, err := n.addresses.take("two", n.linkName("two")); err == nil {
				t.Fatalf("%s was handed out while a link led to it", addr)
			}
			if err := end(n); err != nil {
				t.Fatal(err)
			}
			if now := attach(t, n, "two", namespace(t)); now != had {
				t.Errorf("got %s, want %s", now, had)
			}
		})
	}
}

func TestAddressesRestAcrossRestarts(t *testing.T) {
	dir, prefix := t.TempDir(), netip.MustParsePrefix("10.0.0.0/24")
	var given []netip.Addr
	for range 5 {
		a, err := openAddresses(dir, prefix, observe.Discard())
		if err != nil {
			t.Fatal(err)
		}
		addr, err := take(a, "short-lived")
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(given, addr) {
			t.Errorf("%s was used again after %v", addr, given)
		}
		given = append(given, addr)
		if err := a.give("short-lived", ""); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCollectWhileLinksChange lets somebody else make and remove links all the time.
func TestCollectWhileLinksChange(t *testing.T) {
	n := open(t, t.TempDir(), "10.89.0.0/24")
	const others = 40 // more than one message of the kernel's answer holds
	for i := range others {
		if err := netlink.LinkAdd(otherLink(i)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for i := range others {
			if err := netlink.LinkDel(otherLink(i)); err != nil {
				t.Error(err)
			}
		}
	})
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if err := netlink.LinkAdd(otherLink(others)); err != nil {
				stopped <- err
				return
			}
			if err := netlink.LinkDel(otherLink(others)); err != nil {
				stopped <- err
				return
			}
		}
	}()
	for range 100 {
		if err := n.Collect(context.Background(), nil); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

func otherLink(i int) netlink.Link {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "other" + string(rune('A'+i))
	return &netlink.Veth{LinkAttrs: attrs, PeerName: "peer" + string(rune('A'+i))}
}

// TestOthersAreUntouched attaches and detaches beside a table, a link and a sandbox of others.
func TestOthersAreUntouched(t *testing.T) {
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	foreign := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "foreign"}
	conn.AddTable(foreign)
	conn.AddChain(&nftables.Chain{Name: "kept", Table: foreign})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	n, other := open(t, t.TempDir(), "10.88.0.0/24"), open(t, t.TempDir(), "10.87.0.0/24")
	path, neighbour := namespace(t), namespace(t)
	attach(t, other, "one", path)
	addr := attach(t, n, "stays", neighbour)
	serve(t, neighbour)
	attach(t, n, "one", namespace(t))
	if err := n.Detach(context.Background(), "one"); err != nil {
		t.Fatal(err)
	}
	if err := n.Setup(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := n.Collect(context.Background(), []string{"stays"}); err != nil {
		t.Fatal(err)
	}
	linkIndex(t, other, "one") // fails when it is gone
	if seen, err := ask(addr.String() + ":80")(); err != nil || seen != "10.88.0.1" {
		t.Errorf("the sandbox that stays: seen as %q, %v", seen, err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]int{}
	for _, c := range chains {
		rs, err := conn.GetRules(c.Table, c)
		if err != nil {
			t.Fatal(err)
		}
		rules[c.Table.Name+"/"+c.Name] = len(rs)
	}
	if _, kept := rules["foreign/kept"]; !kept || rules[tableName+"/postrouting"] != 1 {
		t.Errorf("chains and their rules: %v", rules)
	}
}

func TestAttachToNowhere(t *testing.T) {
	n := open(t, t.TempDir(), "10.86.0.0/24")
	gone := filepath.Join(t.TempDir(), "netns")
	if _, err := n.Attach(context.Background(), runtime.PodNetwork{ID: "one", Namespace: "default", Name: "web", NetNSPath: gone}); err == nil {
		t.Fatal("attached to a namespace that is not there")
	}
	if err := n.Detach(context.Background(), "one"); err != nil {
		t.Fatal(err)
	}
	if ids := n.addresses.holders(); len(ids) > 0 {
		t.Errorf("addresses are still held by %v", ids)
	}
}

// TestNothingLeaks: descriptors and threads do not grow with attachments.
func TestNothingLeaks(t *testing.T) {
	n, path := open(t, t.TempDir(), "10.85.0.0/24"), namespace(t)
	count := func(what string) int {
		entries, err := os.ReadDir("/proc/self/" + what)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	attach(t, n, "one", path)
	goroutines, fds, threads := goruntime.NumGoroutine(), count("fd"), count("task")
	const times = 20
	for range times {
		attach(t, n, "one", path)
	}
	if now := count("fd"); now > fds {
		t.Errorf("%d descriptors, were %d", now, fds)
	}
	if now := goruntime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, were %d", now, goroutines)
	}
	if now := count("task"); now >= threads+times {
		t.Errorf("%d threads, were %d: one more for each attachment", now, threads)
	}
}
