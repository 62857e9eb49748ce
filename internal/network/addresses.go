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
	used map[netip.Addr]string
	next netip.Addr // where the search for a free one begins
}

// openAddresses reads what is in dir. A file that says nothing sensible is removed and reported: its sandbox, if it is there, asks again.
func openAddresses(dir string, prefix netip.Prefix, log *slog.Logger) (*addresses, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("pod addresses: %w", err)
	}
	gateway := prefix.Addr().Next()
	a := &addresses{
		dir: dir, prefix: prefix, first: gateway.Next(), last: lastOf(prefix).Prev(),
		byID: map[string]netip.Addr{}, used: map[netip.Addr]string{},
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
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return err
	}
	if !a.prefix.Contains(addr) || addr.Less(a.first) || a.last.Less(addr) {
		return fmt.Errorf("%s is not for pods in %s", addr, a.prefix)
	}
	data, err := os.ReadFile(filepath.Join(a.dir, name))
	if err != nil {
		return err
	}
	id, ok := strings.CutSuffix(string(data), "\n")
	if !ok || id == "" || strings.ContainsAny(id, "\n\x00") {
		return errors.New("it names no sandbox")
	}
	if other, taken := a.byID[id]; taken {
		return fmt.Errorf("sandbox %s has %s already", id, other)
	}
	a.byID[id], a.used[addr] = addr, id
	if a.next.Compare(addr) <= 0 && addr.Less(a.last) {
		a.next = addr.Next()
	}
	return nil
}

// take returns the sandbox's address, a free one when it has none.
func (a *addresses) take(id string) (netip.Addr, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if addr, ok := a.byID[id]; ok {
		return addr, nil
	}
	addr := a.next
	for {
		if _, taken := a.used[addr]; !taken {
			break
		}
		if addr = a.after(addr); addr == a.next {
			return netip.Addr{}, fmt.Errorf("pod range %s with %d sandboxes: %w", a.prefix, len(a.used), ErrNoAddress)
		}
	}
	if err := a.write(addr, id); err != nil {
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
func (a *addresses) write(addr netip.Addr, id string) error {
	file := filepath.Join(a.dir, addr.String())
	if err := os.WriteFile(file+".new", []byte(id+"\n"), 0o600); err != nil {
		return fmt.Errorf("pod addresses: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("pod addresses: %w", err)
	}
	return nil
}

// give takes the sandbox's address back; one that has none is no error.
func (a *addresses) give(id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
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
