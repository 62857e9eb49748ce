package endpointslice

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/dump"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/pods"
)

// most is how many endpoints a slice has at most.
const most = 100

// Hash is a text that is the same for values that say the same, whatever their pointers: upstream's, so that what is sorted by it stands in upstream's order.
func Hash(value any) string {
	h := fnv.New128a()
	fmt.Fprint(h, dump.ForHash(value))
	return hex.EncodeToString(h.Sum(nil))
}

// PortMap sorts ports in place, and returns a text that two lists have in common when they are the same ports.
func PortMap(ports []discoveryv1.EndpointPort) string {
	slices.SortFunc(ports, func(a, b discoveryv1.EndpointPort) int { return cmp.Compare(Hash(a), Hash(b)) })
	return Hash(append([]discoveryv1.EndpointPort{}, ports...))
}

// id is what makes two endpoints one.
func id(e *discoveryv1.Endpoint) string {
	addresses, host, namespace, name := "", "", "", ""
	if len(e.Addresses) == 1 {
		addresses = e.Addresses[0]
	} else {
		addresses = strings.Join(slices.Sorted(slices.Values(e.Addresses)), "\x00")
	}
	if e.Hostname != nil {
		host = *e.Hostname
	}
	if e.TargetRef != nil {
		namespace, name = e.TargetRef.Namespace, e.TargetRef.Name
	}
	return addresses + "\x00" + host + "\x00" + namespace + "\x00" + name
}

// Equal says that two endpoints of one id are alike in all but their hints.
func Equal(a, b *discoveryv1.Endpoint) bool {
	refs := func(a, b *corev1.ObjectReference) bool {
		if a == nil || b == nil {
			return a == b
		}
		x, y := *a, *b
		x.ResourceVersion, y.ResourceVersion = "", ""
		return x == y
	}
	return ptr.Equal(a.NodeName, b.NodeName) && ptr.Equal(a.Zone, b.Zone) && ptr.Equal(a.Conditions.Ready, b.Conditions.Ready) &&
		ptr.Equal(a.Conditions.Serving, b.Conditions.Serving) && ptr.Equal(a.Conditions.Terminating, b.Conditions.Terminating) && refs(a.TargetRef, b.TargetRef)
}

// group is the endpoints of one port map.
type group struct {
	ports []discoveryv1.EndpointPort
	list  []discoveryv1.Endpoint // in key order of their pods
	at    map[string]int         // where in list an endpoint is, by id
	left  []bool                 // of each in list, whether no slice has it yet
}

// sorted are what is to be done with slices.
type sorted struct {
	create, update, keep, remove []*discoveryv1.EndpointSlice
}

// pack spreads the endpoints of a group over slices.
func (r *round) pack(g *group, there []*discoveryv1.EndpointSlice, family discoveryv1.AddressType, out *sorted) {
	var changed, unchanged []*discoveryv1.EndpointSlice
	for _, s := range there {
		next, differs := r.keep(g, s)
		switch {
		case !differs:
			unchanged = append(unchanged, s)
		case len(next.Endpoints) == 0 && len(s.Endpoints) > 0:
			out.remove = append(out.remove, s)
		default:
			changed = append(changed, next)
		}
	}
	var rest []discoveryv1.Endpoint
	for i := range g.list {
		if g.left[i] {
			rest = append(rest, g.list[i])
		}
	}
	slices.SortStableFunc(changed, func(a, b *discoveryv1.EndpointSlice) int { return cmp.Compare(len(b.Endpoints), len(a.Endpoints)) })
	for _, s := range changed {
		rest = fill(s, rest)
	}
	for len(rest) > 0 {
		if i := roomFor(unchanged, len(rest)); i >= 0 {
			s := unchanged[i].DeepCopy()
			unchanged = slices.Delete(unchanged, i, i+1)
			rest = fill(s, rest)
			changed = append(changed, s)
			continue
		}
		s := r.slice(g.ports, family)
		rest = fill(s, rest)
		out.create = append(out.create, s)
	}
	out.update, out.keep = append(out.update, changed...), append(out.keep, unchanged...)
}

// keep is a copy of a slice with those of its endpoints that are still to be, as they are now, and whether that differs.
func (r *round) keep(g *group, s *discoveryv1.EndpointSlice) (next *discoveryv1.EndpointSlice, differs bool) {
	var list []discoveryv1.Endpoint
	for i := range s.Endpoints {
		n, ok := g.at[id(&s.Endpoints[i])]
		if !ok || !g.left[n] {
			differs = true
			continue
		}
		g.left[n] = false
		e := g.list[n]
		if !Equal(&e, &s.Endpoints[i]) {
			differs = true
		}
		list = append(list, e)
	}
	labels, other := r.labels(s)
	if !differs && !other {
		return s, false
	}
	next = s.DeepCopy()
	next.Labels, next.Endpoints = labels, list
	return next, true
}

// fill moves endpoints into a slice while it has room, and returns the others.
func fill(s *discoveryv1.EndpointSlice, rest []discoveryv1.Endpoint) []discoveryv1.Endpoint {
	n := min(len(rest), max(0, most-len(s.Endpoints)))
	s.Endpoints = append(s.Endpoints, rest[:n]...)
	return rest[n:]
}

// roomFor is the fullest slice that takes n more endpoints; -1: none does.
func roomFor(list []*discoveryv1.EndpointSlice, n int) int {
	best := -1
	for i, s := range list {
		if free := most - len(s.Endpoints) - n; n < most && free >= 0 && (best < 0 || len(s.Endpoints) > len(list[best].Endpoints)) {
			best = i
		}
	}
	return best
}

// slice is a new one without endpoints.
func (r *round) slice(ports []discoveryv1.EndpointPort, family discoveryv1.AddressType) *discoveryv1.EndpointSlice {
	ref := metav1.NewControllerRef(r.service, corev1.SchemeGroupVersion.WithKind("Service"))
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.service.Namespace, GenerateName: r.service.Name + "-", OwnerReferences: []metav1.OwnerReference{*ref}},
		Ports:      ports, AddressType: family, Endpoints: []discoveryv1.Endpoint{},
	}
	s.Labels, _ = r.labels(s)
	return s
}

// labels are those that a slice is to have: the service's, and those that are the controller's own. changed says that the service's are others.
func (r *round) labels(s *discoveryv1.EndpointSlice) (all map[string]string, changed bool) {
	own := func(key string, _ string) bool {
		return key == discoveryv1.LabelServiceName || key == discoveryv1.LabelManagedBy || key == corev1.IsHeadlessService
	}
	all = maps.Clone(r.service.Labels)
	if all == nil {
		all = map[string]string{}
	}
	have := maps.Clone(s.Labels)
	maps.DeleteFunc(all, own)
	maps.DeleteFunc(have, own)
	changed = !maps.Equal(all, have)
	if Headless(r.service) {
		all[corev1.IsHeadlessService] = ""
	}
	all[discoveryv1.LabelServiceName], all[discoveryv1.LabelManagedBy] = r.service.Name, manager
	return all, changed
}

// triggered is when what a slice newly says became so; zero: nobody knows.
func (r *round) triggered(selected []*corev1.Pod, before map[string]*discoveryv1.Endpoint, groups map[string]*group) (first time.Time) {
	if r.first {
		return r.service.CreationTimestamp.Time
	}
	news := map[string]bool{} // names of pods
	for _, g := range groups {
		for key, i := range g.at {
			e := &g.list[i]
			if was := before[key]; was == nil || !ptr.Equal(was.Conditions.Serving, e.Conditions.Serving) {
				news[e.TargetRef.Name] = true
			}
		}
	}
	for _, pod := range selected {
		if !news[pod.Name] {
			continue
		}
		if c := pods.Condition(pod, corev1.PodReady); c != nil && !c.LastTransitionTime.IsZero() && (first.IsZero() || c.LastTransitionTime.Time.Before(first)) {
			first = c.LastTransitionTime.Time
		}
	}
	return first
}
