package runtime

import (
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/runtime/shim"
)

// spec turns a request into an OCI runtime configuration. Whatever it asks that is not done here or by the shim is refused.
func (r *Runtime) spec(c *container, img *v1.ConfigFile) (*specs.Spec, error) {
	if err := r.checkContainer(c.config); err != nil {
		return nil, err
	}
	sc := c.config.GetLinux().GetSecurityContext()
	if err := checkSameUsers(c.pod, sc.GetNamespaceOptions()); err != nil {
		return nil, err
	}
	process, err := r.process(c, img)
	if err != nil {
		return nil, err
	}
	mounts, err := r.mounts(c)
	if err != nil {
		return nil, err
	}
	namespaces, err := r.namespacesOf(c)
	if err != nil {
		return nil, err
	}
	resources, devices, err := r.resources(c)
	if err != nil {
		return nil, err
	}
	seccomp, err := seccompProfile(sc, process.Capabilities.Bounding)
	if err != nil {
		return nil, err
	}
	spec := &specs.Spec{
		Version: specs.Version, Process: process, Mounts: mounts,
		Root: &specs.Root{Path: shim.RootfsName, Readonly: sc.GetReadonlyRootfs()},
		Linux: &specs.Linux{
			Namespaces: namespaces, CgroupsPath: path.Join(c.pod.cgroup, c.id), Resources: resources, Devices: devices, Seccomp: seccomp,
			RootfsPropagation: rootPropagation(c.config.GetMounts()),
		},
	}
	if !sc.GetPrivileged() {
		spec.Linux.MaskedPaths, spec.Linux.ReadonlyPaths = sc.GetMaskedPaths(), sc.GetReadonlyPaths()
		if sc.GetMaskedPaths() == nil {
			spec.Linux.MaskedPaths = defaultMasked[:]
		}
		if sc.GetReadonlyPaths() == nil {
			spec.Linux.ReadonlyPaths = defaultReadonly[:]
		}
	}
	return spec, r.inject(spec, c.config)
}

// defaultMasked and defaultReadonly are the paths that a container may not see or change when the request says nothing (nil; an empty
// list asks for none), as kubelets and other runtimes have them.
var (
	defaultMasked = [...]string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
	}
	defaultReadonly = [...]string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// checkContainer refuses what cannot be done.
func (r *Runtime) checkContainer(config *runtimeapi.ContainerConfig) error {
	sc := config.GetLinux().GetSecurityContext()
	if config.GetWindows() != nil {
		return invalid("container config has a Windows part; this is a Linux runtime")
	}
	return checkSELinux(sc.GetSelinuxOptions(), r.host.SELinux)
}

// defaultPath is the PATH of images that set none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (r *Runtime) process(c *container, img *v1.ConfigFile) (*specs.Process, error) {
	sc := c.config.GetLinux().GetSecurityContext()
	caps, err := r.host.containerCapabilities(sc)
	if err != nil {
		return nil, err
	}
	args := commandLine(c.config, img)
	if len(args) == 0 {
		return nil, invalid("no command specified: neither the container nor its image has one")
	}
	user := c.record.User
	adj := max(int(c.config.GetLinux().GetResources().GetOomScoreAdj()), r.host.LowestOOMScoreAdj)
	p := &specs.Process{
		Terminal: c.config.GetTty(), Args: args, Env: environment(c, img), Cwd: "/",
		User:         specs.User{UID: user.UID, GID: user.GID, AdditionalGids: user.Groups},
		Capabilities: caps, NoNewPrivileges: sc.GetNoNewPrivs(), OOMScoreAdj: &adj,
	}
	if p.ApparmorProfile, err = confinement(sc, r.host.armor()); err != nil {
		return nil, err
	}
	for _, dir := range []string{c.config.GetWorkingDir(), img.Config.WorkingDir} {
		if dir != "" {
			p.Cwd = dir
			break
		}
	}
	if !path.IsAbs(p.Cwd) {
		return nil, invalid("working directory %q is not absolute", p.Cwd)
	}
	return p, nil
}

// commandLine joins command and arguments with the image's: a command replaces both of the image's, arguments only its arguments.
func commandLine(config *runtimeapi.ContainerConfig, img *v1.ConfigFile) []string {
	command, args := config.GetCommand(), config.GetArgs()
	if len(command) == 0 {
		command = img.Config.Entrypoint
		if len(args) == 0 {
			args = img.Config.Cmd
		}
	}
	return slices.Concat(command, args)
}

// environment joins, each overriding those before: PATH, what a terminal needs, the image's, HOSTNAME, the request's.
func environment(c *container, img *v1.ConfigFile) []string {
	env := []string{"PATH=" + defaultPath}
	if c.config.GetTty() {
		env = append(env, "TERM=xterm")
	}
	all := append(env, img.Config.Env...)
	if name := c.pod.config.GetHostname(); name != "" {
		all = append(all, "HOSTNAME="+name)
	}
	for _, kv := range c.config.GetEnvs() {
		all = append(all, kv.GetKey()+"="+string(kv.GetValue()))
	}
	return overriding(all)
}

// overriding leaves of the entries of an environment with the same name the last, in the place of the first.
func overriding(all []string) []string {
	at := map[string]int{}
	var result []string
	for _, kv := range all {
		key, _, _ := strings.Cut(kv, "=")
		if i, ok := at[key]; ok {
			result[i] = kv
			continue
		}
		at[key] = len(result)
		result = append(result, kv)
	}
	return result
}

// namespacesOf lists the container's namespaces: the sandbox's, its own, or, by not being listed, the host's.
func (r *Runtime) namespacesOf(c *container) ([]specs.LinuxNamespace, error) {
	all := []specs.LinuxNamespace{{Type: specs.MountNamespace}}
	if !c.pod.hostNetwork() {
		all = append(all,
			specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: c.pod.nsPath("net")},
			specs.LinuxNamespace{Type: specs.UTSNamespace, Path: c.pod.nsPath("uts")})
	}
	if !c.pod.hostIPC() {
		all = append(all, specs.LinuxNamespace{Type: specs.IPCNamespace, Path: c.pod.nsPath("ipc")})
	}
	if c.pod.users() != nil {
		all = append(all, specs.LinuxNamespace{Type: specs.UserNamespace, Path: c.pod.nsPath("user")})
	}
	sc := c.config.GetLinux().GetSecurityContext()
	if !sc.GetPrivileged() {
		all = append(all, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	switch ns := sc.GetNamespaceOptions(); ns.GetPid() {
	case runtimeapi.NamespaceMode_POD:
		all = append(all, specs.LinuxNamespace{Type: specs.PIDNamespace, Path: shim.SharedPID})
	case runtimeapi.NamespaceMode_CONTAINER:
		all = append(all, specs.LinuxNamespace{Type: specs.PIDNamespace})
	case runtimeapi.NamespaceMode_TARGET:
		path, err := r.targetNamespace(c, ns.GetTargetId())
		if err != nil {
			return nil, err
		}
		all = append(all, specs.LinuxNamespace{Type: specs.PIDNamespace, Path: path})
	}
	return all, nil
}

// targetNamespace is the PID namespace of another container of the same sandbox.
func (r *Runtime) targetNamespace(c *container, id string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	target, err := lookup(c.pod.containers, "target container", id)
	if err != nil {
		return "", err
	}
	if target.state.Status != shim.Running {
		return "", wrongState("target container %s is not running but %s", id, target.state.Status)
	}
	return procPath(target.state.PID, "ns/pid"), nil
}
