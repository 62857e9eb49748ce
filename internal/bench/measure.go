package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Measure runs one scenario and reports it. The report is not nil when there is something to report, also beside an error: an interrupt
// (ctx's error), a server that went away (ErrServerGone), or something that could not be cleaned up.
func Measure(ctx context.Context, s Scenario, options Options) (report *Report, err error) {
	o, err := options.complete(s)
	if err != nil {
		return nil, err
	}
	w, err := openWorkspace(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := w.afterwards(ctx)
		defer cancel()
		if errors.Is(err, ErrServerGone) {
			w.own = false // nobody there to ask
		}
		err = errors.Join(err, w.close(ctx))
	}()
	report = &Report{
		Scenario: s.Name, Unit: s.Unit, Clients: o.Clients, Encoding: o.Encoding, Gzip: o.Gzip, Objects: o.Objects, Nodes: o.Nodes,
		Server: o.Exec,
	}
	if !s.offline {
		report.Server = o.Target.String()
		if report.Version, err = w.version(ctx); err != nil {
			return nil, err
		}
	}
	p, err := s.prepare(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Name, err)
	}
	return report, w.execute(ctx, p, report)
}

// execute runs a plan between two looks at the processes, fills the report, and cleans up.
func (w *workspace) execute(ctx context.Context, p *plan, report *Report) error {
	workers := w.Clients
	if p.workers > 0 {
		workers = p.workers
	}
	before, err := cpuTimes(w.ProcRoot, w.Processes)
	if err != nil {
		return errors.Join(err, w.undoPlan(ctx, p, 0))
	}
	w.OnProgress("measuring " + report.Scenario)
	began := w.Clock.Now()
	out, err := load{clock: w.Clock, sessions: w.sessions[:workers], count: w.Count, duration: w.Duration}.run(ctx, p.do)
	if p.finish != nil {
		finishing, cancel := context.WithTimeout(ctx, w.Timeout)
		p.finish(finishing, out)
		cancel()
	}
	out.elapsed = w.Clock.Since(began)
	report.fill(out)
	if procErr := w.account(report, before, out); procErr != nil {
		// A process that was named and has ended is the server, or a part of it.
		err = errors.Join(err, fmt.Errorf("%w: %w", ErrServerGone, procErr))
	}
	if errors.Is(err, ErrServerGone) {
		w.abandon(ctx, p)
		return err
	}
	if p.after != nil && err == nil {
		err = p.after(ctx, report)
	}
	return errors.Join(err, w.undoPlan(ctx, p, out.begun))
}

// undoPlan cleans up what prepare and begun operations have made.
func (w *workspace) undoPlan(ctx context.Context, p *plan, begun int) error {
	if p.cleanup == nil {
		return nil
	}
	ctx, cancel := w.afterwards(ctx)
	defer cancel()
	return p.cleanup(ctx, begun)
}

// abandon ends what a plan holds in this process when the server is not there to be cleaned: with a context that has ended, cleanup closes
// watches and sends nothing. Its error could only say again that the server is gone.
func (w *workspace) abandon(ctx context.Context, p *plan) {
	if p.cleanup == nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	_ = p.cleanup(ctx, 0)
}

// account adds to the report what each process has used since before.
func (w *workspace) account(report *Report, before []time.Duration, out *outcome) error {
	after, err := cpuTimes(w.ProcRoot, w.Processes)
	if err != nil {
		return err
	}
	for i, p := range w.Processes {
		memory, err := memoryOf(w.ProcRoot, p.PID)
		if err != nil {
			return fmt.Errorf("process %s (%d): %w", p.Name, p.PID, err)
		}
		report.Processes = append(report.Processes, processReport(p, after[i]-before[i], memory, out.latency.Count()))
	}
	if out.started != nil {
		report.Processes = append(report.Processes, ProcessReport{Name: "exec", Memory: *out.started})
	}
	return nil
}
