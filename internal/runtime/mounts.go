package runtime

import (
	"bufio"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// mounts lists what is mounted in the container: the standard file systems, the sandbox's files, and what the request asks, which takes the
// place of standard ones.
func (r *Runtime) mounts(c *container) ([]specs.Mount, error) {
	asked := map[string]bool{}
	var mounts []specs.Mount
	for i, m := range c.config.GetMounts() {
		mount, err := r.requestedMount(c, i, m)
		if err != nil {
			return nil, err
		}
		asked[mount.Destination] = true
		mounts = append(mounts, mount)
	}
	var all []specs.Mount
	for _, m := range append(standardMounts(c), etcMounts(c)...) {
		if !asked[m.Destination] {
			all = append(all, m)
		}
	}
	all = append(all, mounts...)
	orderMounts(all)
	return all, nil
}

// orderMounts has parents before what is inside them; else the order stays.
func orderMounts(all []specs.Mount) {
	slices.SortStableFunc(all, func(a, b specs.Mount) int { return depth(a.Destination) - depth(b.Destination) })
}

func depth(p string) int {
	if p == "/" {
		return 0
	}
	return strings.Count(p, "/")
}

func standardMounts(c *container) []specs.Mount {
	access := "ro"
	if c.config.GetLinux().GetSecurityContext().GetPrivileged() {
		access = "rw"
	}
	shm := filepath.Join(c.pod.dir, "shm")
	if c.pod.hostIPC() {
		shm = "/dev/shm"
	}
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev/shm", Type: "bind", Source: shm, Options: []string{"rbind", "rprivate", "nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", access}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", access}},
	}
}

// requestedMount is the i-th mount that a request asks.
func (r *Runtime) requestedMount(c *container, i int, m *runtimeapi.Mount) (specs.Mount, error) {
	if m.GetImage() != nil {
		return r.imageMount(c, i, m)
	}
	if m.GetImageSubPath() != "" {
		return specs.Mount{}, invalid("mount %s: a path of an image (%q) without an image", m.GetContainerPath(), m.GetImageSubPath())
	}
	return bindMount(m)
}

// volumesDir is where, below a container's directory, its image volumes are mounted, each under its place among the mounts.
const volumesDir = "volumes"

// imageMount has an image mounted by the shim, and what is asked of it in the container: read-only, and nothing in it is a program.
func (r *Runtime) imageMount(c *container, i int, m *runtimeapi.Mount) (specs.Mount, error) {
	none, target := specs.Mount{}, path.Join("/", m.GetContainerPath())
	switch {
	case m.GetHostPath() != "":
		return none, invalid("mount %s: both an image (%q) and a host path (%q)", target, m.GetImage().GetImage(), m.GetHostPath())
	case m.GetContainerPath() == "":
		return none, invalid("mount of image %q: a container path is required", m.GetImage().GetImage())
	case m.GetPropagation() != runtimeapi.MountPropagation_PROPAGATION_PRIVATE:
		return none, invalid("mount %s: an image has nothing to propagate", target)
	}
	img, err := r.findImage(m.GetImage().GetImage())
	if err != nil {
		return none, err
	}
	lower, err := r.images.Pin(volumePin(c.id, i), img)
	if err != nil {
		return none, err
	}
	source := filepath.Join(c.dir, volumesDir, strconv.Itoa(i))
	c.volumes = append(c.volumes, shim.Volume{Target: source, Lower: lower, SubPath: m.GetImageSubPath()})
	return specs.Mount{Destination: target, Type: "bind", Source: source, Options: []string{"rbind", "rprivate", "ro", "noexec", "nosuid", "nodev"}}, nil
}

// volumePin names the pin of the image that is a container's i-th mount.
func volumePin(id string, i int) string { return id + "." + strconv.Itoa(i) }

// bindMount turns a requested mount into its OCI form.
func bindMount(m *runtimeapi.Mount) (specs.Mount, error) {
	none := specs.Mount{}
	target, source := m.GetContainerPath(), m.GetHostPath()
	switch {
	case (len(m.GetUidMappings()) > 0) != (len(m.GetGidMappings()) > 0):
		return none, invalid("mount %s: mappings of user and of group IDs come together", target)
	case target == "" || source == "":
		return none, invalid("mount from %q to %q: both paths are required", source, target)
	}
	if !path.IsAbs(target) {
		target = path.Join("/", target)
	}
	source, err := filepath.EvalSymlinks(source)
	if err != nil {
		return none, invalid("mount %s: failed to stat %q: %v", target, m.GetHostPath(), err)
	}
	options := []string{"rbind"}
	shared, slave, err := propagation(source)
	if err != nil {
		return none, err
	}
	switch m.GetPropagation() {
	case runtimeapi.MountPropagation_PROPAGATION_PRIVATE:
		options = append(options, "rprivate")
	case runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER:
		if !shared && !slave {
			return none, invalid("mount %s: path %q is on a mount that is neither shared nor slave, so nothing propagates from it", target, source)
		}
		options = append(options, "rslave")
	case runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL:
		if !shared {
			return none, invalid("mount %s: path %q is on a mount that is not shared, so nothing propagates to it", target, source)
		}
		options = append(options, "rshared")
	default:
		return none, invalid("mount %s: unknown propagation %s", target, m.GetPropagation())
	}
	access := "rw"
	if m.GetReadonly() {
		access = "ro"
	}
	options = append(options, access)
	if m.GetRecursiveReadOnly() {
		if !m.GetReadonly() || m.GetPropagation() != runtimeapi.MountPropagation_PROPAGATION_PRIVATE {
			return none, invalid("mount %s: recursive read-only needs readonly and private propagation", target)
		}
		options = append(options, "rro")
	}
	return specs.Mount{
		Destination: path.Clean(target), Type: "bind", Source: source, Options: options,
		UIDMappings: specIDs(m.GetUidMappings()), GIDMappings: specIDs(m.GetGidMappings()),
	}, nil
}

// rootPropagation lets what propagates through a mount pass the container's root.
func rootPropagation(mounts []*runtimeapi.Mount) string {
	result := ""
	for _, m := range mounts {
		switch m.GetPropagation() {
		case runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL:
			return "rshared"
		case runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER:
			result = "rslave"
		}
	}
	return result
}

// propagation says how the mount that path is on takes part in propagation on the host.
func propagation(target string) (shared, slave bool, err error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return false, false, err
	}
	defer f.Close()
	best := -1
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		fields := strings.Fields(scan.Text())
		if len(fields) < 7 {
			continue
		}
		point := unescapeMount.Replace(fields[4])
		if point != "/" && target != point && !strings.HasPrefix(target, point+"/") || len(point) < best {
			continue
		}
		best, shared, slave = len(point), false, false // a later mount at the same point covers the earlier
		for _, option := range fields[6:] {
			if option == "-" {
				break
			}
			shared = shared || strings.HasPrefix(option, "shared:")
			slave = slave || strings.HasPrefix(option, "master:")
		}
	}
	return shared, slave, scan.Err()
}

var unescapeMount = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// etcFiles are the files that containers of a sandbox share when the request mounts none of its own.
var etcFiles = [...]string{"hostname", "hosts", "resolv.conf"}

// writeEtcFiles makes them: the sandbox's host name, the host's own hosts, and the DNS configuration of the request or of the host.
func writeEtcFiles(p *pod) error {
	hosts, err := os.ReadFile("/etc/hosts")
	if err != nil {
		hosts = []byte("127.0.0.1\tlocalhost\n::1\tlocalhost\n")
	}
	content := map[string][]byte{"hostname": []byte(p.config.GetHostname() + "\n"), "hosts": hosts, "resolv.conf": resolvConf(p)}
	for _, name := range etcFiles {
		path := filepath.Join(p.dir, name)
		if err := os.WriteFile(path, content[name], 0o644); err != nil {
			return err
		}
		if err := p.giveToRoot(path); err != nil {
			return err
		}
	}
	return nil
}

func resolvConf(p *pod) []byte {
	dns := p.config.GetDnsConfig()
	if dns == nil {
		data, _ := os.ReadFile("/etc/resolv.conf") // a host without one resolves nothing, and neither do its pods
		return data
	}
	var b strings.Builder
	if len(dns.GetSearches()) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(dns.GetSearches(), " "))
	}
	for _, s := range dns.GetServers() {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(dns.GetOptions()) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(dns.GetOptions(), " "))
	}
	return []byte(b.String())
}

func etcMounts(c *container) []specs.Mount {
	access := "rw"
	if c.config.GetLinux().GetSecurityContext().GetReadonlyRootfs() {
		access = "ro"
	}
	var all []specs.Mount
	for _, name := range etcFiles {
		all = append(all, specs.Mount{
			Destination: "/etc/" + name, Type: "bind", Source: filepath.Join(c.pod.dir, name), Options: []string{"rbind", "rprivate", access},
		})
	}
	return all
}
