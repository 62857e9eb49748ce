// Package ephemeralvolume makes the claims of pods' ephemeral volumes.
//
// # Vocabulary and laws
//
// The claim of a volume called V of a pod called P is P-V, made from the volume's template, and controlled by the pod, so that it goes with it. A claim of that name
// which the pod does not control is somebody else's: it is never used, and the pod is told why it waits.
//
// # What it leaves to others
//
// Binding the claim belongs to volumebinding, waiting for it to the scheduler, deleting it to garbage.
package ephemeralvolume

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/storage/ephemeral"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/kinds"
)

func claims() client.Resource {
	return corev1.SchemeGroupVersion.WithResource("persistentvolumeclaims")
}

// Metrics count the claims that are made, by upstream's names. It is a prometheus.Collector and safe for concurrent use. A nil one counts nothing.
type Metrics struct{ tries, failures prometheus.Counter }

// NewMetrics returns metrics that have counted nothing.
func NewMetrics() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Subsystem: "ephemeral_volume_controller", Name: name, Help: help})
	}
	return &Metrics{counter("create_total", "Claims that were asked for."), counter("create_failures_total", "Claims that were asked for and not made.")}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	m.tries.Describe(out)
	m.failures.Describe(out)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	m.tries.Collect(out)
	m.failures.Collect(out)
}

func (m *Metrics) count(err error) {
	if m == nil {
		return
	}
	m.tries.Inc()
	if err != nil {
		m.failures.Inc()
	}
}

// New returns the controller; metrics may be nil.
func New(metrics *Metrics) engine.Controller {
	return engine.Controller{
		Name: "ephemeral-volume", Component: "ephemeral_volume", User: "system:serviceaccount:kube-system:ephemeral-volume-controller", Queue: "ephemeral_volume",
		Inputs:  []engine.Input{{Resource: pods.Resource(), Keys: podKeys}, {Resource: claims(), Keys: claimKeys}},
		Outputs: []engine.Output{{Resource: claims()}},
		Workers: 5,
		Reconcile: func(view client.View, key engine.Key, _ time.Time) (engine.Plan, error) {
			pod, ok := view.Get(pods.Resource(), key.Namespace, key.Name).(*corev1.Pod)
			if !ok || !concerned(pod) {
				return engine.Plan{}, nil
			}
			return decide(view, pod, metrics), nil
		},
	}
}

// concerned says that a pod stays and has ephemeral volumes.
func concerned(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Ephemeral != nil })
}

// podKeys: a pod's volumes never change, nor which pod it is.
func podKeys(_ client.View, ch client.Change) []engine.Key {
	pod, ok := ch.New.(*corev1.Pod)
	if !ok || ch.Old != nil && ch.Old.GetUID() == pod.UID || !concerned(pod) {
		return nil
	}
	return []engine.Key{{Resource: pods.Resource(), Namespace: pod.Namespace, Name: pod.Name}}
}

// claimKeys: of a claim that is gone, its pod and those without a node that wait for one of that name.
func claimKeys(view client.View, ch client.Change) (keys []engine.Key) {
	if ch.New != nil {
		return nil
	}
	add := func(pod *corev1.Pod) {
		if pod.Namespace == ch.Old.GetNamespace() && concerned(pod) && slices.Contains(pods.Claims(pod), ch.Old.GetName()) {
			keys = append(keys, engine.Key{Resource: pods.Resource(), Namespace: pod.Namespace, Name: pod.Name})
		}
	}
	if ref := metav1.GetControllerOf(ch.Old); ref != nil && ref.Kind == "Pod" {
		if pod, ok := view.Get(pods.Resource(), ch.Old.GetNamespace(), ref.Name).(*corev1.Pod); ok && pod.Spec.NodeName != "" {
			add(pod)
		}
	}
	for obj := range view.Lookup(pods.Resource(), "spec.nodeName", "") {
		add(obj.(*corev1.Pod))
	}
	return keys
}

// decide makes the claims that a pod lacks. One that is another's, or is refused, keeps those after it from being made.
func decide(view client.View, pod *corev1.Pod, metrics *Metrics) (plan engine.Plan) {
	about := engine.Refer("v1", "Pod", pod)
	told := func(v *corev1.Volume, err error) *engine.Event {
		return &engine.Event{About: about, Type: corev1.EventTypeWarning, Reason: "FailedBinding", Message: fmt.Sprintf("ephemeral volume %s: %v", v.Name, err)}
	}
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		if v.Ephemeral == nil {
			continue
		}
		name := ephemeral.VolumeClaimName(pod, v)
		if c, ok := view.Get(claims(), pod.Namespace, name).(*corev1.PersistentVolumeClaim); ok {
			if err := ephemeral.VolumeIsForPod(pod, c); err != nil {
				plan.Events = append(plan.Events, *told(v, err))
				plan.Failed, plan.Waiting = fmt.Errorf("pod %s/%s, ephemeral volume %s: %w", pod.Namespace, pod.Name, v.Name, err), "the claim "+name+" to go"
				return plan
			}
			continue
		}
		w := engine.NewCreate(claims(), claimFor(pod, v, name))
		w.Event = func(_ kinds.Object, err error) *engine.Event {
			metrics.count(err)
			if err == nil {
				return nil
			}
			return told(v, fmt.Errorf("create PVC %s: %w", name, err))
		}
		plan.Writes = append(plan.Writes, w)
	}
	return plan
}

// claimFor is the claim of a pod's volume.
func claimFor(pod *corev1.Pod, v *corev1.Volume, name string) *corev1.PersistentVolumeClaim {
	t := v.Ephemeral.VolumeClaimTemplate.DeepCopy()
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: name, Labels: t.Labels, Annotations: t.Annotations,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID, Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
			}},
		},
		Spec: t.Spec,
	}
}
