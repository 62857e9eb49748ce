package network

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// ErrNoAddress: every address of the range is in use.
var ErrNoAddress = errors.New("no address is left")

// addresses hands out the addresses of one range, and writes down who has which.
type addresses struct {
	dir         string
	prefix      netip.Prefix
	first, last netip.Addr // first..last are handed out

	mu   sync.Mutex
	byID map[string]netip.Addr
	used map[netip.Addr]string // the id of the sandbox, or the link of an entry of lost
	lost map[string]netip.Addr // by link: addresses that are in use though nothing written says by whom
	next netip.Addr            // where the search for a free one begins
}

// cursorName is the file that holds the address after the one handed out last, so that rest outlives a restart too.
const cursorName = "next"

// openAddresses reads what is in dir. A file that says nothing sensible is removed and reported: its sandbox, if it is there, asks again,
// and until then foundOn keeps its address from others.
func openAddresses(dir string, prefix netip.Prefix, log *slog.Logger) (*addresses, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("pod addresses: %w", err)
	}
	gateway := prefix.Addr().Next()
	a := &addresses{
		dir: dir, prefix: prefix, first: gateway.Next(), last: lastOf(prefix).Prev(),
		byID: map[string]netip.Addr{}, used: map[netip.Addr]string{}, lost: map[string]netip.Addr{},
	}
	a.next = a.first
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("pod addresses: %w", err)
	}
	for _, e := range entries {
		if err := a.load(e.Name()); err != nil {
			log.Warn("a written address is not readable and is dropped", "file", filepath.Join(dir, e.Name()), "err", err)
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("pod addresses: %w", err)
			}
		}
	}
	return a, nil
}

// lastOf is the last address of an IPv4 range, its broadcast address.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}

func (a *addresses) load(name string) error {
	data, err := os.ReadFile(filepath.Join(a.dir, name))
	if err != nil {
		return err
	}
	line, ok := strings.CutSuffix(string(data), "\n")
	if !ok || line == "" || strings.ContainsAny(line, "\n\x00") {
		return errors.New("it is not one line")
	}
	if name == cursorName {
		a.next, err = a.parse(line)
		if err != nil {
			a.next = a.first
		}
		return err
	}
	addr, err := a.parse(name)
	if err != nil {
		return err
	}
	if other, taken := a.byID[line]; taken {
		return fmt.Errorf("sandbox %s has %s already", line, other)
	}
	a.byID[line], a.used[addr] = addr, line
	return nil
}

// parse reads an address that may be handed out.
func (a *addresses) parse(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	if err == nil && !a.hands(addr) {
		err = fmt.Errorf("%s is not for pods in %s", addr, a.prefix)
	}
	return addr, err
}

func (a *addresses) hands(addr netip.Addr) bool {
	return a.prefix.Contains(addr) && !addr.Less(a.first) && !a.last.Less(addr)
}

// foundOn says that a link leads to addr. When that is not written down, the address is kept for the link's sandbox, and foundOn returns true.
func (a *addresses) foundOn(link string, addr netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, taken := a.used[addr]; taken || !a.hands(addr) {
		return false
	}
	if _, another := a.lost[link]; another {
		return false
	}
	a.lost[link], a.used[addr] = addr, link
	return true
}

// forget gives back what foundOn kept for a link; the link is gone.
func (a *addresses) forget(link string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgetLocked(link)
}

func (a *addresses) forgetLocked(link string) {
	if addr, ok := a.lost[link]; ok {
		delete(a.lost, link)
		delete(a.used, addr)
	}
}

// take returns the sandbox's address: the one written down, else the one found on its link, else a free one.
func (a *addresses) take(id, link string) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if addr, ok := a.byID[id]; ok {
		return addr, nil
	}
	if addr, ok := a.lost[link]; ok {
		if err := a.write(addr.String(), id); err != nil {
			return netip.Addr{}, err
		}
		delete(a.lost, link)
		a.byID[id], a.used[addr] = addr, id
		return addr, nil
	}
	return a.takeFreeLocked(id)
}

func (a *addresses) takeFreeLocked(id string) (netip.Addr, error) {
	addr := a.next
	for {
		if _, taken := a.used[addr]; !taken {
			break
		}
		if addr = a.after(addr); addr == a.next {
			return netip.Addr{}, fmt.Errorf("pod range %s with %d sandboxes: %w", a.prefix, len(a.used), ErrNoAddress)
		}
	}
	// The cursor first: a crash in between passes over an address, which costs nothing.
	if err := errors.Join(a.write(cursorName, a.after(addr).String()), a.write(addr.String(), id)); err != nil {
		return netip.Addr{}, err
	}
	a.byID[id], a.used[addr] = addr, id
	a.next = a.after(addr)
	return addr, nil
}

func (a *addresses) after(addr netip.Addr) netip.Addr {
	if addr == a.last {
		return a.first
	}
	return addr.Next()
}

// write puts the file in place whole. It need not outlive the machine, as no sandbox does.
func (a *addresses) write(name, line string) error {
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file+".new", []byte(line+"\n"), 0o600); err != nil {
		return fmt.Errorf("pod addresses: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("pod addresses: %w", err)
	}
	return nil
}

// give takes the sandbox's address back, after its link is gone; one that has none is no error.
func (a *addresses) give(id, link string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgetLocked(link)
	addr, ok := a.byID[id]
	if !ok {
		return nil
	}
	if err := os.Remove(filepath.Join(a.dir, addr.String())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("pod addresses: %w", err)
	}
	delete(a.byID, id)
	delete(a.used, addr)
	return nil
}

// holders are the ids of all sandboxes that have an address.
func (a *addresses) holders() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []string
	for id := range a.byID {
		ids = append(ids, id)
	}
	return ids
}
