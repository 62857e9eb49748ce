package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

// Cluster is what a scheduler is measured on: its maker keeps it, and nothing in it is changed here. Every object says its version and kind.
type Cluster struct {
	Name   string           // of the scenario
	Before []runtime.Object // made before anything is measured: each run of objects of one kind at once, the runs in their order
	Pods   []*corev1.Pod    // of one namespace. The first proves that pods like these are bound here; the others are measured. Their names are the run's.
	Beside []runtime.Object // made while the pods are, evenly between them; nobody waits for what comes of them
}

// Scheduling is the scenario that creates a cluster's pods, each of which is waited for until a watch shows it bound. The namespace of the options is that of
// the pods. Objects that are there already stay as they are and are not removed. What a finalizer keeps goes when its controller lets it.
func Scheduling(c Cluster) Scenario {
	before := 0
	for _, o := range c.Before {
		if _, ok := o.(*corev1.Pod); ok {
			before++
		}
	}
	return Scenario{
		Name: c.Name, Summary: "create pods of one kind and wait until a watch shows them bound", Unit: "pod", clients: 64, count: len(c.Pods) - 1, objects: before,
		prepare: func(ctx context.Context, w *workspace) (*plan, error) {
			return (&scheduling{w: w, cluster: c}).prepare(ctx)
		},
	}
}

// scheduling is one run of such a scenario.
type scheduling struct {
	w       *workspace
	cluster Cluster
	before  []made
	beside  []made
	pods    [][]byte // encoded
}

// made is one object: what is sent, where to, and whether this run has made it.
type made struct {
	object     runtime.Object
	collection string
	name       string
	version    resourceKind
	there      bool // made here, and so removed here. Written by the one worker that makes it.
}

func (s *scheduling) prepare(ctx context.Context) (p *plan, err error) {
	if s.w.Count == 0 || s.w.Count >= len(s.cluster.Pods) {
		return nil, fmt.Errorf("count: %d is not in 1 to %d, the pods of this cluster less one", s.w.Count, len(s.cluster.Pods)-1)
	}
	defer func() {
		if err != nil {
			err = s.w.undo(ctx, s.remove, err)
		}
	}()
	if err := s.encode(); err != nil {
		return nil, err
	}
	if err := s.fill(ctx); err != nil {
		return nil, err
	}
	t, err := s.w.track(ctx, livePods())
	if err != nil {
		return nil, err
	}
	bind := s.w.awaited(t, s.create, untilBound)
	s.w.OnProgress("waiting for the first pod")
	if err := bind(ctx, s.w.sessions[0], 0); err != nil {
		t.close()
		return nil, fmt.Errorf("%w: %w", ErrUnbound, err)
	}
	return &plan{
		do: func(ctx context.Context, ses *session, i int) error {
			if err := s.disturb(ctx, ses, i); err != nil {
				return err
			}
			return bind(ctx, ses, i+1)
		},
		cleanup: func(ctx context.Context, begun int) error {
			t.close()
			return s.remove(ctx, begun)
		},
	}, nil
}

// encode finds where all objects go, and encodes the pods under the names by which the watch knows them.
func (s *scheduling) encode() error {
	for _, part := range []struct {
		objects []runtime.Object
		into    *[]made
	}{{s.cluster.Before, &s.before}, {s.cluster.Beside, &s.beside}} {
		for _, o := range part.objects {
			m, err := placeOf(o)
			if err != nil {
				return err
			}
			*part.into = append(*part.into, m)
		}
	}
	for i, pod := range s.cluster.Pods[:s.w.Count+1] {
		pod = pod.DeepCopy()
		pod.Name, pod.UID = name(s.w.prefix(), i), ""
		raw, err := encode(s.w.media, corev1.SchemeGroupVersion, pod)
		if err != nil {
			return fmt.Errorf("pod %d: %w", i, err)
		}
		s.pods = append(s.pods, raw)
	}
	return nil
}

func placeOf(o runtime.Object) (made, error) {
	kind := o.GetObjectKind().GroupVersionKind()
	object, err := meta.Accessor(o)
	if err != nil || kind.Kind == "" {
		return made{}, errors.Join(fmt.Errorf("%T: an object of a cluster has a name, a version and a kind", o), err)
	}
	plural, _ := meta.UnsafeGuessKindToResource(kind)
	k := resourceKind{name: plural.Resource, version: kind.GroupVersion(), cluster: object.GetNamespace() == ""}
	return made{object: o, collection: k.in(object.GetNamespace()), name: object.GetName(), version: k}, nil
}

// fill makes what is there before, one kind after the other.
func (s *scheduling) fill(ctx context.Context) error {
	for from := 0; from < len(s.before); {
		kind := s.before[from].version.name
		n := slices.IndexFunc(s.before[from:], func(m made) bool { return m.version.name != kind })
		if n < 0 {
			n = len(s.before) - from
		}
		run := s.before[from : from+n]
		s.w.OnProgress(fmt.Sprintf("making %d %s", n, kind))
		out, err := load{clock: s.w.Clock, sessions: s.w.sessions[:setupWorkers], count: n}.run(ctx, func(ctx context.Context, ses *session, i int) error {
			return s.make(ctx, ses, &run[i])
		})
		if err := failFirst("make "+kind, out, err); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// notReady is the taint that admission gives new nodes, until a controller has seen that they are ready. There may be none.
const notReady = corev1.TaintNodeNotReady

// make makes one object, unless it is there. A node is given only its own taints.
func (s *scheduling) make(ctx context.Context, ses *session, m *made) error {
	body, err := encode(s.w.media, m.version.version, m.object)
	if err != nil {
		return err
	}
	reply, err := ses.do(context.WithoutCancel(ctx), request{method: "POST", path: m.collection, contentType: s.w.media, accept: s.w.media, body: body})
	if isStatus(err, http.StatusConflict) {
		return nil
	}
	m.there = err == nil
	node, ok := m.object.(*corev1.Node)
	if err != nil || !ok || !bytes.Contains(reply, []byte(notReady)) {
		return err
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"taints": node.Spec.Taints}})
	if err != nil {
		return err
	}
	_, err = ses.do(ctx, request{method: "PATCH", path: m.collection + "/" + m.name, contentType: "application/merge-patch+json", accept: s.w.media, body: patch})
	return err
}

// create makes pod i of the cluster.
func (s *scheduling) create(ctx context.Context, ses *session, i int) error {
	_, err := ses.do(context.WithoutCancel(ctx), request{
		method: "POST", path: s.w.collection(livePods()), contentType: s.w.media, accept: s.w.media, gzip: s.w.Gzip, body: s.pods[i],
	})
	return err
}

// disturb makes what belongs before measured pod i.
func (s *scheduling) disturb(ctx context.Context, ses *session, i int) error {
	n := len(s.beside)
	for k := i * n / s.w.Count; k < (i+1)*n/s.w.Count; k++ {
		if err := s.make(ctx, ses, &s.beside[k]); err != nil {
			return err
		}
	}
	return nil
}

// remove takes away the first pod, the begun that followed it, and the rest against the order in which it was made.
func (s *scheduling) remove(ctx context.Context, begun int) error {
	err := s.w.remove(ctx, livePods(), begun+1, "0")
	all := slices.DeleteFunc(slices.Concat(s.before, s.beside), func(m made) bool { return !m.there })
	if len(all) == 0 {
		return err
	}
	slices.Reverse(all)
	s.w.OnProgress(fmt.Sprintf("removing %d objects", len(all)))
	out, failed := load{clock: s.w.Clock, sessions: s.w.sessions[:setupWorkers], count: len(all)}.run(ctx, func(ctx context.Context, ses *session, i int) error {
		_, err := ses.do(ctx, request{method: "DELETE", path: all[i].collection + "/" + all[i].name + "?gracePeriodSeconds=0", accept: s.w.media})
		if isStatus(err, http.StatusNotFound) {
			return nil // a victim of preemption, or what went with its owner
		}
		return err
	})
	return errors.Join(err, failFirst("remove what was there before", out, failed))
}
