package main

/*
#cgo LDFLAGS: -Wl,--wrap=seccomp_rule_add_array -Wl,--wrap=seccomp_rule_add_exact_array -Wl,--wrap=seccomp_export_bpf
#include <seccomp.h>
#include <stdlib.h>
#include <unistd.h>

// A filter's compilation by libseccomp takes some ten milliseconds, and is the same for the same profile. libcontainer compiles in the process
// that is to have the filter. The linker leads the three calls that matter through here, so that one process can compile and keep the result
// (keep), and another be given it (given). Without either they are libseccomp's own.

extern int __real_seccomp_rule_add_array(scmp_filter_ctx, uint32_t, int, unsigned int, const struct scmp_arg_cmp *);
extern int __real_seccomp_rule_add_exact_array(scmp_filter_ctx, uint32_t, int, unsigned int, const struct scmp_arg_cmp *);
extern int __real_seccomp_export_bpf(const scmp_filter_ctx, int);

static void *given;
static size_t given_length;
static int keep;

int __wrap_seccomp_rule_add_array(scmp_filter_ctx ctx, uint32_t action, int call, unsigned int n, const struct scmp_arg_cmp *args) {
	return given ? 0 : __real_seccomp_rule_add_array(ctx, action, call, n, args);
}

int __wrap_seccomp_rule_add_exact_array(scmp_filter_ctx ctx, uint32_t action, int call, unsigned int n, const struct scmp_arg_cmp *args) {
	return given ? 0 : __real_seccomp_rule_add_exact_array(ctx, action, call, n, args);
}

int __wrap_seccomp_export_bpf(const scmp_filter_ctx ctx, int fd) {
	if (keep)
		_exit(__real_seccomp_export_bpf(ctx, 1) ? 1 : 0);
	if (!given)
		return __real_seccomp_export_bpf(ctx, fd);
	for (size_t done = 0; done < given_length;) {
		ssize_t n = write(fd, (char *)given + done, given_length - done);
		if (n <= 0)
			return -1;
		done += n;
	}
	return 0;
}

static void give(void *filter, size_t length) { given = filter; given_length = length; }
static void keep_next(void) { keep = 1; }
*/
import "C"

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/opencontainers/runc/libcontainer/configs"
	"github.com/opencontainers/runc/libcontainer/seccomp"
)

// filterName is the link, beside a container's root file system, to its compiled filter.
const filterName = "filter"

// maxFilter bounds a compiled filter, in bytes; the kernel takes 4096 instructions of 8.
const maxFilter = 32 << 10

// useFilter gives libcontainer's second stage the filter that the shim found ready. The working directory is the container's root file system,
// still in the host's tree: only of a container's first process, so an exec, whose tree is the container's own, is told apart.
func useFilter() {
	if os.Getenv("_LIBCONTAINER_INITTYPE") != "standard" {
		return
	}
	filter, err := os.ReadFile(filepath.Join("..", filterName))
	if err != nil || len(filter) == 0 || len(filter) > maxFilter || len(filter)%8 != 0 {
		return // it is compiled then
	}
	C.give(C.CBytes(filter), C.size_t(len(filter)))
}

// compileFilter writes the filter of the profile on standard input, as libcontainer has it, to standard output, and ends the process.
func compileFilter() error {
	var profile configs.Seccomp
	if err := json.NewDecoder(os.Stdin).Decode(&profile); err != nil {
		return fmt.Errorf("seccomp profile: %w", err)
	}
	C.keep_next()
	_, err := seccomp.InitSeccomp(&profile)
	return errors.Join(err, errors.New("the filter was not compiled"))
}

// findFilter links a container to the compiled filter of its profile, kept in dir. When there is none yet, it is compiled for the next
// container meanwhile; this one compiles its own. Whatever fails costs time, nothing else.
func (p *pod) findFilter(c *container, dir string, profile *configs.Seccomp) {
	if dir == "" || profile == nil {
		return
	}
	encoded, err := json.Marshal(profile)
	if err != nil {
		return
	}
	sum := sha256.Sum256(encoded)
	path := filepath.Join(dir, hex.EncodeToString(sum[:]))
	if _, err := os.Stat(path); err == nil {
		link := filepath.Join(filepath.Dir(c.rootfs), filterName)
		if c.users == "" {
			_ = os.Symlink(path, link)
		} else if filter, err := os.ReadFile(path); err == nil { // which is beyond the reach of a pod's own users
			_ = os.WriteFile(link, filter, 0o644)
		}
		return
	}
	p.work.Go(func() {
		if err := p.keepFilter(path, encoded); err != nil && !errors.Is(err, os.ErrExist) {
			fmt.Fprintf(os.Stderr, "compile a seccomp filter: %v\n", err)
		}
	})
}

// keepFilter compiles a filter in a process of its own. Who is second leaves it to the first (os.ErrExist).
func (p *pod) keepFilter(path string, profile []byte) error {
	out, err := os.OpenFile(path+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe", "filter")
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = r, out, os.Stderr, []string{}
	p.orphans.starts(func() int {
		if err = cmd.Start(); err != nil {
			return 0
		}
		return cmd.Process.Pid
	})
	if err == nil {
		_, _ = w.Write(profile) // a compiler that died tells by its end
		w.Close()
		err = cmd.Wait()
		p.orphans.waited(cmd.Process.Pid)
	} else {
		w.Close()
	}
	if err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	return os.Rename(path+".new", path)
}
