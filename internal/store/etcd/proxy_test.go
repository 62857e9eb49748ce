package etcd

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
)

// What a proxy does with bytes.
type mode int

const (
	pass mode = iota
	mute      // answers are dropped
	hold      // requests are kept
)

// proxy stands between a log and etcd, and loses what it is told to lose.
type proxy struct {
	listener net.Listener
	target   string
	group    sync.WaitGroup

	mu      sync.Mutex
	mode    mode
	pipes   map[*pipe]struct{}
	changed chan struct{} // closed and made anew at each change
	lost    chan struct{} // closed at the first loss since the mode was set
}

// pipe is one connection.
type pipe struct {
	client, server net.Conn
	held           []byte // requests that have been kept
	answers        []byte // answers since the client was cut off
	cut            bool
}

func newProxy(t testing.TB, endpoint string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: strings.TrimPrefix(endpoint, "http://"), pipes: map[*pipe]struct{}{}, changed: make(chan struct{}), lost: make(chan struct{})}
	p.group.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.sever()
		p.group.Wait()
	})
	return p
}

func (p *proxy) endpoint() string { return "http://" + p.listener.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		c := &pipe{client: client, server: server}
		p.note(func() { p.pipes[c] = struct{}{} })
		p.group.Go(func() { p.requests(c) })
		p.group.Go(func() { p.answers(c) })
	}
}

func (p *proxy) note(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *proxy) requests(c *pipe) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.client.Read(buf)
		keep := false
		p.note(func() {
			if keep = p.mode == hold || len(c.held) > 0; keep {
				c.held = append(c.held, buf[:n]...)
				p.loseLocked()
			}
		})
		if !keep {
			if _, werr := c.server.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			p.mu.Lock()
			if !c.cut {
				c.server.Close()
			}
			p.mu.Unlock()
			return
		}
	}
}

func (p *proxy) answers(c *pipe) {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.server.Read(buf)
		drop := false
		p.note(func() {
			if drop = p.mode == mute || c.cut; drop {
				c.answers = append(c.answers, buf[:n]...)
				p.loseLocked()
			}
		})
		if !drop {
			if _, werr := c.client.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			c.client.Close()
			return
		}
	}
}

// set changes the mode and returns a channel that is closed when bytes are lost to it.
func (p *proxy) set(m mode) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode, p.lost = m, make(chan struct{})
	return p.lost
}

func (p *proxy) loseLocked() {
	select {
	case <-p.lost:
	default:
		close(p.lost)
	}
}

// sever closes every connection on both sides: what is held is lost.
func (p *proxy) sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pipes {
		c.client.Close()
		c.server.Close()
		delete(p.pipes, c)
	}
}

// cut closes every connection on the client's side only.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pipes {
		c.cut = true
		c.client.Close()
	}
}

// release sends what was held on the connections that were cut, once. etcd may have closed one by now.
func (p *proxy) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pipes {
		if c.cut && len(c.held) > 0 {
			_, _ = c.server.Write(c.held)
			c.held = nil
		}
	}
}

// await waits until some connection's bytes hold text.
func (p *proxy) await(t testing.TB, text string, of func(*pipe) []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		p.mu.Lock()
		found, changed := false, p.changed
		for c := range p.pipes {
			found = found || bytes.Contains(of(c), []byte(text))
		}
		p.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal(errors.New("the proxy has not seen " + text))
		}
	}
}
