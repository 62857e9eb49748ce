package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// forward copies between stream and a TCP port that a sandbox listens on at its loopback, of either family, until the sandbox's side ends or
// ctx does. A client that has sent all is told to the sandbox as such, and can still read.
func (r *Runtime) forward(ctx context.Context, p *pod, port int32, stream io.ReadWriteCloser) error {
	if port < 1 || port > 65535 {
		return invalid("port %d is none", port)
	}
	ctx, cancel := r.whileRunning(ctx)
	defer cancel()
	conn, err := r.dialIn(ctx, p, int(port))
	if err != nil {
		return failed(err, "forward port %d to sandbox %s", port, p.id)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	r.also(func() { // ends when the caller closes the stream, which it does when this call is over
		_, err := io.Copy(conn, stream)
		if half, ok := conn.(*net.TCPConn); ok && err == nil {
			_ = half.CloseWrite()
		}
	})
	_, err = io.Copy(stream, conn)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// dialIn connects to the sandbox's loopback: of IPv4, then of IPv6.
func (r *Runtime) dialIn(ctx context.Context, p *pod, port int) (net.Conn, error) {
	var errs []error
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := inNetwork(p, func() (net.Conn, error) {
			var d net.Dialer // an address in digits is dialled from the calling thread, whose network the socket is of
			return d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		})
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// inNetwork calls do on a thread that is on the sandbox's network.
func inNetwork[T any](p *pod, do func() (T, error)) (T, error) {
	if p.hostNetwork() {
		return do()
	}
	type result struct {
		t   T
		err error
	}
	results := make(chan result, 1)
	go onOwnThread(func() {
		var res result
		if res.err = enterNetwork(p); res.err == nil {
			res.t, res.err = do()
		}
		results <- res
	})
	res := <-results
	return res.t, res.err
}

func enterNetwork(p *pod) error {
	ns, err := os.Open(p.nsPath("net"))
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network of sandbox %s: %w", p.id, err)
	}
	return nil
}
