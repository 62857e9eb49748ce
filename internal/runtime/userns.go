package runtime

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// A pod with a user namespace has all its namespaces inside it, so that its root has power over them and over nothing else. Files keep
// the numbers that they have in the image: layers are mounted ID-mapped, and what floe makes for the pod belongs to the pod's root.

// maxIDRanges is how many ranges the kernel takes in one mapping.
const maxIDRanges = 340

// usersOf is what the options ask of a user namespace; nil when they ask for the host's.
func usersOf(ns *runtimeapi.NamespaceOption) *runtimeapi.UserNamespace {
	if u := ns.GetUsernsOptions(); u != nil && u.GetMode() == runtimeapi.NamespaceMode_POD {
		return u
	}
	return nil
}

// users is the sandbox's user namespace; nil when it has none of its own.
func (p *pod) users() *runtimeapi.UserNamespace { return usersOf(p.namespaces()) }

// root is the user and group, as the host counts, that the sandbox's own 0 are.
func (p *pod) root() (uid, gid int) {
	if u := p.users(); u != nil {
		return hostID(u.GetUids()), hostID(u.GetGids())
	}
	return 0, 0
}

// hostID is what 0 is on the host; checkIDs has seen that it is something.
func hostID(ranges []*runtimeapi.IDMapping) int {
	for _, m := range ranges {
		if m.GetContainerId() == 0 {
			return int(m.GetHostId())
		}
	}
	return 0
}

// checkUsers refuses user namespaces that cannot be.
func checkUsers(ns *runtimeapi.NamespaceOption) error {
	u := ns.GetUsernsOptions()
	switch {
	case u == nil:
		return nil
	case u.GetMode() == runtimeapi.NamespaceMode_NODE:
		if len(u.GetUids())+len(u.GetGids()) > 0 {
			return invalid("the host's user namespace has no mappings that a pod could choose")
		}
		return nil
	case u.GetMode() != runtimeapi.NamespaceMode_POD:
		return invalid("user namespace mode %s is neither POD nor NODE", u.GetMode())
	}
	node := runtimeapi.NamespaceMode_NODE
	if ns.GetNetwork() == node || ns.GetIpc() == node || ns.GetPid() == node {
		return unsupported("a pod with a user namespace of its own cannot have the host's network, IPC or process namespace")
	}
	return errors.Join(checkIDs("user", u.GetUids()), checkIDs("group", u.GetGids()))
}

// checkIDs refuses mappings that the kernel would, and those without a root.
func checkIDs(kind string, ranges []*runtimeapi.IDMapping) error {
	root := false
	for _, m := range ranges {
		last := max(uint64(m.GetHostId()), uint64(m.GetContainerId())) + uint64(m.GetLength())
		if m.GetLength() == 0 || last > math.MaxUint32 {
			return invalid("user namespace: %s IDs %d of the pod to %d of the host, %d of them: no such range", kind, m.GetContainerId(), m.GetHostId(), m.GetLength())
		}
		root = root || m.GetContainerId() == 0
	}
	if !root || len(ranges) > maxIDRanges {
		return invalid("user namespace: mappings of %s IDs must be 1 to %d and begin with the pod's ID 0; there are %d", kind, maxIDRanges, len(ranges))
	}
	return nil
}

// checkSameUsers refuses a container that asks for other users than its sandbox has.
func checkSameUsers(p *pod, ns *runtimeapi.NamespaceOption) error {
	if !proto.Equal(p.users(), usersOf(ns)) {
		return invalid("the container's user namespace (%v) must be the sandbox's (%v)", usersOf(ns), p.users())
	}
	return nil
}

// specIDs is a mapping as the OCI specification has it.
func specIDs(ranges []*runtimeapi.IDMapping) []specs.LinuxIDMapping {
	var all []specs.LinuxIDMapping
	for _, m := range ranges {
		all = append(all, specs.LinuxIDMapping{ContainerID: m.GetContainerId(), HostID: m.GetHostId(), Size: m.GetLength()})
	}
	return all
}

func processIDs(ranges []*runtimeapi.IDMapping) []syscall.SysProcIDMap {
	var all []syscall.SysProcIDMap
	for _, m := range ranges {
		all = append(all, syscall.SysProcIDMap{ContainerID: int(m.GetContainerId()), HostID: int(m.GetHostId()), Size: int(m.GetLength())})
	}
	return all
}

// withUsers makes a user namespace, and namespaces of the other kinds inside it, and calls do with the number of a process that is in them.
// A program with threads cannot enter a new user namespace, so this one starts itself there, and has it stopped before its first instruction:
// as a traced process is. The thread must be locked to the goroutine; it is the tracer.
func withUsers(u *runtimeapi.UserNamespace, flags int, do func(pid int) error) error {
	process, err := os.StartProcess("/proc/self/exe", []string{"floe"}, &os.ProcAttr{Env: []string{}, Sys: &syscall.SysProcAttr{
		Cloneflags: uintptr(unix.CLONE_NEWUSER | flags), UidMappings: processIDs(u.GetUids()), GidMappings: processIDs(u.GetGids()),
		GidMappingsEnableSetgroups: true, Ptrace: true, Pdeathsig: syscall.SIGKILL,
	}})
	if err != nil {
		return fmt.Errorf("make a user namespace: %w", err)
	}
	err = do(process.Pid)
	if killed := process.Kill(); killed != nil {
		return errors.Join(err, killed)
	}
	_, _ = process.Wait() // its end is ours
	return err
}

// enterUsers makes the sandbox's user namespace and holds it, and takes the calling thread into namespaces of the kinds that belong to it.
func enterUsers(p *pod, flags int, kinds []string) error {
	return withUsers(p.users(), flags, func(pid int) error {
		if err := hold(procPath(pid, "ns/user"), p.nsPath("user")); err != nil {
			return err
		}
		for _, kind := range kinds {
			ns, err := os.Open(procPath(pid, "ns/"+kind))
			if err != nil {
				return err
			}
			err = unix.Setns(int(ns.Fd()), 0)
			ns.Close()
			if err != nil {
				return fmt.Errorf("enter namespace %s: %w", kind, err)
			}
		}
		return nil
	})
}

// canMapUsers tries once what pods with user namespaces need: one, and a mount in dir that is mapped to it.
func canMapUsers(dir string) error {
	one := []*runtimeapi.IDMapping{{HostId: 1 << 16, Length: 1 << 16}}
	result := make(chan error, 1)
	go onOwnThread(func() {
		result <- withUsers(&runtimeapi.UserNamespace{Uids: one, Gids: one}, 0, func(pid int) error {
			ns, err := os.Open(procPath(pid, "ns/user"))
			if err != nil {
				return err
			}
			defer ns.Close()
			tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
			if err != nil {
				return fmt.Errorf("clone the mount of %s: %w", dir, err)
			}
			defer unix.Close(tree)
			err = unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns.Fd())})
			if err != nil {
				return fmt.Errorf("map the IDs of %s: %w", dir, err)
			}
			return nil
		})
	})
	return <-result
}

// mappedRoot is where the root file system of a container with a user namespace is mounted, because its first process, which is nobody to the
// host, cannot pass Config.State. "" for others, whose place the shim knows.
func (r *Runtime) mappedRoot(c *container) string {
	return filepath.Join(r.cfg.Passage, c.id, "rootfs")
}

// makeMappedRoot makes that place, which the container's root may pass and no other user.
func (r *Runtime) makeMappedRoot(c *container) error {
	dir := filepath.Dir(r.mappedRoot(c))
	if err := os.MkdirAll(r.cfg.Passage, 0o711); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o710); err != nil {
		return err
	}
	uid, gid := c.pod.root()
	return errors.Join(os.Chown(dir, 0, gid), os.Chown(r.upper(c.id), uid, gid))
}

// removeMappedRoot undoes makeMappedRoot, and the mount there.
func (r *Runtime) removeMappedRoot(c *container) error {
	return errors.Join(unmount(r.mappedRoot(c)), os.RemoveAll(filepath.Dir(r.mappedRoot(c))))
}

// giveToRoot makes the sandbox's root the owner of a file that floe made for it.
func (p *pod) giveToRoot(path string) error {
	if p.users() == nil {
		return nil
	}
	uid, gid := p.root()
	return os.Chown(path, uid, gid)
}

// shmOwner is the owner of a sandbox's /dev/shm, as options of a tmpfs.
func (p *pod) shmOwner() string {
	uid, gid := p.root()
	return ",uid=" + strconv.Itoa(uid) + ",gid=" + strconv.Itoa(gid)
}

// withoutUsers says, for people, why pods cannot have user namespaces here.
func (r *Runtime) withoutUsers() []string {
	if err := r.mapsUsers(); err != nil {
		return []string{"no user namespaces for pods: " + err.Error()}
	}
	return nil
}
