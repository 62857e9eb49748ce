package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	pollEvery = time.Millisecond // how often /readyz is asked; the figure is no finer
	stopLimit = 15 * time.Second // from SIGTERM to SIGKILL
)

// prepareReady starts the command, waits for /readyz, and stops it again; the stop is not measured, so one worker does all.
func prepareReady(_ context.Context, w *workspace) (*plan, error) {
	r := &starter{workspace: w}
	return &plan{
		workers: 1,
		do:      r.start,
		finish: func(_ context.Context, out *outcome) {
			out.latency, out.started = r.latency, r.memory
		},
	}, nil
}

// starter is used by one worker.
type starter struct {
	*workspace
	latency Histogram // exec to ready, without the stop
	memory  *Memory   // of the last server, when it was ready; nil when it could not be read
}

func (r *starter) start(ctx context.Context, s *session, _ int) (err error) {
	dir, err := os.MkdirTemp("", "floe-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	words := strings.Fields(strings.ReplaceAll(r.Exec, "{dir}", dir))
	if len(words) == 0 {
		return fmt.Errorf("%w: exec: no command", errNoStart)
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches this program only, which then stops the server
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	began := r.Clock.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %w", errNoStart, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	exited, err := r.awaitReady(ctx, s, dir, ended)
	if exited {
		return fmt.Errorf("%w: %s ended before it was ready: %w; it said: %s", errNoStart, words[0], err, said)
	}
	if err == nil {
		r.latency.Record(r.Clock.Since(began))
		if m, err := memoryOf(r.ProcRoot, cmd.Process.Pid); err == nil {
			r.memory = &m
		}
	}
	return errors.Join(err, r.stop(cmd.Process, ended))
}

// awaitReady asks until 200. exited says that the command ended instead, with err.
func (r *starter) awaitReady(ctx context.Context, s *session, dir string, ended <-chan error) (exited bool, err error) {
	for {
		err := r.ask(ctx, s, dir)
		if err == nil {
			return false, nil
		}
		select {
		case exit := <-ended:
			if exit == nil {
				exit = errors.New("exit status 0")
			}
			return true, exit
		case <-ctx.Done():
			return false, fmt.Errorf("not ready: %w; the last answer: %v", ctx.Err(), err)
		case <-r.Clock.After(pollEvery):
		}
	}
}

// ask asks /readyz once, in a way that works before there is a kubeconfig: over --url without credentials and without checking the
// certificate (nothing secret is sent), or with the kubeconfig as soon as it is there.
func (r *starter) ask(ctx context.Context, s *session, dir string) error {
	if r.ReadyURL != "" {
		if s.target == nil {
			s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
		}
		return readyz(ctx, s.client, strings.TrimSuffix(r.ReadyURL, "/"))
	}
	path := strings.ReplaceAll(r.ReadyFrom, "{dir}", dir)
	if _, err := os.Stat(path); err != nil {
		return err
	}
	target, err := LoadTarget(path, "")
	if err != nil {
		return err
	}
	client, err := target.connect()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	return readyz(ctx, client, strings.TrimSuffix(target.String(), "/"))
}

func readyz(ctx context.Context, client *http.Client, base string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return &statusError{code: resp.StatusCode, message: "/readyz"}
	}
	return nil
}

func (r *starter) stop(process *os.Process, ended <-chan error) error {
	if err := process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-r.Clock.After(stopLimit):
	}
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-ended
	return fmt.Errorf("exec: did not end within %v of SIGTERM, and was killed", stopLimit)
}

// tail keeps the last bytes that a command has said. os/exec writes to it from one goroutine, and it is read after that has ended.
type tail struct{ last []byte }

const tailSize = 2 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.last = append(t.last, p...)
	if extra := len(t.last) - tailSize; extra > 0 {
		t.last = append(t.last[:0], t.last[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.last)) }
