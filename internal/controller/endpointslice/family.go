package endpointslice

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// family brings the slices of one family to what they are to say.
func (r *round) family(view client.View, family discoveryv1.AddressType, selected []*corev1.Pod, there []*discoveryv1.EndpointSlice) {
	groups := r.groups(view, family, selected)
	var out sorted
	mine := map[string][]*discoveryv1.EndpointSlice{}
	before := map[string]*discoveryv1.Endpoint{}
	for _, s := range there {
		key := PortMap(slices.Clone(s.Ports))
		if !r.owns(s) || groups[key] == nil {
			out.remove = append(out.remove, s)
			continue
		}
		mine[key] = append(mine[key], s)
		for i := range s.Endpoints {
			before[id(&s.Endpoints[i])] = &s.Endpoints[i]
		}
	}
	at := r.triggered(selected, before, groups)
	for _, key := range slices.Sorted(maps.Keys(groups)) {
		r.pack(groups[key], mine[key], family, &out)
	}
	if len(out.create)+len(out.update)+len(out.keep) == 0 {
		r.placeholder(family, &out)
	}
	r.hint(family, &out)
	r.finish(&out, at)
}

// groups are the selected pods as endpoints, by their port maps.
func (r *round) groups(view client.View, family discoveryv1.AddressType, selected []*corev1.Pod) map[string]*group {
	groups := map[string]*group{}
	known := map[string]*group{} // by the numbers: a port map is dear, and nearly all pods of a service have the same
	var numbers []byte
	for _, pod := range selected {
		numbers = appendNumbers(numbers[:0], r.service, pod)
		g := known[string(numbers)]
		if g == nil {
			ports := portsOf(r.service, pod)
			key := PortMap(ports)
			if g = groups[key]; g == nil {
				g = &group{ports: ports, at: make(map[string]int, len(selected))}
				groups[key] = g
			}
			known[string(numbers)] = g
		}
		e, ok, err := endpointOf(view, r.service, pod, family)
		if err != nil {
			r.failed = err
		}
		if ok {
			g.at[id(&e)] = len(g.list)
			g.list, g.left = append(g.list, e), append(g.left, true)
		}
	}
	return groups
}

func (r *round) owns(s *discoveryv1.EndpointSlice) bool {
	return slices.ContainsFunc(s.OwnerReferences, func(ref metav1.OwnerReference) bool {
		return ref.UID == r.service.UID && ref.Kind == "Service" && ref.APIVersion == "v1"
	})
}

// placeholder keeps the only slice that is to go when it is the placeholder already, and else makes one.
func (r *round) placeholder(family discoveryv1.AddressType, out *sorted) {
	next := r.slice([]discoveryv1.EndpointPort{}, family)
	if len(out.remove) == 1 {
		if s := out.remove[0]; r.owns(s) && len(s.Endpoints) == 0 && len(s.Ports) == 0 && maps.Equal(s.Labels, next.Labels) {
			out.remove, out.keep = nil, []*discoveryv1.EndpointSlice{s}
			return
		}
	}
	out.create = append(out.create, next)
}

// finish writes: slices that would go become those that would be made, as long as there are both.
func (r *round) finish(out *sorted, at time.Time) {
	for i := 0; i < len(out.remove) && len(out.create) > 0; {
		old, last := out.remove[i], len(out.create)-1
		if !r.owns(old) {
			i++
			continue
		}
		s := out.create[last]
		s.Name, s.ResourceVersion = old.Name, old.ResourceVersion
		out.create, out.remove, out.update = out.create[:last], slices.Delete(out.remove, i, i+1), append(out.update, s)
	}
	if r.service.DeletionTimestamp == nil {
		for _, s := range out.create {
			r.writes = append(r.writes, r.watched(engine.NewCreate(Resource(), stamped(s, at)), "create EndpointSlice"))
		}
	}
	for _, s := range out.update {
		r.writes = append(r.writes, r.watched(engine.NewUpdate(Resource(), stamped(s, at), ""), "update "+s.Name+" EndpointSlice"))
	}
	for _, s := range out.remove {
		r.writes = append(r.writes, r.delete(s))
	}
}

func (r *round) delete(s *discoveryv1.EndpointSlice) engine.Write {
	return r.watched(engine.NewDelete(Resource(), s, ""), "delete "+s.Name+" EndpointSlice")
}

// watched tells of a write that failed. Nothing is told of a namespace that goes.
func (r *round) watched(w engine.Write, what string) engine.Write {
	w.Event = func(_ kinds.Object, err error) *engine.Event {
		if err == nil || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
			return nil
		}
		return r.unable(fmt.Sprintf("failed to %s for Service %s/%s: %v", what, r.service.Namespace, r.service.Name, err))
	}
	return w
}

// stamped says when what a slice says became so.
func stamped(s *discoveryv1.EndpointSlice, at time.Time) *discoveryv1.EndpointSlice {
	if at.IsZero() {
		delete(s.Annotations, corev1.EndpointsLastChangeTriggerTime)
		return s
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[corev1.EndpointsLastChangeTriggerTime] = at.UTC().Format(time.RFC3339Nano)
	return s
}
