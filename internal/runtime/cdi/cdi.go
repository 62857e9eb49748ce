// Package cdi finds devices by the names that the Container Device Interface gives them, VENDOR/CLASS=NAME, and what a container must get to use
// them.
//
// # Story
//
// A vendor's tool describes its devices in files (JSON or YAML, named so) of the specification's directories: for each device, and for all of a file
// together, edits of a container's OCI configuration: device nodes, mounts, environment, hooks, groups, a class of cache and memory bandwidth. The
// runtime asks for devices by name; Resolve joins the edits, those of a file once and before its devices'. The files are read when a
// container asks, so nothing here grows stale, watches, or holds memory between.
//
// # Laws
//
//   - A file that is wrong harms nobody but who asks for its devices: Load tells of it and goes on.
//   - Of two files that have the same device the one in the later directory counts. In one directory neither does.
//   - What is read is bounded: maxFile bytes a file, maxFiles files a directory.
//
// # Left to others
//
// What is a valid name and version is said by the specification's own packages. Applying edits, and refusing what cannot be, is package runtime's.
// Files of versions after 1.0.0 are refused by the version they name.
package cdi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tags.cncf.io/container-device-interface/pkg/parser"
	cdi "tags.cncf.io/container-device-interface/specs-go"
)

// DefaultDirs are the directories, with colons between, that every runtime looks into: what administrators wrote, and what tools make at each boot.
const DefaultDirs = "/etc/cdi:/var/run/cdi"

// Edits are what a container is to get for its devices.
type Edits = cdi.ContainerEdits

// Registry knows devices by their names. It does not change.
type Registry struct{ devices map[string]*device }

// device is one device and the file that has it.
type device struct {
	file  *file
	edits *Edits
}

// Resolve joins the edits that devices of these names ask. The result is the caller's; what it points to is the registry's, and not to be changed.
// An unknown name is an error that lists all of them.
func (r *Registry) Resolve(names []string) (*Edits, error) {
	var unknown []string
	all, seen := &Edits{}, map[*file]bool{}
	for _, name := range names {
		d := r.devices[name]
		if d == nil {
			unknown = append(unknown, name)
			continue
		}
		if !seen[d.file] {
			seen[d.file] = true
			add(all, &d.file.spec.ContainerEdits)
		}
		add(all, d.edits)
	}
	if unknown != nil {
		return nil, fmt.Errorf("unresolvable CDI devices %s", strings.Join(unknown, ", "))
	}
	return all, nil
}

func add(to, more *Edits) {
	to.Env = append(to.Env, more.Env...)
	to.DeviceNodes = append(to.DeviceNodes, more.DeviceNodes...)
	to.Hooks = append(to.Hooks, more.Hooks...)
	to.Mounts = append(to.Mounts, more.Mounts...)
	to.AdditionalGIDs = append(to.AdditionalGIDs, more.AdditionalGIDs...)
	if more.IntelRdt != nil {
		to.IntelRdt = more.IntelRdt
	}
}

// annotationPrefix begins the keys of annotations whose values are names of devices with commas between.
const annotationPrefix = "cdi.k8s.io/"

// Names joins the names that a request has as such with those in its annotations, by the order of keys, each once.
func Names(asked []string, annotations map[string]string) ([]string, error) {
	all := slices.Clone(asked)
	var keys []string
	for key := range annotations {
		if strings.HasPrefix(key, annotationPrefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		for name := range strings.SplitSeq(annotations[key], ",") {
			if !qualified(name) {
				return nil, fmt.Errorf("failed to parse CDI device annotations: invalid CDI device name %q", name)
			}
			all = append(all, name)
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(name string) bool {
		before := seen[name]
		seen[name] = true
		return before
	}), nil
}

// qualified says whether a name has vendor, class and name, all of them valid.
func qualified(device string) bool {
	vendor, class, name := parser.ParseDevice(device)
	return vendor != "" && errors.Join(checkKind(vendor, class), parser.ValidateDeviceName(name)) == nil
}

// checkKind refuses a vendor or class that is none. The parser panics on names of one letter, so those do not reach it.
func checkKind(vendor, class string) error {
	var errs []error
	if len(vendor) != 1 || !parser.IsLetter(rune(vendor[0])) {
		errs = append(errs, checkName(vendor, parser.ValidateVendorName, "vendor"))
	}
	if len(class) != 1 || !parser.IsLetter(rune(class[0])) {
		errs = append(errs, checkName(class, parser.ValidateClassName, "class"))
	}
	return errors.Join(errs...)
}

func checkName(name string, validate func(string) error, what string) error {
	if len(name) == 1 {
		return fmt.Errorf("invalid %s. %q, should start with letter", what, name)
	}
	return validate(name)
}
