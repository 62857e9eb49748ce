package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// shmSize is that of a sandbox's /dev/shm in bytes, as other runtimes have it.
const shmSize = "67108864"

// makeNamespaces makes the namespaces that the sandbox's containers share and holds each by a bind mount, so that no process has to.
func makeNamespaces(p *pod) error {
	result := make(chan error, 1)
	go onOwnThread(func() { result <- unshare(p) })
	return <-result
}

// onOwnThread runs do on a thread of its own that ends afterwards, because nothing can give a thread its old namespaces back for sure. The
// process's first thread must not be that one: it never ends, and /proc/self shows its namespaces.
func onOwnThread(do func()) {
	goruntime.LockOSThread() // and never unlocked: the thread ends with this goroutine
	if unix.Gettid() != unix.Getpid() {
		do()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		onOwnThread(do)
	}()
	<-done // the first thread is taken until then, so the other goroutine gets another one
	goruntime.UnlockOSThread()
}

// unshare gives the calling thread new namespaces, sets them up and binds them below the sandbox's directory.
func unshare(p *pod) error {
	flags, kinds := 0, []string{}
	if !p.hostNetwork() {
		flags, kinds = flags|unix.CLONE_NEWNET|unix.CLONE_NEWUTS, append(kinds, "net", "uts")
	}
	if !p.hostIPC() {
		flags, kinds = flags|unix.CLONE_NEWIPC, append(kinds, "ipc")
	}
	if flags == 0 {
		return nil
	}
	err := error(nil)
	if p.users() != nil {
		err = enterUsers(p, flags, kinds)
	} else {
		err = unix.Unshare(flags)
	}
	if err != nil {
		return fmt.Errorf("make namespaces %v: %w", kinds, err)
	}
	if name := p.config.GetHostname(); name != "" && !p.hostNetwork() {
		if err := unix.Sethostname([]byte(name)); err != nil {
			return fmt.Errorf("set host name %q: %w", name, err)
		}
	}
	if err := applySysctls(p); err != nil {
		return err
	}
	for _, kind := range kinds {
		if err := hold("/proc/thread-self/ns/"+kind, p.nsPath(kind)); err != nil {
			return err
		}
	}
	return nil
}

// hold keeps a namespace alive by a mount of it at path.
func hold(ns, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	if err := unix.Mount(ns, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("hold namespace %s: %w", filepath.Base(path), err)
	}
	return nil
}

// makeShm makes what the containers see as /dev/shm; they share it as they share the IPC namespace.
func makeShm(p *pod) error {
	if p.hostIPC() {
		return nil
	}
	dir := filepath.Join(p.dir, "shm")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	err := unix.Mount("shm", dir, "tmpfs", unix.MS_NOEXEC|unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size="+shmSize+p.shmOwner())
	if err != nil {
		return fmt.Errorf("mount /dev/shm: %w", err)
	}
	return nil
}

// removeNamespaces gives up the mounts that makeNamespaces and makeShm made, as far as they did.
func removeNamespaces(p *pod) error {
	var errs []error
	for _, path := range []string{p.nsPath("net"), p.nsPath("uts"), p.nsPath("ipc"), p.nsPath("user"), filepath.Join(p.dir, "shm")} {
		errs = append(errs, unmount(path))
	}
	return errors.Join(errs...)
}

// unmount detaches what is mounted at path, however often, and removes path, which must be empty then.
func unmount(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break // nothing is mounted there
		}
		if err != nil {
			return &fs.PathError{Op: "unmount", Path: path, Err: err}
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// defaultSysctls let containers without privileges listen on low ports and send pings on their own network, as other runtimes do.
var defaultSysctls = [][2]string{
	{"net.ipv4.ip_unprivileged_port_start", "0"},
	{"net.ipv4.ping_group_range", "0 2147483647"},
}

// checkSysctls refuses those that are not a sandbox's own.
func checkSysctls(config *runtimeapi.PodSandboxConfig) error {
	ns := config.GetLinux().GetSecurityContext().GetNamespaceOptions()
	for name := range config.GetLinux().GetSysctls() {
		switch {
		case strings.ContainsAny(name, "/\x00") || strings.Contains(name, ".."):
			return invalid("sysctl %q is not a name", name)
		case strings.HasPrefix(name, "net."):
			if ns.GetNetwork() == runtimeapi.NamespaceMode_NODE {
				return invalid("sysctl %q is not allowed on the host's network", name)
			}
		case strings.HasPrefix(name, "kernel.shm"), strings.HasPrefix(name, "kernel.msg"), name == "kernel.sem", strings.HasPrefix(name, "fs.mqueue."):
			if ns.GetIpc() == runtimeapi.NamespaceMode_NODE {
				return invalid("sysctl %q is not allowed in the host's IPC namespace", name)
			}
		default:
			return invalid("sysctl %q is not in a namespace of the pod's own", name)
		}
	}
	return nil
}

// applySysctls writes the sandbox's sysctls; /proc/sys shows each thread its own namespaces' values.
func applySysctls(p *pod) error {
	if !p.hostNetwork() {
		for _, s := range defaultSysctls {
			// An old kernel may lack them; then containers need the capability.
			_ = writeSysctl(s[0], s[1])
		}
	}
	for name, value := range p.config.GetLinux().GetSysctls() {
		if err := writeSysctl(name, value); err != nil {
			return fmt.Errorf("sysctl %s=%q: %w", name, value, err)
		}
	}
	return nil
}

func writeSysctl(name, value string) error {
	return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0)
}
