package runtime

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func procPath(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// resources turns a container's limits and devices into their OCI form.
func (r *Runtime) resources(c *container) (*specs.LinuxResources, []specs.LinuxDevice, error) {
	out, err := r.limits(c.config.GetLinux().GetResources())
	if err != nil {
		return nil, nil, err
	}
	devices, err := r.devices(c, out)
	return out, devices, err
}

// limits turns limits into their OCI form; what the host cannot limit is refused.
func (r *Runtime) limits(in *runtimeapi.LinuxContainerResources) (*specs.LinuxResources, error) {
	out := &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: in.GetCpusetCpus(), Mems: in.GetCpusetMems()}, Memory: &specs.LinuxMemory{}}
	if v := in.GetCpuShares(); v > 0 {
		shares := uint64(v)
		out.CPU.Shares = &shares
	}
	if v := in.GetCpuPeriod(); v > 0 {
		period := uint64(v)
		out.CPU.Period = &period
	}
	if v := in.GetCpuQuota(); v != 0 {
		out.CPU.Quota = &v
	}
	if v := in.GetMemoryLimitInBytes(); v != 0 {
		out.Memory.Limit = &v
	}
	if v := in.GetMemorySwapLimitInBytes(); v != 0 && r.host.Swap {
		out.Memory.Swap = &v
	}
	if len(in.GetUnified()) > 0 {
		if !r.cgroups.V2() {
			return nil, unsupported("cgroup v2 resources are asked, and this host has cgroup v1")
		}
		out.Unified = in.GetUnified()
	}
	for _, l := range in.GetHugepageLimits() {
		if !r.host.HugeTLB {
			if l.GetLimit() > 0 {
				return nil, unsupported("a limit of huge pages of %s is asked, and this host has no hugetlb cgroup controller", l.GetPageSize())
			}
			continue
		}
		out.HugepageLimits = append(out.HugepageLimits, specs.LinuxHugepageLimit{Pagesize: l.GetPageSize(), Limit: l.GetLimit()})
	}
	return out, nil
}

// devices lists the device nodes to make, and adds who may use them to res.
func (r *Runtime) devices(c *container, res *specs.LinuxResources) ([]specs.LinuxDevice, error) {
	if c.config.GetLinux().GetSecurityContext().GetPrivileged() {
		res.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
		return hostDevices()
	}
	res.Devices = []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}} // the standard ones are allowed by the shim
	var all []specs.LinuxDevice
	for _, d := range c.config.GetDevices() {
		path, err := filepath.EvalSymlinks(d.GetHostPath())
		if err != nil {
			return nil, invalid("device %s: %v", d.GetHostPath(), err)
		}
		device, err := deviceAt(path, d.GetContainerPath())
		if err != nil {
			return nil, err
		}
		if device == nil {
			return nil, unsupported("device %s: a directory or file instead of a device node is not supported by this release", d.GetHostPath())
		}
		if d.GetPermissions() == "" || strings.Trim(d.GetPermissions(), "rwm") != "" {
			return nil, invalid("device %s: permissions %q, allowed are r, w and m", d.GetHostPath(), d.GetPermissions())
		}
		all = append(all, *device)
		res.Devices = append(res.Devices, specs.LinuxDeviceCgroup{
			Allow: true, Type: device.Type, Major: &device.Major, Minor: &device.Minor, Access: d.GetPermissions(),
		})
	}
	return all, nil
}

// deviceAt describes the device node at host as one to be made at target; nil when it is none.
func deviceAt(host, target string) (*specs.LinuxDevice, error) {
	kind, st, err := lookAt(host)
	if err != nil {
		return nil, invalid("device %s: %v", host, err)
	}
	if kind != "c" && kind != "b" {
		return nil, nil
	}
	mode := os.FileMode(st.Mode & 0o777)
	return &specs.LinuxDevice{
		Path: target, Type: kind, Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)), FileMode: &mode, UID: &st.Uid, GID: &st.Gid,
	}, nil
}

// lookAt tells what kind of node is at a path, as OCI's letters have it: c, b, p for a pipe, "" for anything else.
func lookAt(path string) (kind string, st unix.Stat_t, err error) {
	if err := unix.Lstat(path, &st); err != nil {
		return "", st, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR:
		kind = "c"
	case unix.S_IFBLK:
		kind = "b"
	case unix.S_IFIFO:
		kind = "p"
	}
	return kind, st, nil
}

// hostDevices lists all device nodes of the host but terminals and what every container has anyway.
func hostDevices() ([]specs.LinuxDevice, error) {
	var all []specs.LinuxDevice
	err := filepath.WalkDir("/dev", func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // vanished, or of a file system that does not answer
		}
		if e.IsDir() {
			switch path {
			case "/dev/pts", "/dev/shm", "/dev/fd", "/dev/mqueue", "/dev/hugepages":
				return fs.SkipDir
			}
			return nil
		}
		if path == "/dev/console" || path == "/dev/ptmx" || e.Type()&fs.ModeDevice == 0 {
			return nil
		}
		d, err := deviceAt(path, path)
		if err == nil && d != nil {
			all = append(all, *d)
		}
		return nil
	})
	return all, err
}
