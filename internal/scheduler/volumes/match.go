package volumes

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// found is what a node has for a pod's claims. It is used again by the next look.
type found struct {
	static  []match
	make    []*wish // to be provisioned, if no reason is against it
	against int     // a set of reasons
	broken  error   // why the node cannot be looked at
}

// match is a volume for a claim.
type match struct {
	volume *volume
	claim  *corev1.PersistentVolumeClaim
}

// Reasons against a node, in the order that upstream tells them.
const (
	againstAffinity = 1 << iota
	againstMatch
	againstSpace
	againstVolume
)

// status is the refusal of a node; nil for none.
func (x *Index) status(f *found) *place.Status {
	if f.broken != nil {
		return refuse(place.Unresolvable, f.broken.Error())
	}
	if f.against == 0 || x.statuses[f.against] != nil {
		return x.statuses[f.against]
	}
	var reasons []string
	for i, r := range [...]string{reasonAffinity, reasonNoMatch, reasonNoSpace, reasonNoVolume} {
		if f.against&(1<<i) != 0 {
			reasons = append(reasons, r)
		}
	}
	x.statuses[f.against] = refuse(place.Unresolvable, reasons...)
	return x.statuses[f.against]
}

// look asks what a node has for a pod's claims. The answer holds until the next look.
func (x *Index) look(w *wishes, node string, set map[string]string) *found {
	out := &x.found
	*out = found{static: out.static[:0], make: out.make[:0]}
	x.lookBound(w, node, set, out)
	if out.broken != nil {
		return out
	}
	for _, one := range w.chosen {
		if one.node != node {
			out.against |= againstMatch
			return out
		}
		out.make = append(out.make, one)
	}
	for _, one := range w.open {
		if v := x.find(one, set, out.static); v != nil {
			out.static = append(out.static, match{v, one.claim})
		} else {
			out.make = append(out.make, one)
		}
	}
	for _, one := range out.make {
		if against := x.provision(one, set); against != 0 {
			out.against |= against
			break
		}
	}
	return out
}

// lookBound asks whether volumes that claims have can be reached; the first that cannot says why.
func (x *Index) lookBound(w *wishes, node string, set map[string]string, out *found) {
	for i := range w.bound {
		r := &w.bound[i]
		if r.missing {
			out.against |= againstVolume
			return
		}
		a := r.affinity
		if r.plugin != "" && x.stoodIn(r.plugin, node) {
			if a, out.broken = r.replaced, r.broken; out.broken != nil {
				return
			}
		}
		if !x.reachable(a, set) {
			out.against |= againstAffinity
			return
		}
	}
}

// find is the volume that a claim gets at a node: the one that is reserved for it, or the smallest that will do; nil for none.
func (x *Index) find(w *wish, set map[string]string, taken []match) *volume {
	if w.pool == nil {
		return nil
	}
	is := func(v *volume) bool { return slices.ContainsFunc(taken, func(m match) bool { return m.volume == v }) }
	for _, h := range w.reserved {
		if !is(h.volume) {
			if x.reachable(h.affinity, set) {
				return h.volume
			}
			return nil
		}
	}
	if w.asked != x.shelved {
		clear(w.starts)
		w.asked = x.shelved
	}
	var best *volume
	for g, sure := range w.pool.shelf.each(set) {
		i := w.start(g)
		if i < 0 || !sure && !x.reachable(g.affinity, set) {
			continue
		}
		for ; i < len(g.list) && (best == nil || bySize(g.list[i], best) < 0); i++ {
			if v := g.list[i]; !is(v) && (w.selector == nil || w.selector.Matches(labels.Set(v.labels))) {
				best = v
			}
		}
	}
	return best
}

// start is where the volumes of a group begin that are large enough for a claim; -1 when none will do.
func (w *wish) start(g *group) int {
	if i, ok := w.starts[g]; ok {
		return i
	}
	i := -1
	if w.fits(g) {
		i, _ = slices.BinarySearchFunc(g.list, w.size, func(v *volume, size resource.Quantity) int {
			if v.size.Cmp(size) < 0 {
				return -1
			}
			return 1
		})
	}
	w.starts[g] = i
	return i
}

// fits says whether the volumes of a group are of the kind that a claim asks for.
func (w *wish) fits(g *group) bool {
	if g.mode != w.mode || g.attributes != text(w.claim.Spec.VolumeAttributesClassName) {
		return false
	}
	for _, m := range w.claim.Spec.AccessModes {
		if !slices.Contains(g.access, m) {
			return false
		}
	}
	return true
}

// provision says what is against making a claim's volume where a node gets at it.
func (x *Index) provision(w *wish, set map[string]string) (against int) {
	class := w.class.object
	if class.Provisioner == "" || class.Provisioner == noProvisioner {
		return againstMatch
	}
	if len(class.AllowedTopologies) > 0 &&
		!slices.ContainsFunc(w.class.allowed, func(s labels.Selector) bool { return s.Matches(labels.Set(set)) }) {
		return againstMatch
	}
	if _, ok := w.claim.Spec.Resources.Requests[corev1.ResourceStorage]; !ok || !x.tracked(class.Provisioner) {
		return 0
	}
	for c, sure := range w.class.capacities.each(set) {
		if c.limit >= w.size.Value() && (sure || c.selector.Matches(labels.Set(set))) {
			return 0
		}
	}
	return againstSpace
}
