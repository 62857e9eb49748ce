package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// sandboxConfig is what the runtime is asked for a pod's sandbox.
func (a *Agent) sandboxConfig(ctx context.Context, pod *corev1.Pod, attempt uint32) (*runtimeapi.PodSandboxConfig, error) {
	logs := a.logDir(pod)
	for _, dir := range []string{logs, a.podDir(pod)} {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, err
		}
	}
	users, err := a.users(ctx, pod)
	if err != nil {
		return nil, err
	}
	security := &runtimeapi.LinuxSandboxSecurityContext{NamespaceOptions: namespaces(pod, users)}
	if shared := pod.Spec.SecurityContext; shared != nil {
		security.SelinuxOptions = criSELinux(shared.SELinuxOptions)
	}
	config := &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: pod.Name, Namespace: pod.Namespace, Uid: string(pod.UID), Attempt: attempt},
		Labels:   map[string]string{}, Annotations: pod.Annotations, LogDirectory: logs, Hostname: hostname(pod),
		Linux: &runtimeapi.LinuxPodSandboxConfig{SecurityContext: security},
	}
	maps.Copy(config.Labels, pod.Labels)
	maps.Copy(config.Labels, a.labels(pod)) // last: by these the agent finds what is whose, so no pod may choose them
	if pod.Spec.HostNetwork {
		config.Hostname = a.Name
	}
	return config, nil
}

func hostname(pod *corev1.Pod) string {
	name := pod.Spec.Hostname
	if name == "" {
		name = pod.Name
	}
	const most = 63 // of a host name on Linux
	for len(name) > most || len(name) > 0 && (name[len(name)-1] == '-' || name[len(name)-1] == '.') {
		name = name[:len(name)-1]
	}
	return name
}

func namespaces(pod *corev1.Pod, users *runtimeapi.UserNamespace) *runtimeapi.NamespaceOption {
	out := &runtimeapi.NamespaceOption{
		Network: runtimeapi.NamespaceMode_POD, Ipc: runtimeapi.NamespaceMode_POD, Pid: runtimeapi.NamespaceMode_CONTAINER, UsernsOptions: users,
	}
	if pod.Spec.HostNetwork {
		out.Network = runtimeapi.NamespaceMode_NODE
	}
	return out
}

func (a *Agent) labels(pod *corev1.Pod) map[string]string {
	return map[string]string{labelPodName: pod.Name, labelPodNamespace: pod.Namespace, labelPodUID: string(pod.UID)}
}

// containerConfig is what the runtime is asked for one attempt at a container.
func (a *Agent) containerConfig(ctx context.Context, in input, c *corev1.Container, attempt uint32, image *runtimeapi.Image) (*runtimeapi.ContainerConfig, error) {
	pod := in.pod
	env, err := a.environment(ctx, in, c)
	if err != nil {
		return nil, err
	}
	mounts, err := a.mounts(pod, c)
	if err != nil {
		return nil, err
	}
	users, err := a.users(ctx, pod)
	if err != nil {
		return nil, err
	}
	security, err := securityContext(pod, c, image)
	if err != nil {
		return nil, err
	}
	security.NamespaceOptions = namespaces(pod, users)
	message, err := a.messageFile(pod, c, attempt)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(a.logDir(pod), c.Name), 0o750); err != nil {
		return nil, err
	}
	mounts = append(mounts, &runtimeapi.Mount{ContainerPath: c.TerminationMessagePath, HostPath: message})
	for _, m := range mounts {
		m.UidMappings, m.GidMappings = users.Uids, users.Gids
	}
	config := &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: c.Name, Attempt: attempt},
		Image:    &runtimeapi.ImageSpec{Image: image.Id, UserSpecifiedImage: c.Image}, WorkingDir: c.WorkingDir,
		Command: expandAll(c.Command, env), Args: expandAll(c.Args, env), Mounts: mounts, Labels: a.labels(pod),
		LogPath: filepath.Join(c.Name, strconv.FormatUint(uint64(attempt), 10)+".log"), Stdin: c.Stdin, StdinOnce: c.StdinOnce, Tty: c.TTY,
		Annotations: map[string]string{annotationHash: hashOf(c), annotationMessage: message},
		Linux:       &runtimeapi.LinuxContainerConfig{Resources: resources(pod, c), SecurityContext: security},
	}
	if c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError {
		config.Annotations[annotationFallback] = "true"
	}
	config.Labels[labelContainerName] = c.Name
	for _, e := range env {
		config.Envs = append(config.Envs, &runtimeapi.KeyValue{Key: e.Name, Value: []byte(e.Value)})
	}
	return config, nil
}

// mounts prepares the volumes that a container mounts.
func (a *Agent) mounts(pod *corev1.Pod, c *corev1.Container) ([]*runtimeapi.Mount, error) {
	var out []*runtimeapi.Mount
	for _, m := range c.VolumeMounts {
		source, err := a.volume(pod, m.Name)
		if err != nil {
			return nil, err
		}
		mount := &runtimeapi.Mount{ContainerPath: m.MountPath, HostPath: source, Readonly: m.ReadOnly}
		if p := m.MountPropagation; p != nil {
			switch *p {
			case corev1.MountPropagationHostToContainer:
				mount.Propagation = runtimeapi.MountPropagation_PROPAGATION_HOST_TO_CONTAINER
			case corev1.MountPropagationBidirectional:
				mount.Propagation = runtimeapi.MountPropagation_PROPAGATION_BIDIRECTIONAL
			}
		}
		out = append(out, mount)
	}
	return out, nil
}

// volume returns the host's directory of a volume, made when it is the pod's own.
func (a *Agent) volume(pod *corev1.Pod, name string) (string, error) {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Name != name {
			continue
		}
		switch {
		case v.EmptyDir != nil:
			dir := filepath.Join(a.podDir(pod), "volumes", "kubernetes.io~empty-dir", name)
			if err := os.MkdirAll(dir, 0o777); err != nil {
				return "", err
			}
			return dir, os.Chmod(dir, 0o777) // whatever the umask
		case v.HostPath != nil:
			return v.HostPath.Path, hostDirectory(v.HostPath)
		}
	}
	return "", fmt.Errorf("volume %q is not one that this release mounts", name)
}

func hostDirectory(v *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if v.Type != nil {
		kind = *v.Type
	}
	if kind == corev1.HostPathDirectoryOrCreate {
		return os.MkdirAll(v.Path, 0o755)
	}
	info, err := os.Stat(v.Path)
	switch {
	case errors.Is(err, os.ErrNotExist) && kind == corev1.HostPathUnset:
		return os.MkdirAll(v.Path, 0o755) // as runtimes do for a source that is not there
	case err != nil:
		return fmt.Errorf("hostPath type check failed: %w", err)
	case kind == corev1.HostPathDirectory && !info.IsDir():
		return fmt.Errorf("hostPath type check failed: %s is not a directory", v.Path)
	}
	return nil
}

const (
	cpuPeriod = 100_000 // microseconds, the kernel's default
	minQuota  = 1_000
	minShares = 2
	maxShares = 262_144
)

// resources turns requests and limits into the kernel's terms, as kubelets do.
func resources(pod *corev1.Pod, c *corev1.Container) *runtimeapi.LinuxContainerResources {
	out := &runtimeapi.LinuxContainerResources{CpuShares: minShares, OomScoreAdj: oomScore(pod, c)}
	request := c.Resources.Requests.Cpu()
	if request.IsZero() {
		request = c.Resources.Limits.Cpu()
	}
	if milli := request.MilliValue(); milli > 0 {
		out.CpuShares = min(max(milli*1024/1000, minShares), maxShares)
	}
	if milli := c.Resources.Limits.Cpu().MilliValue(); milli > 0 {
		out.CpuPeriod, out.CpuQuota = cpuPeriod, max(milli*cpuPeriod/1000, minQuota)
	}
	out.MemoryLimitInBytes = c.Resources.Limits.Memory().Value()
	return out
}

// oomScore says whom the kernel ends first when memory runs out: those who promised least.
func oomScore(pod *corev1.Pod, c *corev1.Container) int64 {
	switch podspec.QOSClass(&pod.Spec) {
	case corev1.PodQOSGuaranteed:
		return -997
	case corev1.PodQOSBestEffort:
		return 1000
	}
	capacity := memoryTotal()
	if capacity == 0 {
		return 999
	}
	return min(max(1000-1000*c.Resources.Requests.Memory().Value()/capacity, 3), 999)
}

// securityContext joins what the pod and the container say; the container wins. Namespaces are added by the caller.
func securityContext(pod *corev1.Pod, c *corev1.Container, image *runtimeapi.Image) (*runtimeapi.LinuxContainerSecurityContext, error) {
	out := &runtimeapi.LinuxContainerSecurityContext{}
	own := c.SecurityContext
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	shared := pod.Spec.SecurityContext
	if shared == nil {
		shared = &corev1.PodSecurityContext{}
	}
	user, group := first(own.RunAsUser, shared.RunAsUser), first(own.RunAsGroup, shared.RunAsGroup)
	if user != nil {
		out.RunAsUser = &runtimeapi.Int64Value{Value: *user}
	} else if image.Uid != nil {
		out.RunAsUser = &runtimeapi.Int64Value{Value: image.Uid.Value}
	} else {
		out.RunAsUsername = image.Username
	}
	if group != nil {
		out.RunAsGroup = &runtimeapi.Int64Value{Value: *group}
	}
	if must := first(own.RunAsNonRoot, shared.RunAsNonRoot); must != nil && *must {
		switch {
		case user != nil && *user == 0:
			return nil, fmt.Errorf("container's runAsUser breaks non-root policy (pod: %q, container: %s)", fullName(pod), c.Name)
		case user == nil && image.Uid != nil && image.Uid.Value == 0:
			return nil, fmt.Errorf("container has runAsNonRoot and image will run as root (pod: %q, container: %s)", fullName(pod), c.Name)
		case user == nil && image.Uid == nil:
			return nil, fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root (pod: %q, container: %s)", image.Username, fullName(pod), c.Name)
		}
	}
	out.SupplementalGroups = shared.SupplementalGroups
	if p := shared.SupplementalGroupsPolicy; p != nil && *p == corev1.SupplementalGroupsPolicyStrict {
		out.SupplementalGroupsPolicy = runtimeapi.SupplementalGroupsPolicy_Strict
	}
	out.Privileged = own.Privileged != nil && *own.Privileged
	out.ReadonlyRootfs = own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem
	out.NoNewPrivs = own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation
	if caps := own.Capabilities; caps != nil {
		out.Capabilities = &runtimeapi.Capability{}
		for _, name := range caps.Add {
			out.Capabilities.AddCapabilities = append(out.Capabilities.AddCapabilities, string(name))
		}
		for _, name := range caps.Drop {
			out.Capabilities.DropCapabilities = append(out.Capabilities.DropCapabilities, string(name))
		}
	}
	out.Seccomp = seccomp(own.SeccompProfile, shared.SeccompProfile)
	out.Apparmor = criAppArmor(first(own.AppArmorProfile, shared.AppArmorProfile))
	out.SelinuxOptions = criSELinux(first(own.SELinuxOptions, shared.SELinuxOptions))
	return out, nil
}

func first[T any](list ...*T) *T {
	for _, p := range list {
		if p != nil {
			return p
		}
	}
	return nil
}

func seccomp(own, shared *corev1.SeccompProfile) *runtimeapi.SecurityProfile {
	p := first(own, shared)
	if p == nil {
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}
	}
	switch p.Type {
	case corev1.SeccompProfileTypeRuntimeDefault:
		return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
	case corev1.SeccompProfileTypeLocalhost:
		out := &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Localhost}
		if p.LocalhostProfile != nil {
			out.LocalhostRef = filepath.Join("/var/lib/kubelet/seccomp", *p.LocalhostProfile)
		}
		return out
	}
	return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_Unconfined}
}
