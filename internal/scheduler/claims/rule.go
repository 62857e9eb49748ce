package claims

import (
	"encoding/binary"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
	"k8s.io/dynamic-resource-allocation/cel"
	"k8s.io/dynamic-resource-allocation/deviceclass/extendedresourcecache"
	"k8s.io/dynamic-resource-allocation/resourceclaim"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// Name is the plug-in's. In upstream's default profile it filters after InterPodAffinity, and scores with weight 2.
const Name = "DynamicResources"

// Upstream's defaults.
const (
	DefaultBindingTimeout = 10 * time.Minute
	DefaultFilterTimeout  = 10 * time.Second
)

// compiled is how many CEL expressions are kept compiled.
const compiled = 1024

// Config is what upstream's DynamicResourcesArgs say, and a clock. Zero durations are no limits.
type Config struct {
	FilterTimeout  time.Duration // for one pod on one node
	BindingTimeout time.Duration // after allocation, for devices with binding conditions
	Clock          clock.PassiveClock
}

// Rule is the plug-in. Its owner tells it of every claim, class and slice.
type Rule struct {
	cfg Config
	*ledger
}

// ledger is what rules for the profiles of one scheduler share.
type ledger struct {
	table *place.Table
	cel   *cel.Cache

	claims   map[types.NamespacedName]*claim
	special  map[types.UID]*claim // by the pod whose extended resources they are for
	classes  classes
	resolver *extendedresourcecache.ExtendedResourceCache
	slices   slicesByNode
	taken    taken

	version uint64 // of what has been told
	demands demands
	asked   bool // a node has answered since all were told to look again
}

var _ place.Rule = (*Rule)(nil)

// New returns a rule for a table, which may be nil until Reset. The table's policy names it.
func New(t *place.Table, cfg Config) *Rule {
	r := &Rule{cfg: cfg, ledger: &ledger{cel: cel.NewCache(compiled, cel.Features{EnableConsumableCapacity: true})}}
	r.Reset(t)
	return r
}

// With is the rule for another profile of the same scheduler: what one is told, all know.
func (r *Rule) With(cfg Config) *Rule { return &Rule{cfg: cfg, ledger: r.ledger} }

// Reset forgets all that was told, and goes on with a new table.
func (r *Rule) Reset(t *place.Table) {
	*r.ledger = ledger{
		table: t, cel: r.cel, claims: map[types.NamespacedName]*claim{}, special: map[types.UID]*claim{}, classes: classes{},
		resolver: extendedresourcecache.NewExtendedResourceCache(klog.Logger{}), slices: newSlicesByNode(), taken: newTaken(),
		demands: demands{},
	}
}

// Name is the plug-in's.
func (r *Rule) Name() string { return Name }

// Gate is why the pod is not tried at all: a claim of it does not exist, for one. Nil when it may be.
func (r *Rule) Gate(pod *corev1.Pod) *place.Status {
	if _, err := r.claimsOf(pod); err != nil {
		return refuse(err.Error())
	}
	return nil
}

func refuse(reason string) *place.Status {
	return &place.Status{Code: place.Unresolvable, Plugin: Name, Reasons: []string{reason}}
}

// Prepare implements place.Rule.
func (r *Rule) Prepare(pod *corev1.Pod) (place.Prepared, error) {
	w, status := r.wants(pod)
	switch {
	case status != nil && status.Code == place.Error:
		return place.Prepared{}, errors.New(status.Message())
	case status != nil:
		return place.Prepared{Refuse: status}, nil
	}
	if w == nil {
		return place.Prepared{}, nil
	}
	p := place.Prepared{Key: w.key(), Provides: w.provides(), Filter: w.filter}
	if len(w.claims) > 0 && w.allocates() {
		p.Score = w.score
	}
	return p, nil
}

// wish is what a pod wants.
type wish struct {
	*Rule
	pod       *corev1.Pod
	claims    []*claim
	available []*nodeaffinity.NodeSelector // by claim: where its devices are; nil: everywhere, or not allocated
	unready   []bool                       // by claim: its devices failed to get ready, or took too long
	special   *resourcev1.ResourceClaim    // for extended resources; nil for none
	scalars   map[corev1.ResourceName]int64
	keyed     string
}

// wants finds out what a pod wants; nil for nothing. The status says why it cannot have it on any node.
func (r *Rule) wants(pod *corev1.Pod) (*wish, *place.Status) {
	scalars := r.extended(pod)
	if len(pod.Spec.ResourceClaims) == 0 && scalars == nil {
		return nil, nil
	}
	claims, err := r.claimsOf(pod)
	if err != nil {
		return nil, refuse(err.Error())
	}
	if len(claims) == 0 && scalars == nil {
		return nil, nil
	}
	w := &wish{Rule: r, pod: pod, claims: claims, scalars: scalars,
		available: make([]*nodeaffinity.NodeSelector, len(claims)), unready: make([]bool, len(claims))}
	if scalars != nil {
		w.special = r.specialFor(pod)
	}
	for i, c := range claims {
		if s := w.look(i, c); s != nil {
			return nil, s
		}
	}
	return w, nil
}

// look checks a claim before any node is asked.
func (w *wish) look(i int, c *claim) *place.Status {
	a := c.Status.Allocation
	if a == nil {
		if c.pending != nil {
			return refuse("resource claim " + c.Namespace + "/" + c.Name + " is in the process of being allocated")
		}
		return w.checkClasses(c)
	}
	if !resourceclaim.CanBeReserved(c.ResourceClaim) && !resourceclaim.IsReservedForPod(w.pod, c.ResourceClaim, false) {
		return refuse("resourceclaim in use")
	}
	if a.NodeSelector != nil {
		s, err := nodeaffinity.NewNodeSelector(a.NodeSelector)
		if err != nil {
			return &place.Status{Code: place.Error, Plugin: Name, Reasons: []string{err.Error()}}
		}
		w.available[i] = s
	}
	ready, err := Ready(c.ResourceClaim)
	w.unready[i] = err != nil || !ready && w.late(c.ResourceClaim)
	return nil
}

func (w *wish) checkClasses(c *claim) *place.Status {
	check := func(class, request string) *place.Status {
		if _, ok := w.classes[class]; !ok {
			return refuse("request " + request + ": device class " + class + " does not exist")
		}
		return nil
	}
	for _, q := range c.Spec.Devices.Requests {
		switch {
		case q.Exactly != nil:
			if s := check(q.Exactly.DeviceClassName, q.Name); s != nil {
				return s
			}
		case len(q.FirstAvailable) > 0:
			for _, sub := range q.FirstAvailable {
				if s := check(sub.DeviceClassName, q.Name+"/"+sub.Name); s != nil {
					return s
				}
			}
		default:
			return refuse("resource claim " + c.Namespace + "/" + c.Name + ", request " + q.Name + ": unknown request type")
		}
	}
	return nil
}

// allocates says whether a claim has no devices yet.
func (w *wish) allocates() bool {
	if w.special != nil {
		return true
	}
	for _, c := range w.claims {
		if c.Status.Allocation == nil {
			return true
		}
	}
	return false
}

// key stands for what the answers go by besides the node. Claims without devices count as what they ask for.
func (w *wish) key() string {
	if w.keyed == "" {
		w.keyed = w.write()
	}
	return w.keyed
}

func (w *wish) write() string {
	var b []byte
	part := func(kind byte, p []byte) { b = append(binary.AppendUvarint(append(b, kind), uint64(len(p))), p...) }
	for i, c := range w.claims {
		switch {
		case c.Status.Allocation != nil && w.unready[i]:
			part('u', binary.AppendUvarint(nil, c.version))
		case c.Status.Allocation != nil:
			part('a', binary.AppendUvarint(nil, c.version))
		default:
			part('w', marshal(&c.Spec))
		}
	}
	if w.special != nil {
		part('s', w.specialKey())
	}
	return string(b)
}

func marshal(m interface{ Marshal() ([]byte, error) }) []byte {
	b, err := m.Marshal()
	if err != nil {
		panic("claims: a part of an object cannot be written: " + err.Error()) // only a stream can fail to be written to
	}
	return b
}
