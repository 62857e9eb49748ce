package main

/*
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// rest is the whole life of the first process of a process namespace that a pod's containers share. It reaps what they leave behind. It runs
// before Go's runtime does, so it costs some pages. Its root is empty, it may do nothing, and, since it is not dumpable, nobody in the namespace
// reaches through /proc/1 what it still has of the host.
__attribute__((constructor)) static void rest(int argc, char **argv) {
	if (argc < 2 || strcmp(argv[1], "rest") != 0)
		return;
	int mapped = argc == 3; // then 65534 need not exist, and the pod's root has no power over the host
	if (mapped) {
		int users = open(argv[2], O_RDONLY | O_CLOEXEC);
		pid_t first;
		if (users < 0 || setns(users, CLONE_NEWUSER) || setresgid(0, 0, 0) || setresuid(0, 0, 0) ||
		    close(users) || unshare(CLONE_NEWPID | CLONE_NEWNS) || (first = fork()) < 0)
			_exit(1);
		if (first) { // the number is that in the shim's own process namespace
			char said[16];
			int n = snprintf(said, sizeof said, "%d ", first);
			_exit(write(1, said, n) != n);
		}
	}
	sigset_t ended;
	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("rest", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=0") ||
	    chdir("/proc") || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/") ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || setgroups(0, NULL) ||
	    (setresgid(65534, 65534, 65534) && !mapped) || (setresuid(65534, 65534, 65534) && !mapped) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) || sigprocmask(SIG_BLOCK, &ended, NULL))
		_exit(1);
	if (write(1, "r", 1) != 1)
		_exit(1);
	close(1);
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		sigwaitinfo(&ended, NULL);
	}
}
*/
import "C"

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// shared is the process namespace that a pod's containers share, once one asks for it.
type shared struct {
	mu  sync.Mutex // held while the first process is started
	pid int        // of its first process; 0 before
}

// sharePID puts a container that asks for it into the pod's shared process namespace.
func (p *pod) sharePID(spec *specs.Spec, c *container) error {
	for i, ns := range spec.Linux.Namespaces {
		if ns.Type != specs.PIDNamespace || ns.Path != shim.SharedPID {
			continue
		}
		pid, err := p.rest(c.users)
		if err != nil {
			return fmt.Errorf("shared process namespace: %w", err)
		}
		spec.Linux.Namespaces[i].Path = "/proc/" + strconv.Itoa(pid) + "/ns/pid"
	}
	return nil
}

// rest starts the namespace's first process, if it does not run yet, in the user namespace at path users when the pod has one. It ends with the
// sandbox's cgroup.
func (p *pod) rest(users string) (int, error) {
	p.shared.mu.Lock()
	defer p.shared.mu.Unlock()
	if p.shared.pid != 0 {
		return p.shared.pid, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe", "rest")
	cmd.Stdout, cmd.Env = w, []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if users == "" {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS
	} else { // it must be there before it makes the others, so it makes them itself, and a child to be the first inside
		cmd.Args = append(cmd.Args, users)
	}
	p.orphans.starts(func() int { // nobody waits for it: should it end, it is an orphan
		err = cmd.Start()
		return 0
	})
	w.Close()
	if err != nil {
		return 0, err
	}
	pid := cmd.Process.Pid
	said, _ := io.ReadAll(r) // an r from the one that rests, in whatever order with the number of a child and a space
	number, rests := strings.Replace(string(said), "r", "", 1), strings.Contains(string(said), "r")
	if number != "" && rests {
		pid, err = strconv.Atoi(strings.TrimSpace(number))
	}
	if err != nil || !rests {
		return 0, errors.Join(errors.New("its first process did not come to rest"), err)
	}
	p.shared.pid = pid
	return pid, cmd.Process.Release()
}
