package features

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Upstream's gates: name, stage and default, on or off, with tabs between. `floe server --feature-gates` is held against it.
//
//go:embed gates.tsv
var table string

// CBOR serves and takes application/cbor (KEP-4222).
const CBOR = "CBORServingAndStorage"

// ConstrainedImpersonation lets rights to act as another user be given for some requests only (KEP-5284).
const ConstrainedImpersonation = "ConstrainedImpersonation"

// Flagz and Statusz serve the pages /flagz and /statusz (KEP-4828 and KEP-4827).
const (
	Flagz   = "ComponentFlagz"
	Statusz = "ComponentStatusz"
)

// both are the gates of which floe has both states.
var both = [...]string{CBOR, ConstrainedImpersonation, Flagz, Statusz}

// Gate is one of upstream's switches.
type Gate struct {
	Name, Stage string
	Default     bool
}

// Known are upstream's gates, by name. The caller owns the map.
func Known() map[string]Gate {
	out := map[string]Gate{}
	for line := range strings.Lines(table) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		out[fields[0]] = Gate{Name: fields[0], Stage: fields[1], Default: fields[2] == "on"}
	}
	return out
}

// Gates are the states that differ from upstream's defaults. The zero value has none.
type Gates struct{ set map[string]bool }

// ParseGates reads what --feature-gates was given: a list of "Name=true", of which each may begin with "component:" as upstream's, since one process has
// all components. It reports every entry that is not known, or that floe does not have.
func ParseGates(list []string) (Gates, error) {
	known, g := Known(), Gates{set: map[string]bool{}}
	var errs []error
	for _, entry := range list {
		if err := g.add(known, entry); err != nil {
			errs = append(errs, err)
		}
	}
	return g, errors.Join(errs...)
}

func (g Gates) add(known map[string]Gate, entry string) error {
	name, text, ok := strings.Cut(entry, "=")
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	name, text = strings.TrimSpace(name), strings.TrimSpace(text)
	if !ok {
		return fmt.Errorf("missing bool value for %s", name)
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("invalid value of %s=%s, err: %w", name, text, err)
	}
	switch name {
	case "AllAlpha":
		return g.addStage(known, "ALPHA", on)
	case "AllBeta":
		return g.addStage(known, "BETA", on)
	}
	gate, ok := known[name]
	if !ok {
		return fmt.Errorf("unrecognized feature gate: %s", name)
	}
	return g.put(gate, on)
}

// addStage switches all gates of a stage that are not switched by name.
func (g Gates) addStage(known map[string]Gate, stage string, on bool) error {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if gate := known[name]; gate.Stage == stage && g.put(gate, on) != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("cannot set all gates of stage %s to %t: floe does not have that state of %d of them: %s", stage, on, len(missing), strings.Join(missing, ", "))
	}
	return nil
}

func (g Gates) put(gate Gate, on bool) error {
	switch {
	case on == gate.Default:
		delete(g.set, gate.Name)
	case slices.Contains(both[:], gate.Name):
		g.set[gate.Name] = on
	case gate.Stage == "GA":
		return fmt.Errorf("cannot set feature gate %s to %t, feature is locked to %t", gate.Name, on, gate.Default)
	default:
		return fmt.Errorf("cannot set feature gate %s to %t: floe has this feature (%s) only as %t so far", gate.Name, on, gate.Stage, gate.Default)
	}
	return nil
}

// Enabled says whether a gate is on. Asking for a name that is no gate panics.
func (g Gates) Enabled(name string) bool {
	gate, ok := Known()[name]
	if !ok {
		panic("there is no feature gate " + name)
	}
	return g.On(gate)
}

// On says whether a gate that Known has is on.
func (g Gates) On(gate Gate) bool {
	if on, ok := g.set[gate.Name]; ok {
		return on
	}
	return gate.Default
}
