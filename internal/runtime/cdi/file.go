package cdi

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"
	"tags.cncf.io/container-device-interface/pkg/parser"
	cdi "tags.cncf.io/container-device-interface/specs-go"
)

// Limits of what is read. The largest files known, of machines with many GPUs sliced in many ways, have some hundred kilobytes.
const (
	maxFile  = 4 << 20
	maxFiles = 1000
)

// file is one that is right.
type file struct {
	path     string
	priority int // the place of its directory; the higher counts
	spec     *cdi.Spec
}

// Load reads the directories' files; those that are not there have no devices. The registry is good even with an error, which tells of the files that
// were left out.
func Load(dirs []string) (*Registry, error) {
	r := &Registry{devices: map[string]*device{}}
	conflicts := map[string]bool{}
	var errs []error
	for priority, dir := range dirs {
		paths, err := filesOf(dir)
		errs = append(errs, err)
		for _, path := range paths {
			f, err := read(path, priority)
			if err != nil {
				errs = append(errs, fmt.Errorf("failed to load CDI Spec %w", err))
				continue
			}
			errs = append(errs, r.add(f, conflicts))
		}
	}
	for name := range conflicts {
		delete(r.devices, name)
	}
	return r, errors.Join(errs...)
}

// add takes a file's devices over. Files come in the order of their directories.
func (r *Registry) add(f *file, conflicts map[string]bool) error {
	var errs []error
	for i := range f.spec.Devices {
		d := &f.spec.Devices[i]
		name := f.spec.Kind + "=" + d.Name
		if old := r.devices[name]; old != nil && old.file.priority == f.priority {
			errs = append(errs, fmt.Errorf("conflicting device %q (specs %q, %q)", name, f.path, old.file.path))
			conflicts[name] = true
			continue
		}
		r.devices[name] = &device{file: f, edits: &d.ContainerEdits}
	}
	return errors.Join(errs...)
}

// filesOf lists the files of a directory that are specifications by their names.
func filesOf(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("CDI specifications: %w", err)
	}
	var paths []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".json" && ext != ".yaml" {
			continue
		}
		if len(paths) == maxFiles {
			return paths, fmt.Errorf("CDI specifications: %s has more than %d files; those after %s are not read", dir, maxFiles, paths[maxFiles-1])
		}
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	return paths, nil
}

// read reads a file and checks it whole.
func read(path string, priority int) (*file, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("failed to read CDI Spec %q: %w", path, err)
	}
	var spec *cdi.Spec
	if err := yaml.UnmarshalStrict(data, &spec); err != nil {
		return nil, fmt.Errorf("failed to parse CDI Spec %q: failed to unmarshal CDI Spec: %w", path, err)
	}
	if spec == nil {
		return nil, fmt.Errorf("failed to parse CDI Spec %q, no Spec data", path)
	}
	if err := check(spec); err != nil {
		return nil, fmt.Errorf("%q: invalid CDI Spec: %w", path, err)
	}
	return &file{path: path, priority: priority, spec: spec}, nil
}

// readFile reads a regular file of at most maxFile bytes; a pipe would hold up every container that asks for a device.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	return data, err
}

// check refuses a specification that is not one, in the words that other runtimes use.
func check(spec *cdi.Spec) error {
	all := []*Edits{&spec.ContainerEdits}
	for i := range spec.Devices {
		all = append(all, &spec.Devices[i].ContainerEdits)
	}
	for _, e := range all { // the next check would panic on them
		if slices.Contains(e.DeviceNodes, nil) || slices.Contains(e.Hooks, nil) || slices.Contains(e.Mounts, nil) {
			return errors.New("null in the list of device nodes, hooks or mounts")
		}
	}
	if err := cdi.ValidateVersion(spec); err != nil {
		return err
	}
	vendor, class := parser.ParseQualifier(spec.Kind)
	if err := checkKind(vendor, class); err != nil {
		return err
	}
	if err := checkEdits(&spec.ContainerEdits); err != nil {
		return err
	}
	names := map[string]bool{}
	for i := range spec.Devices {
		d := &spec.Devices[i]
		if err := checkDevice(d); err != nil {
			return fmt.Errorf("failed add device %q: %w", d.Name, err)
		}
		if names[d.Name] {
			return fmt.Errorf("invalid spec, multiple device %q", d.Name)
		}
		names[d.Name] = true
	}
	if len(names) == 0 {
		return errors.New("invalid spec, no devices")
	}
	return nil
}

func checkDevice(d *cdi.Device) error {
	if err := parser.ValidateDeviceName(d.Name); err != nil {
		return err
	}
	e := &d.ContainerEdits
	if len(e.Env)+len(e.DeviceNodes)+len(e.Mounts)+len(e.Hooks)+len(e.AdditionalGIDs) == 0 && e.IntelRdt == nil {
		return errors.New("invalid device, empty device edits")
	}
	if err := checkEdits(e); err != nil {
		return fmt.Errorf("invalid device %q: %w", d.Name, err)
	}
	return nil
}

func checkEdits(e *Edits) error {
	if err := checkEnv(e.Env); err != nil {
		return fmt.Errorf("invalid container edits: %w", err)
	}
	for _, d := range e.DeviceNodes {
		if err := checkNode(d); err != nil {
			return err
		}
	}
	for _, h := range e.Hooks {
		if err := checkHook(h); err != nil {
			return err
		}
	}
	for _, m := range e.Mounts {
		switch {
		case m.HostPath == "":
			return errors.New("invalid mount, empty host path")
		case m.ContainerPath == "":
			return errors.New("invalid mount, empty container path")
		}
	}
	if e.IntelRdt != nil {
		if id := e.IntelRdt.ClosID; len(id) >= 4096 || id == "." || id == ".." || strings.ContainsAny(id, "/\n") {
			return errors.New("invalid ClosID")
		}
	}
	return nil
}

func checkEnv(env []string) error {
	for _, kv := range env {
		if strings.IndexByte(kv, '=') <= 0 {
			return fmt.Errorf("invalid environment variable %q", kv)
		}
	}
	return nil
}

func checkNode(d *cdi.DeviceNode) error {
	if d.Path == "" {
		return errors.New("invalid (empty) device path")
	}
	switch d.Type {
	case "", "b", "c", "u", "p":
	default:
		return fmt.Errorf("device %q: invalid type %q", d.Path, d.Type)
	}
	if strings.Trim(d.Permissions, "rwm") != "" {
		return fmt.Errorf("device %q: invalid permissions %q", d.Path, d.Permissions)
	}
	return nil
}

func checkHook(h *cdi.Hook) error {
	switch h.HookName {
	case "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop":
	default:
		return fmt.Errorf("invalid hook name %q", h.HookName)
	}
	if h.Path == "" {
		return fmt.Errorf("invalid hook %q with empty path", h.HookName)
	}
	if err := checkEnv(h.Env); err != nil {
		return fmt.Errorf("invalid hook %q: %w", h.HookName, err)
	}
	return nil
}
