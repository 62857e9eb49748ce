package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// orphans reaps the processes that containers without a PID namespace of their own leave to this process, their subreaper.
//
// Children that somebody here waits for must not be reaped by anyone else. Those of a start under way are not known yet (libcontainer
// has several, for moments), so starting excludes reaping: a start holds starting for reading until its child is adopted into known.
type orphans struct {
	starting sync.RWMutex
	known    sync.Map // pid (int) → struct{}: somebody waits for it
}

// starts runs start, which returns the pid of the child it made and that somebody will wait for; 0 when it made none.
func (o *orphans) starts(start func() int) {
	o.starting.RLock()
	defer o.starting.RUnlock()
	if pid := start(); pid > 0 {
		o.known.Store(pid, struct{}{})
	}
}

// waited says that pid was reaped by the one who waited for it.
func (o *orphans) waited(pid int) { o.known.Delete(pid) }

func (o *orphans) run(ctx context.Context) {
	died := make(chan os.Signal, 1) // one pending signal is enough: reap takes all
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	for {
		select {
		case <-ctx.Done():
			return
		case <-died:
			o.reap()
		}
	}
}

func (o *orphans) reap() {
	o.starting.Lock()
	defer o.starting.Unlock()
	for _, pid := range children() {
		if _, ok := o.known.Load(pid); !ok {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // a living one stays, a reaped one is no child any more
		}
	}
}

// children lists this process's children; the kernel keeps a list per thread.
func children() []int {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	var pids []int
	for _, list := range lists {
		data, _ := os.ReadFile(list) // a thread that ended has none
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
