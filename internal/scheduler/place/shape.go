package place

import (
	"encoding/binary"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// shape is what matters of a pod on a node. Pods alike share one; it goes with the last.
type shape struct {
	key         string
	namespace   string
	labels      labels.Set
	terminating bool // spreading does not count it
	requests    []amount
	scored      [2]int64 // cpu and memory, with defaults for what is missing
	ports       []hostPort
	carries     []*carried
	tallies     []*tally // that count it
	pods        []int32  // by number
}

// carriedKind is what a carried term does to pods that it covers.
type carriedKind uint8

const (
	refuses carriedKind = iota // required anti-affinity: they cannot come where its pod is
	expects                    // required affinity: they are welcome, with the profile's weight
	wishes                     // preferred affinity or anti-affinity: by weight, below zero for the latter
)

// carried is an affinity term of pods on nodes.
type carried struct {
	key    string
	id     uint64
	kind   carriedKind
	weight int64
	scope
	pair
	label    string    // the topology's key
	topology *topology // nil of a pod that is only looked at
	shapes   int
	counts   map[int32]int32 // pods by row
}

// tally counts pods by row that all of its scopes match.
type tally struct {
	key    string
	scopes []scope
	living bool // terminating pods do not count
	refs   int
	counts []int32 // by row
}

func (tl *tally) matches(t *Table, s *shape) bool {
	if tl.living && s.terminating {
		return false
	}
	for i := range tl.scopes {
		if !tl.scopes[i].own(t, s.namespace, s.labels) {
			return false
		}
	}
	return true
}

// tally finds or makes the tally of scopes and counts one more user.
func (t *Table) tally(scopes []scope, living bool) *tally {
	key := strconv.FormatBool(living)
	for i := range scopes {
		key += "&" + scopes[i].key()
	}
	tl := t.tallies[key]
	if tl == nil {
		tl = &tally{key: key, scopes: scopes, living: living, counts: make([]int32, len(t.nodes))}
		t.tallies[key] = tl
		for s := range t.shapesOf(scopes[0]) {
			if tl.matches(t, s) {
				s.tallies = append(s.tallies, tl)
				for _, p := range s.pods {
					tl.counts[t.placed[p].row]++
				}
			}
		}
	}
	tl.refs++
	return tl
}

// shapesOf ranges over the shapes in the namespaces that s may mean.
func (t *Table) shapesOf(s scope) func(func(*shape) bool) {
	return func(yield func(*shape) bool) {
		if _, selectable := s.chooses.Requirements(); !selectable {
			for _, ns := range s.namespaces {
				for _, sh := range t.shapes[ns] {
					if !yield(sh) {
						return
					}
				}
			}
			return
		}
		for _, of := range t.shapes {
			for _, sh := range of {
				if !yield(sh) {
					return
				}
			}
		}
	}
}

func (t *Table) dropTally(tl *tally) {
	if tl.refs--; tl.refs > 0 {
		return
	}
	delete(t.tallies, tl.key)
	for s := range t.shapesOf(tl.scopes[0]) {
		if i := slices.Index(s.tallies, tl); i >= 0 {
			s.tallies = slices.Delete(s.tallies, i, i+1)
		}
	}
}

// shapeKey writes what a shape is made of. Requests stand in it computed, so that the ways to ask for the same are one.
func (t *Table) shapeKey(pod *corev1.Pod, s *shape) string {
	buf := t.scratch[:0]
	str := func(v string) { buf = append(binary.AppendUvarint(buf, uint64(len(v))), v...) }
	for _, k := range slices.Sorted(maps.Keys(pod.Labels)) {
		str(k)
		str(pod.Labels[k])
	}
	buf = append(buf, 0xff, b2i(s.terminating))
	for _, a := range s.requests {
		buf = binary.AppendVarint(binary.AppendVarint(buf, int64(a.resource)), a.value)
	}
	buf = binary.AppendVarint(binary.AppendVarint(append(buf, 0xff), s.scored[cpu]), s.scored[memory])
	for _, p := range s.ports {
		str(p.ip)
		str(string(p.protocol))
		buf = binary.AppendVarint(buf, int64(p.number))
	}
	if a := pod.Spec.Affinity; a != nil && (a.PodAffinity != nil || a.PodAntiAffinity != nil) {
		b, err := (&corev1.Affinity{PodAffinity: a.PodAffinity, PodAntiAffinity: a.PodAntiAffinity}).Marshal()
		if err != nil {
			panic("place: an affinity that cannot be written: " + err.Error()) // only a stream can fail
		}
		buf = append(append(buf, 0xff), b...)
	}
	t.scratch = buf
	return string(buf)
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// measure is a shape without key and terms.
func (t *Table) measure(pod *corev1.Pod) *shape {
	requests, milliCPU, bytes := placedRequests(pod)
	return &shape{namespace: pod.Namespace, labels: pod.Labels, terminating: pod.DeletionTimestamp != nil, requests: t.amounts(requests),
		scored: [2]int64{milliCPU, bytes}, ports: hostPorts(pod)}
}

// shape finds or makes the shape of a pod. A term that cannot be parsed is carried by nobody: validation refuses such.
func (t *Table) shape(pod *corev1.Pod) *shape {
	s := t.measure(pod)
	s.key = t.shapeKey(pod, s)
	of := t.shapes[s.namespace]
	if known := of[s.key]; known != nil {
		return known
	}
	if of == nil {
		of = map[string]*shape{}
		t.shapes[s.namespace] = of
	}
	of[s.key] = s
	if a, err := parseAffinity(pod); err == nil {
		for _, tm := range a.anti {
			s.carries = append(s.carries, t.carry(refuses, tm, 0))
		}
		for _, tm := range a.required {
			s.carries = append(s.carries, t.carry(expects, tm, 0))
		}
		for _, tm := range a.preferred {
			s.carries = append(s.carries, t.carry(wishes, tm, tm.weight))
		}
		for _, tm := range a.preferNot {
			s.carries = append(s.carries, t.carry(wishes, tm, -tm.weight))
		}
	}
	for _, tl := range t.tallies {
		if tl.matches(t, s) {
			s.tallies = append(s.tallies, tl)
		}
	}
	return s
}

func (t *Table) carry(kind carriedKind, tm term, weight int64) *carried {
	key := strconv.Itoa(int(kind)) + "|" + strconv.FormatInt(weight, 10) + "|" + tm.topology + "|" + tm.key()
	c := t.carried[key]
	if c == nil {
		t.carriedIDs++
		c = &carried{key: key, id: t.carriedIDs, kind: kind, weight: weight, scope: tm.scope, pair: tm.scope.pair(),
			label: tm.topology, topology: t.topology(tm.topology), counts: map[int32]int32{}}
		t.carried[key] = c
		t.byPair[c.pair] = append(t.byPair[c.pair], c)
	} else if c.shapes == 0 {
		t.faded--
	}
	c.shapes++
	return c
}

func (t *Table) dropShape(s *shape) {
	of := t.shapes[s.namespace]
	if delete(of, s.key); len(of) == 0 {
		delete(t.shapes, s.namespace)
	}
	for _, c := range s.carries {
		if c.shapes--; c.shapes == 0 {
			t.faded++
		}
	}
	if t.faded > fadedMost {
		t.forget()
	}
}

// fadedMost is how many terms are kept that no pod carries. They may well come back, and the classes that know them need
// not be made again then: a term without pods does nothing.
const fadedMost = 128

// forget drops the terms that no pod carries, and the classes that know them.
func (t *Table) forget() {
	for _, c := range t.classes {
		if slices.ContainsFunc(c.rules, func(r *rule) bool {
			return slices.ContainsFunc(r.carried, func(w weighing) bool { return w.shapes == 0 })
		}) {
			t.dropClass(c)
		}
	}
	for key, c := range t.carried {
		if c.shapes > 0 {
			continue
		}
		delete(t.carried, key)
		t.dropTopology(c.topology)
		t.byPair[c.pair] = slices.DeleteFunc(t.byPair[c.pair], func(o *carried) bool { return o == c })
		if len(t.byPair[c.pair]) == 0 {
			delete(t.byPair, c.pair)
		}
	}
	t.faded = 0
}
