package runtime

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// capabilities are the kernel's, by bit.
var capabilities = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_IPC_LOCK",
	"CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN",
	"CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE",
	"CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// defaultCapabilities are those of a container that asks for none, as containerd gives them.
var defaultCapabilities = [...]string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
	"CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// containerCapabilities computes the sets that a security context asks, of those that this host can give.
func (h hostFacts) containerCapabilities(sc *runtimeapi.LinuxContainerSecurityContext) (*specs.LinuxCapabilities, error) {
	if sc.GetPrivileged() {
		own := h.own()
		return &specs.LinuxCapabilities{Bounding: own, Effective: own, Permitted: own}, nil
	}
	asked := sc.GetCapabilities()
	set := slices.Clone(defaultCapabilities[:])
	// As other runtimes: "ALL" first, single ones after it, so that drop ALL add X is X.
	if hasAll(asked.GetAddCapabilities()) {
		set = h.own()
	}
	if hasAll(asked.GetDropCapabilities()) {
		set = nil
	}
	add, err := capNames(asked.GetAddCapabilities())
	if err != nil {
		return nil, err
	}
	ambient, err := capNames(asked.GetAddAmbientCapabilities())
	if err != nil {
		return nil, err
	}
	drop, err := capNames(asked.GetDropCapabilities())
	if err != nil {
		return nil, err
	}
	for _, c := range append(add, ambient...) {
		if !slices.Contains(set, c) {
			set = append(set, c)
		}
	}
	dropped := func(c string) bool { return slices.Contains(drop, c) }
	set = slices.DeleteFunc(set, dropped)
	ambient = slices.DeleteFunc(ambient, dropped)
	return &specs.LinuxCapabilities{Bounding: set, Effective: set, Permitted: set, Inheritable: ambient, Ambient: ambient}, nil
}

// own lists the capabilities floe itself has.
func (h hostFacts) own() []string {
	var all []string
	for bit, name := range capabilities {
		if h.Caps&(1<<bit) != 0 {
			all = append(all, name)
		}
	}
	return all
}

func hasAll(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, "ALL") })
}

// capNames completes names as users write them (NET_ADMIN) and leaves ALL out.
func capNames(names []string) ([]string, error) {
	var full []string
	for _, n := range names {
		if strings.EqualFold(n, "ALL") {
			continue
		}
		c := "CAP_" + strings.TrimPrefix(strings.ToUpper(n), "CAP_")
		if !slices.Contains(capabilities[:], c) {
			return nil, invalid("unknown capability %q", n)
		}
		full = append(full, c)
	}
	return full, nil
}
