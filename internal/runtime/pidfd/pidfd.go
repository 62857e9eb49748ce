// Package pidfd waits for processes without polling and without confusing them with later ones of the same number.
//
// A process is opened by its number; when its start time is known too (from a file, or from the process itself), Open makes sure that
// it still is the same one. From then on the handle means that process only. Waiting parks the goroutine, not a thread.
package pidfd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone says that the process does not exist any more, or that its number belongs to another one now.
var ErrGone = errors.New("process is gone")

// Process is a handle of a process. Its methods are safe for concurrent use, except that one Wait at a time is allowed, and none with Close.
type Process struct {
	pid  int
	file *os.File
}

// Open returns a handle of process pid, which must have started at startTime (see StartTime); 0 accepts whichever has the number.
func Open(pid int, startTime uint64) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("pidfd of process %d: %w", pid, err)
	}
	p := &Process{pid: pid, file: os.NewFile(uintptr(fd), "pidfd:"+strconv.Itoa(pid))}
	if startTime != 0 {
		// The handle is held already, so the number cannot change hands between this look and later use.
		if now, err := StartTime(pid); err != nil || now != startTime {
			p.Close()
			return nil, fmt.Errorf("process %d of start time %d: %w", pid, startTime, ErrGone)
		}
	}
	return p, nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.pid }

// Wait returns nil when the process has ended (it may still be a zombie), or ctx's error.
func (p *Process) Wait(ctx context.Context) error {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		p.file.SetReadDeadline(time.Unix(1, 0))
	})
	defer func() {
		if !stop() { // the next Wait must not end at once because this one did
			<-interrupted
			p.file.SetReadDeadline(time.Time{})
		}
	}()
	err = conn.Read(func(fd uintptr) bool {
		set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(set, 0)
		return n > 0 || (err != nil && !errors.Is(err, unix.EINTR))
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Signal sends sig; ErrGone when the process has ended and was reaped.
func (p *Process) Signal(sig unix.Signal) error {
	conn, err := p.file.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	if errors.Is(sent, unix.ESRCH) {
		return fmt.Errorf("process %d: %w", p.pid, ErrGone)
	}
	return sent
}

// Close gives the handle up.
func (p *Process) Close() error { return p.file.Close() }

// StartTime returns when process pid started, in clock ticks after boot.
func StartTime(pid int) (uint64, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	// The second field, the name in parentheses, may hold anything; the start time is the 20th field after it.
	_, rest, ok := strings.Cut(string(data[max(0, strings.LastIndexByte(string(data), ')')):]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: unexpected content", pid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
