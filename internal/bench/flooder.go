package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

// FloodCommand is the argument with which a program that is a flood's second process is started. It calls RunFlood.
const FloodCommand = "flood-worker"

// leastPriority is the largest nice value (setpriority(2)).
const leastPriority = 19

// A flood has a process of its own: in one process its workers would stand between the quiet user and the processor in the queues of this program, and what
// is measured would be them. The two talk over pipes: an order in, a line when every worker has had an answer, the result when the order's end is closed.

// floodOrder is what a flood is about.
type floodOrder struct {
	Server, Name, Token, Path, Accept string
	Authority                         []byte // PEM
	Insecure, Gzip                    bool
	Clients                           int
	Timeout                           time.Duration
}

// floodResult is what became of it.
type floodResult struct {
	Operations uint64 // that succeeded
	Failed     int
	Seconds    float64
}

// RunFlood floods as the order that it reads from in says, until in ends or ctx does, and writes the result to out.
func RunFlood(ctx context.Context, in io.Reader, out io.Writer, clk clock.Clock) error {
	var order floodOrder
	orders := json.NewDecoder(in)
	if err := orders.Decode(&order); err != nil {
		return fmt.Errorf("read what to flood: %w", err)
	}
	sessions, err := order.sessions()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var begun sync.WaitGroup
	begun.Add(len(sessions))
	first := make([]sync.Once, len(sessions))
	var work sync.WaitGroup
	var seen *outcome
	work.Go(func() {
		// A server that is gone is for the quiet user to notice.
		seen, _ = load{clock: clk, sessions: sessions}.run(ctx, func(ctx context.Context, s *session, _ int) error {
			defer first[s.number].Do(begun.Done)
			_, err := s.do(ctx, request{method: "GET", path: order.Path, accept: order.Accept, gzip: order.Gzip})
			return err
		})
		for i := range first { // of workers that ended before their first call
			first[i].Do(begun.Done)
		}
	})
	begun.Wait()
	_, err = fmt.Fprintln(out, "{}")
	if err == nil {
		_, _ = io.Copy(io.Discard, in) // nothing more is said; its end is what is waited for
	}
	stop()
	work.Wait()
	for _, s := range sessions {
		s.client.CloseIdleConnections()
	}
	return errors.Join(err, json.NewEncoder(out).Encode(floodResult{seen.latency.Count(), seen.errors.total(), seen.elapsed.Seconds()}))
}

func (o *floodOrder) sessions() ([]*session, error) {
	target, err := NewTarget(&rest.Config{
		Host: o.Server, BearerToken: o.Token, TLSClientConfig: rest.TLSClientConfig{CAData: o.Authority, ServerName: o.Name, Insecure: o.Insecure},
	})
	if err != nil {
		return nil, err
	}
	sessions := make([]*session, o.Clients)
	for i := range sessions {
		client, err := target.connect()
		if err != nil {
			return nil, err
		}
		sessions[i] = &session{target: target, client: client, timeout: o.Timeout, number: i}
	}
	return sessions, nil
}

// flooder is a flood as who measures sees it.
type flooder struct {
	orders  io.Closer
	results *json.Decoder
	wait    func() error // for the process, or the goroutine
	once    sync.Once
	told    floodResult // valid after end
	err     error       // of the flood itself; valid after end
}

// startFlood begins a flood in a process of program, or in this one when program is "", and returns when all its connections stand. The caller ends it, unless there is an error.
func startFlood(ctx context.Context, program string, order floodOrder) (*flooder, error) {
	f := &flooder{}
	var in io.WriteCloser
	var out io.Reader
	if program == "" {
		in, out = f.here(ctx)
	} else {
		cmd := exec.CommandContext(ctx, program, FloodCommand)
		var err, outErr error
		in, err = cmd.StdinPipe()
		out, outErr = cmd.StdoutPipe()
		if err := errors.Join(err, outErr, cmd.Start()); err != nil {
			return nil, fmt.Errorf("start %s %s: %w", program, FloodCommand, err)
		}
		f.wait = cmd.Wait
		// Who floods has machines of his own elsewhere: here his program takes of the processors what others leave, beginning before it has a second thread.
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, cmd.Process.Pid, leastPriority); err != nil {
			return nil, errors.Join(fmt.Errorf("lower the priority of the flood: %w", err), in.Close(), cmd.Wait())
		}
	}
	f.orders, f.results = in, json.NewDecoder(bufio.NewReader(out))
	err := json.NewEncoder(in).Encode(order)
	if err == nil {
		err = f.results.Decode(&struct{}{})
	}
	if err != nil {
		f.end()
		return nil, fmt.Errorf("flood: %w", errors.Join(err, f.err))
	}
	return f, nil
}

// here floods in a goroutine.
func (f *flooder) here(ctx context.Context) (io.WriteCloser, io.Reader) {
	fromUs, orders := io.Pipe()
	results, toUs := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := RunFlood(ctx, fromUs, toUs, clock.RealClock{})
		fromUs.Close()
		toUs.Close()
		ended <- err
	}()
	f.wait = func() error { return <-ended }
	return orders, results
}

// end stops the flood and waits for it. It may be called again, and for a flood that did not begin.
func (f *flooder) end() {
	if f == nil {
		return
	}
	f.once.Do(func() {
		closed := f.orders.Close()
		told := f.results.Decode(&f.told)
		f.err = errors.Join(closed, told, f.wait())
	})
}
