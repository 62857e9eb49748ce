package endpointslice

import (
	"fmt"
	"maps"
	"math"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/floe-k8s/floe/internal/kinds"
)

// hint says in each endpoint for whose traffic it is: by the service's trafficDistribution, or, before that, by its annotation. Slices that said otherwise are written too.
func (r *round) hint(family discoveryv1.AddressType, out *sorted) {
	how := r.service.Spec.TrafficDistribution
	switch {
	case kinds.Spreads(r.service.Annotations):
		r.spreadOver(family, out)
	case how == nil:
		rehint(out, never)
	case *how == corev1.ServiceTrafficDistributionPreferSameNode:
		rehint(out, func(e *discoveryv1.Endpoint) *discoveryv1.EndpointHints { return near(e, true) })
	case *how == corev1.ServiceTrafficDistributionPreferClose, *how == corev1.ServiceTrafficDistributionPreferSameZone:
		rehint(out, func(e *discoveryv1.Endpoint) *discoveryv1.EndpointHints { return near(e, false) })
	default:
		rehint(out, never)
	}
}

func never(*discoveryv1.Endpoint) *discoveryv1.EndpointHints { return nil }

// near is for traffic of a ready endpoint's own zone, and node if wanted.
func near(e *discoveryv1.Endpoint, node bool) *discoveryv1.EndpointHints {
	if !open(e) {
		return e.Hints
	}
	var h discoveryv1.EndpointHints
	if e.Zone != nil {
		h.ForZones = []discoveryv1.ForZone{{Name: *e.Zone}}
	}
	if node && e.NodeName != nil {
		h.ForNodes = []discoveryv1.ForNode{{Name: *e.NodeName}}
	}
	if h.ForZones == nil && h.ForNodes == nil {
		return nil
	}
	return &h
}

func open(e *discoveryv1.Endpoint) bool { return e.Conditions.Ready != nil && *e.Conditions.Ready }

// rehint gives all endpoints the hints that they are to have; slices that are kept otherwise are written when they have others.
func rehint(out *sorted, hints func(*discoveryv1.Endpoint) *discoveryv1.EndpointHints) {
	kept := out.keep
	out.keep = nil
	for _, s := range kept {
		differs := func(e discoveryv1.Endpoint) bool { return !equality.Semantic.DeepEqual(e.Hints, hints(&e)) }
		if slices.ContainsFunc(s.Endpoints, differs) {
			out.update = append(out.update, s.DeepCopy())
		} else {
			out.keep = append(out.keep, s)
		}
	}
	for _, s := range slices.Concat(out.create, out.update) {
		for i := range s.Endpoints {
			s.Endpoints[i].Hints = hints(&s.Endpoints[i])
		}
	}
}

// spreadOver gives each zone endpoints for its share of the cluster's processors, or says why it cannot (KEP-2433).
func (r *round) spreadOver(family discoveryv1.AddressType, out *sorted) {
	had := slices.ContainsFunc(slices.Concat(out.update, out.keep, out.remove), func(s *discoveryv1.EndpointSlice) bool {
		return slices.ContainsFunc(s.Endpoints, func(e discoveryv1.Endpoint) bool { return e.Hints != nil })
	})
	total := 0
	for _, s := range slices.Concat(out.create, out.update, out.keep) {
		for i := range s.Endpoints {
			if open(&s.Endpoints[i]) {
				total++
			}
		}
	}
	give := func(why string) {
		rehint(out, never)
		r.events = append(r.events, *r.tell(corev1.EventTypeWarning, "TopologyAwareHintsDisabled", fmt.Sprintf("%s, addressType: %s", why, family)))
	}
	shares, why := r.spread.shares(total)
	if why != "" {
		give(why)
		return
	}
	given := settled(out, shares)
	free := slices.Concat(out.create, out.update)
	for _, s := range free {
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			switch e.Hints = nil; {
			case !open(e):
			case e.Zone == nil || *e.Zone == "":
				give("One or more endpoints do not have a zone specified")
				return
			default:
				given[*e.Zone]++
				e.Hints = forZone(*e.Zone)
			}
		}
	}
	move(free, shares, given)
	if len(given) == 0 {
		give("No hints allocated for zones")
		return
	}
	if !had {
		r.events = append(r.events, *r.tell(corev1.EventTypeNormal, "TopologyAwareHintsEnabled", fmt.Sprintf("Topology Aware Hints has been enabled, addressType: %s", family)))
	}
}

func forZone(name string) *discoveryv1.EndpointHints {
	return &discoveryv1.EndpointHints{ForZones: []discoveryv1.ForZone{{Name: name}}}
}

// share is how many endpoints a zone is to have.
type share struct {
	wanted float64
	most   int
}

// settled counts, by zone, the hints of kept slices that may stay. The other kept ones are written.
func settled(out *sorted, shares map[string]share) map[string]int {
	given := map[string]int{}
	kept := out.keep
	out.keep = nil
	for _, s := range kept {
		here, ok := map[string]int{}, true
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			if !open(e) {
				continue
			}
			if e.Hints == nil || len(e.Hints.ForZones) == 0 {
				ok = false
				break
			}
			for _, z := range e.Hints.ForZones {
				here[z.Name]++
			}
		}
		for zone, n := range here {
			to, there := shares[zone]
			ok = ok && there && n+given[zone] <= to.most
		}
		if !ok {
			out.update = append(out.update, s.DeepCopy())
			continue
		}
		out.keep = append(out.keep, s)
		for zone, n := range here {
			given[zone] += n
		}
	}
	return given
}

// move hands endpoints of zones that have too many to those that have too few.
func move(free []*discoveryv1.EndpointSlice, shares map[string]share, given map[string]int) {
	over, under := map[string]float64{}, map[string]float64{}
	for zone, to := range shares {
		if d := float64(given[zone]) - to.wanted; d > 0 {
			over[zone] = d
		} else if d < 0 {
			under[zone] = -d
		}
	}
	from, to := map[string]int{}, []string{}
	for {
		a, has := largest(over)
		b, needs := largest(under)
		if a == "" || b == "" || has < 1 && needs < 1 || has < 0.5 || needs < 0.5 {
			break
		}
		from[a]++
		over[a]--
		to = append(to, b)
		under[b]--
	}
	for _, s := range free {
		for i := range s.Endpoints {
			e := &s.Endpoints[i]
			if len(to) == 0 || !open(e) || from[*e.Zone] == 0 {
				continue
			}
			from[*e.Zone]--
			given[*e.Zone]--
			given[to[0]]++
			e.Hints, to = forZone(to[0]), to[1:]
		}
	}
}

// largest is the zone of the largest number above 0, the first by name of several; "" when there is none.
func largest(zones map[string]float64) (zone string, n float64) {
	for _, z := range slices.Sorted(maps.Keys(zones)) {
		if zones[z] > n {
			zone, n = z, zones[z]
		}
	}
	return zone, n
}

// overload is by how much more than its share an endpoint may be asked.
const overload = 0.2

// shares are those of the zones of so many endpoints, or why there are none.
func (s spread) shares(total int) (map[string]share, string) {
	parts := s.parts()
	switch {
	case parts == nil:
		return nil, "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
	case len(parts) > total:
		return nil, fmt.Sprintf("Insufficient number of endpoints (%d endpoints, %d zones)", total, len(parts))
	}
	shares, least, sum := map[string]share{}, map[string]int{}, 0
	for zone, part := range parts {
		wanted := part * float64(total)
		least[zone] = int(math.Ceil(wanted / (1 + overload)))
		shares[zone] = share{wanted: math.Max(wanted, float64(least[zone]))}
		sum += least[zone]
	}
	if sum > total {
		return nil, fmt.Sprintf("Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (%d endpoints, %d zones)", total, len(parts))
	}
	for zone, to := range shares {
		to.most = least[zone] + total - sum
		shares[zone] = to
	}
	return shares, ""
}
