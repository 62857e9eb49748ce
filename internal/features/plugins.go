package features

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Upstream's admission plug-ins, in its order, and whether each is on by default.
//
//go:embed plugins.tsv
var pluginTable string

// nodeRestriction is off by default in kube-apiserver and on in every cluster that kubeadm makes. Without it each node could write the others, so that floe
// does as kubeadm.
const nodeRestriction = "NodeRestriction"

// ParsePlugins reads what --enable-admission-plugins and --disable-admission-plugins were given, held against the plug-ins that floe has. It returns those of
// have that are off, and reports every name that is not known, that is in both lists, or that floe does not have and is to be on.
func ParsePlugins(enable, disable, have []string) (off []string, err error) {
	byDefault := map[string]bool{}
	for line := range strings.Lines(pluginTable) {
		name, on, _ := strings.Cut(strings.TrimSpace(line), "\t")
		byDefault[name] = on == "on" || name == nodeRestriction
	}
	var errs []error
	for _, name := range disable {
		if _, known := byDefault[name]; !known {
			errs = append(errs, fmt.Errorf("disable-admission-plugins plugin %q is unknown", name))
		}
		if slices.Contains(enable, name) {
			errs = append(errs, fmt.Errorf("%s in enable-admission-plugins and disable-admission-plugins overlapped", name))
		}
	}
	for _, name := range enable {
		if _, known := byDefault[name]; !known {
			errs = append(errs, fmt.Errorf("enable-admission-plugins plugin %q is unknown", name))
		} else if !slices.Contains(have, name) {
			errs = append(errs, fmt.Errorf("enable-admission-plugins: floe does not have %q yet", name))
		}
	}
	for _, name := range have {
		if slices.Contains(disable, name) || !byDefault[name] && !slices.Contains(enable, name) {
			off = append(off, name)
		}
	}
	return off, errors.Join(errs...)
}
