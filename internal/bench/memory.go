package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Step is what one process held at a point of scenario memory.
type Step struct {
	Name    string `json:"step"`
	Process string `json:"process"`
	Memory
	Peak int64 `json:"peakBytes"` // the most that was resident since the process began
}

// steps of scenario memory, in their order.
const (
	stepBefore  = "before"
	stepCreated = "created"
	stepListed  = "listed"
	stepRested  = "rested"
)

// listers and listRounds say how the objects are listed between two steps: so many workers, so many times each, in each encoding.
const (
	listers    = 4
	listRounds = 5
)

// prepareMemory makes objects as the scenario create does. Its report says what the processes hold before, with all objects, after
// they were listed in every encoding, and when nobody has asked for anything for a while.
func prepareMemory(ctx context.Context, w *workspace) (*plan, error) {
	p, err := prepareCreate(ctx, w)
	if err != nil {
		return nil, err
	}
	steps, err := w.look(nil, stepBefore)
	if err != nil {
		return nil, err
	}
	p.after = func(ctx context.Context, report *Report) (err error) {
		defer func() { report.Steps = steps }()
		if steps, err = w.look(steps, stepCreated); err != nil {
			return err
		}
		if err := w.listAll(ctx); err != nil {
			return err
		}
		if steps, err = w.look(steps, stepListed); err != nil {
			return err
		}
		w.OnProgress(fmt.Sprintf("resting for %v", w.Rest))
		select {
		case <-w.Clock.After(w.Rest):
		case <-ctx.Done():
			return ctx.Err()
		}
		steps, err = w.look(steps, stepRested)
		return err
	}
	return p, nil
}

// listAll lists the namespace in every encoding.
func (w *workspace) listAll(ctx context.Context) error {
	kind, _ := kindNamed(w.Kind)
	path := w.collection(kind)
	for _, r := range []request{{accept: mediaProtobuf}, {accept: mediaProtobuf, gzip: true}, {accept: mediaJSON}} {
		r.method, r.path = "GET", path
		w.OnProgress(fmt.Sprintf("listing as %s", r.accept))
		out, err := load{clock: w.Clock, sessions: w.sessions[:listers], count: listers * listRounds}.run(ctx, func(ctx context.Context, s *session, _ int) error {
			_, err := s.do(ctx, r)
			return err
		})
		if err := failFirst("list", out, err); err != nil {
			return err
		}
	}
	return nil
}

// look adds what every process holds now.
func (w *workspace) look(steps []Step, name string) ([]Step, error) {
	for _, p := range w.Processes {
		memory, err := memoryOf(w.ProcRoot, p.PID)
		if err != nil {
			return steps, fmt.Errorf("process %s (%d): %w", p.Name, p.PID, err)
		}
		peak, err := peakOf(w.ProcRoot, p.PID)
		if err != nil {
			return steps, fmt.Errorf("process %s (%d): %w", p.Name, p.PID, err)
		}
		steps = append(steps, Step{Name: name, Process: p.Name, Memory: memory, Peak: peak})
	}
	return steps, nil
}

// peakOf reads the most that a process has held resident, in bytes, from /proc/PID/status (proc_pid_status(5)).
func peakOf(procRoot string, pid int) (int64, error) {
	path := filepath.Join(procRoot, strconv.Itoa(pid), "status")
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		rest, found := strings.CutPrefix(line, "VmHWM:")
		if !found {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 48)
		if err != nil {
			return 0, fmt.Errorf("%s: VmHWM %w", path, err)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("%s: lacks VmHWM", path)
}

// defaultRest is longer than what a server keeps for those who were there a moment ago.
const defaultRest = time.Minute
