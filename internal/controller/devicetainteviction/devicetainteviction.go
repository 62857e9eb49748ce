// Package devicetainteviction deletes pods whose devices their driver has tainted with the effect NoExecute.
//
// # Vocabulary
//
// A driver says in its slices which devices there are, and taints those that must not be used. A claim tolerates a taint of a device that it was given, for ever or for some
// seconds. A pod is due at the earliest time at which a taint of a device of its claims is not tolerated; time counts from when the taint was added.
//
// # Laws
//
//   - Only pods that have a node, and for which the claim is reserved, are deleted; exactly these (by UID), after their condition DisruptionTarget says why.
//   - Devices count as the newest generation of their pool says.
//   - A pod that was due and is not any more is told so.
//
// # What it leaves to others
//
// Rules that taint devices of others (DeviceTaintRule) are behind a feature gate that is off by default in v1.36 (DRADeviceTaintRules), and are not followed. The condition of
// a pod that is not deleted after all is taken back by disruption, whose field it is; here it is written right before the deletion only.
package devicetainteviction

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	upstream "k8s.io/dynamic-resource-allocation/resourceclaim"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

func claims() client.Resource { return resourcev1.SchemeGroupVersion.WithResource("resourceclaims") }
func devices() client.Resource {
	return resourcev1.SchemeGroupVersion.WithResource("resourceslices")
}

// Metrics count the pods that were deleted, by upstream's names and with its buckets. It is a prometheus.Collector and safe for concurrent use. A nil one counts nothing.
type Metrics struct {
	pods prometheus.Counter
	late prometheus.Histogram
}

// NewMetrics returns metrics that have counted nothing.
func NewMetrics() *Metrics {
	const of = "device_taint_eviction_controller"
	return &Metrics{
		prometheus.NewCounter(prometheus.CounterOpts{Subsystem: of, Name: "pod_deletions_total", Help: "Pods that were deleted because of tainted devices."}),
		prometheus.NewHistogram(prometheus.HistogramOpts{Subsystem: of, Name: "pod_deletion_duration_seconds",
			Help:    "How long after a taint is not tolerated any more its pod was deleted, in seconds.",
			Buckets: []float64{0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 30, 60, 120, 180, 240}}),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) { m.pods.Describe(out); m.late.Describe(out) }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) { m.pods.Collect(out); m.late.Collect(out) }

// deleted counts a deletion that succeeds.
func (m *Metrics) deleted(late time.Duration) func(kinds.Object, error) *engine.Event {
	return func(_ kinds.Object, err error) *engine.Event {
		if m != nil && err == nil {
			m.pods.Inc()
			m.late.Observe(late.Seconds())
		}
		return nil
	}
}

// New returns the controller; metrics may be nil.
func New(metrics *Metrics) engine.Controller {
	j := &judge{metrics: metrics, due: map[types.UID]bool{}}
	const name = "device-taint-eviction"
	return engine.Controller{
		Name: name, Component: name + "-controller", User: "system:serviceaccount:kube-system:" + name + "-controller", Queue: "device_taint_eviction",
		Inputs: []engine.Input{
			{Resource: pods.Resource(), Keys: podKeys}, {Resource: claims(), Keys: claimKeys}, {Resource: devices(), Keys: sliceKeys},
		},
		Outputs: []engine.Output{{Resource: pods.Resource()}},
		Workers: 10,
		Reconcile: func(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
			pod, ok := view.Get(pods.Resource(), key.Namespace, key.Name).(*corev1.Pod)
			if !ok || pod.UID != key.UID || pod.DeletionTimestamp != nil {
				j.remember(key.UID, false)
				return engine.Plan{}, nil
			}
			return j.pod(view, pod, now), nil
		},
	}
}

func keyOf(namespace, name string, uid types.UID) engine.Key {
	return engine.Key{Resource: pods.Resource(), Namespace: namespace, Name: name, UID: uid}
}

// podKeys are pods with claims: when they get a node, learn what their claims are called, or go.
func podKeys(_ client.View, ch client.Change) []engine.Key {
	p := ch.Newest().(*corev1.Pod)
	if len(p.Spec.ResourceClaims) == 0 || p.Spec.NodeName == "" {
		return nil
	}
	if old, ok := ch.Old.(*corev1.Pod); ok && ch.New != nil && old.UID == p.UID && old.Spec.NodeName == p.Spec.NodeName && (old.DeletionTimestamp == nil) == (p.DeletionTimestamp == nil) &&
		upstream.PodStatusEqual(old.Status.ResourceClaimStatuses, p.Status.ResourceClaimStatuses) {
		return nil
	}
	return []engine.Key{keyOf(p.Namespace, p.Name, p.UID)}
}

// claimKeys are the pods that a claim is reserved for, or was.
func claimKeys(_ client.View, ch client.Change) (keys []engine.Key) {
	for _, obj := range []kinds.Object{ch.New, ch.Old} {
		if c, ok := obj.(*resourcev1.ResourceClaim); ok {
			keys = append(keys, users(c)...)
		}
	}
	return keys
}

func users(c *resourcev1.ResourceClaim) (keys []engine.Key) {
	for _, r := range c.Status.ReservedFor {
		if r.APIGroup == "" && r.Resource == "pods" {
			keys = append(keys, keyOf(c.Namespace, r.Name, r.UID))
		}
	}
	return keys
}

// sliceKeys are the pods that use devices of a slice's pool.
func sliceKeys(view client.View, ch client.Change) (keys []engine.Key) {
	s := &ch.Newest().(*resourcev1.ResourceSlice).Spec
	for obj := range view.Lookup(claims(), kinds.PoolIndex, kinds.PoolValue(s.Driver, s.Pool.Name)) {
		keys = append(keys, users(obj.(*resourcev1.ResourceClaim))...)
	}
	return keys
}

// judge decides, and remembers who was said to go. Its lock is a leaf.
type judge struct {
	metrics *Metrics

	mu  sync.Mutex         // guards due
	due map[types.UID]bool // pods that wait for their time
}

// remember keeps whether a pod is due later, and returns whether it was.
func (j *judge) remember(uid types.UID, due bool) (was bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	was = j.due[uid]
	if j.due[uid] = due; !due {
		delete(j.due, uid)
	}
	return was
}

// pod decides about a pod that is there.
func (j *judge) pod(view client.View, p *corev1.Pod, now time.Time) engine.Plan {
	at, ok := dueAt(view, p)
	tell := func(message string) []engine.Event {
		return []engine.Event{{About: engine.Refer("v1", "Pod", p), Type: corev1.EventTypeNormal, Reason: "DeviceTaintManagerEviction", Message: message}}
	}
	wait := at.Sub(now)
	was := j.remember(p.UID, ok && wait > 0)
	switch {
	case !ok && was:
		return engine.Plan{Events: tell("Cancelling deletion")}
	case !ok:
		return engine.Plan{}
	case wait > 0:
		return engine.Plan{After: wait, Waiting: "the toleration of a device's taint to end"}
	}
	plan := engine.Plan{Events: tell("Marking for deletion")}
	if next := disrupted(p, now); next != nil {
		plan.Writes = append(plan.Writes, engine.NewUpdate(pods.Resource(), next, "status"))
	}
	w := engine.NewDelete(pods.Resource(), p, "")
	w.Event = j.metrics.deleted(-wait)
	plan.Writes = append(plan.Writes, w)
	return plan
}

// disrupted is a pod whose condition says why it goes; nil when it does.
func disrupted(p *corev1.Pod, now time.Time) *corev1.Pod {
	c := corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByDeviceTaintManager",
		Message: "Device Taint manager: deleting due to NoExecute taint", LastTransitionTime: metav1.NewTime(now).Rfc3339Copy()}
	next := p.DeepCopy()
	had := pods.Condition(next, corev1.DisruptionTarget)
	switch {
	case had == nil:
		next.Status.Conditions = append(next.Status.Conditions, c)
	case had.Status == c.Status && had.Reason == c.Reason && had.Message == c.Message:
		return nil
	default:
		if had.Status == c.Status {
			c.LastTransitionTime = had.LastTransitionTime
		}
		*had = c
	}
	return next
}

// dueAt is when a pod has to go; not ok: never.
func dueAt(view client.View, p *corev1.Pod) (at time.Time, ok bool) {
	if p.Spec.NodeName == "" {
		return at, false
	}
	for i := range p.Spec.ResourceClaims {
		name, owned, err := upstream.Name(p, &p.Spec.ResourceClaims[i])
		if err != nil || name == nil {
			continue
		}
		c, there := view.Get(claims(), p.Namespace, *name).(*resourcev1.ResourceClaim)
		if !there || c.Status.Allocation == nil || owned && upstream.IsForPod(p, c, false) != nil || !upstream.IsReservedForPod(p, c, false) {
			continue
		}
		for _, d := range c.Status.Allocation.Devices.Results {
			for _, taint := range taintsOf(view, d) {
				if end, evicts := endOf(taint, d.Tolerations); evicts && (!ok || end.Before(at)) {
					at, ok = end, true
				}
			}
		}
	}
	return at, ok
}

// taintsOf are those of a device that evict, as the newest generation of its pool has them.
func taintsOf(view client.View, d resourcev1.DeviceRequestAllocationResult) (list []resourcev1.DeviceTaint) {
	newest := int64(-1)
	for obj := range view.Lookup(devices(), kinds.PoolIndex, kinds.PoolValue(d.Driver, d.Pool)) {
		s := &obj.(*resourcev1.ResourceSlice).Spec
		if s.Pool.Generation > newest {
			newest, list = s.Pool.Generation, nil
		}
		if s.Pool.Generation < newest {
			continue
		}
		for i := range s.Devices {
			if s.Devices[i].Name != d.Device {
				continue
			}
			for _, t := range s.Devices[i].Taints {
				if t.Effect == resourcev1.DeviceTaintEffectNoExecute && t.TimeAdded != nil {
					list = append(list, t)
				}
			}
		}
	}
	return list
}

// endOf is when a taint is not tolerated any more, by the shortest toleration of those that name it; evicts false: it always is.
func endOf(taint resourcev1.DeviceTaint, tolerations []resourcev1.DeviceToleration) (end time.Time, evicts bool) {
	var shortest *int64
	for _, t := range tolerations {
		if t.Effect != resourcev1.DeviceTaintEffectNoExecute || !upstream.ToleratesTaint(t, taint) {
			continue
		}
		if t.TolerationSeconds == nil {
			return end, false
		}
		if s := max(*t.TolerationSeconds, 0); shortest == nil || s < *shortest {
			shortest = &s
		}
	}
	end = taint.TimeAdded.Time
	if shortest != nil {
		end = end.Add(time.Duration(*shortest) * time.Second)
	}
	return end, true
}
