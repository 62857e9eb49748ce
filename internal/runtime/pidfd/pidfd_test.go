package pidfd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLifeOfAProcess(t *testing.T) {
	cmd := exec.Command("cat") // reads until its input ends, which is when this test says so
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	began, err := StartTime(pid)
	if err != nil || began == 0 {
		t.Fatalf("start time %d, %v", began, err)
	}
	p, err := Open(pid, began)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := Open(pid, began+1); !errors.Is(err, ErrGone) {
		t.Errorf("another process of the same number: %v", err)
	}
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if err := p.Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting for one that lives: %v", err)
	}
	if err := p.Signal(unix.Signal(0)); err != nil {
		t.Errorf("signal to one that lives: %v", err)
	}
	stdin.Close()
	for range 2 { // that a wait ended with its context must not spoil later ones
		if err := p.Wait(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if err := p.Signal(unix.SIGKILL); !errors.Is(err, ErrGone) {
		t.Errorf("signal to one that was reaped: %v", err)
	}
	if _, err := Open(pid, began); !errors.Is(err, ErrGone) {
		t.Errorf("open one that was reaped: %v", err)
	}
}

func TestStartTimeOfThisProcess(t *testing.T) {
	a, err1 := StartTime(os.Getpid())
	b, err2 := StartTime(os.Getppid())
	if err1 != nil || err2 != nil || a < b {
		t.Errorf("this process began at %d, its parent at %d (%v, %v)", a, b, err1, err2)
	}
}
