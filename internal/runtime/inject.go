package runtime

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	device "tags.cncf.io/container-device-interface/specs-go"

	"github.com/floe-k8s/floe/internal/runtime/cdi"
)

// hookLimit is how long, in seconds, a hook may run whose description sets no limit. The shim starts nothing else meanwhile.
const hookLimit = 60

// inject changes a specification as the devices ask that the request names, in its field or its annotations.
func (r *Runtime) inject(spec *specs.Spec, config *runtimeapi.ContainerConfig) error {
	var asked []string
	for _, d := range config.GetCDIDevices() {
		asked = append(asked, d.GetName())
	}
	names, err := cdi.Names(asked, config.GetAnnotations())
	if err != nil {
		return invalid("%v", err)
	}
	if len(names) == 0 {
		return nil
	}
	registry, err := cdi.Load(filepath.SplitList(r.cfg.CDISpecDirs))
	if err != nil {
		r.cfg.Log.Warn("CDI registry refresh failed", "err", err)
	}
	edits, err := registry.Resolve(names)
	if err != nil {
		return invalid("CDI device injection failed: %v", err)
	}
	if err := applyEdits(spec, edits); err != nil {
		return invalid("CDI device injection failed: failed to inject devices: %v", err)
	}
	return nil
}

// applyEdits changes spec, but not what edits point to. What was there at the same path, or under the same name, gives way.
func applyEdits(spec *specs.Spec, edits *cdi.Edits) error {
	spec.Process.Env = overriding(append(spec.Process.Env, edits.Env...))
	for _, d := range edits.DeviceNodes {
		if err := applyNode(spec, d); err != nil {
			return err
		}
	}
	for _, m := range edits.Mounts {
		spec.Mounts = slices.DeleteFunc(spec.Mounts, func(old specs.Mount) bool { return old.Destination == m.ContainerPath })
		spec.Mounts = append(spec.Mounts, specs.Mount{Source: m.HostPath, Destination: m.ContainerPath, Options: m.Options, Type: m.Type})
	}
	orderMounts(spec.Mounts)
	for _, h := range edits.Hooks {
		applyHook(spec, h)
	}
	if rdt := edits.IntelRdt; rdt != nil {
		spec.Linux.IntelRdt = &specs.LinuxIntelRdt{
			ClosID: rdt.ClosID, L3CacheSchema: rdt.L3CacheSchema, MemBwSchema: rdt.MemBwSchema, EnableMonitoring: rdt.EnableCMT || rdt.EnableMBM,
		}
	}
	groups := &spec.Process.User.AdditionalGids
	for _, gid := range edits.AdditionalGIDs {
		if gid != 0 && !slices.Contains(*groups, gid) {
			*groups = append(*groups, gid)
		}
	}
	return nil
}

// applyNode adds a device node, and leave to use it. It belongs to the container's user when nothing else is said.
func applyNode(spec *specs.Spec, d *device.DeviceNode) error {
	node, err := nodeOf(d)
	if err != nil {
		return err
	}
	if user := spec.Process.User; node.UID == nil && user.UID > 0 {
		node.UID = &user.UID
	}
	if user := spec.Process.User; node.GID == nil && user.GID > 0 {
		node.GID = &user.GID
	}
	spec.Linux.Devices = slices.DeleteFunc(spec.Linux.Devices, func(old specs.LinuxDevice) bool { return old.Path == node.Path })
	spec.Linux.Devices = append(spec.Linux.Devices, node)
	if node.Type != "b" && node.Type != "c" {
		return nil
	}
	access := d.Permissions
	if access == "" {
		access = "rwm"
	}
	spec.Linux.Resources.Devices = append(spec.Linux.Resources.Devices, specs.LinuxDeviceCgroup{
		Allow: true, Type: node.Type, Major: &node.Major, Minor: &node.Minor, Access: access,
	})
	return nil
}

// nodeOf is the node that a description means; what it leaves out is that of the host's node at the same, or at another, path.
func nodeOf(d *device.DeviceNode) (specs.LinuxDevice, error) {
	node := specs.LinuxDevice{Path: d.Path, Type: d.Type, Major: d.Major, Minor: d.Minor, FileMode: d.FileMode, UID: d.UID, GID: d.GID}
	if d.Type != "" && (d.Major != 0 || d.Type == "p") {
		return node, nil
	}
	host := d.HostPath
	if host == "" {
		host = d.Path
	}
	kind, st, err := lookAt(host)
	if err == nil && kind == "" {
		err = fmt.Errorf("not a device node")
	}
	if err != nil {
		return node, fmt.Errorf("failed to stat CDI host device %q: %w", host, err)
	}
	if d.Type != "" && d.Type != kind {
		return node, fmt.Errorf("CDI device (%q, %q), host type mismatch (%s, %s)", d.Path, host, d.Type, kind)
	}
	node.Type = kind
	if d.Major == 0 && kind != "p" {
		node.Major, node.Minor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	}
	return node, nil
}

// applyHook adds a program that is run at a moment of the container's life.
func applyHook(spec *specs.Spec, h *device.Hook) {
	limit := hookLimit
	if h.Timeout != nil {
		limit = *h.Timeout
	}
	if spec.Hooks == nil {
		spec.Hooks = &specs.Hooks{}
	}
	moment := map[string]*[]specs.Hook{
		//lint:ignore SA1019 descriptions still ask for the deprecated moment
		"prestart":      &spec.Hooks.Prestart,
		"createRuntime": &spec.Hooks.CreateRuntime, "createContainer": &spec.Hooks.CreateContainer, "startContainer": &spec.Hooks.StartContainer,
		"poststart": &spec.Hooks.Poststart, "poststop": &spec.Hooks.Poststop,
	}[h.HookName]
	*moment = append(*moment, specs.Hook{Path: h.Path, Args: h.Args, Env: h.Env, Timeout: &limit})
}
