package podautoscaler

import (
	"sync"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Settings are kube-controller-manager's of the same purpose. The zero value is of no use: see Defaults.
type Settings struct {
	Period            time.Duration // between two rounds of an autoscaler
	DownStabilization time.Duration // how long a higher recommendation keeps replicas, unless the autoscaler says it
	CPUInitialization time.Duration // after a pod's start, in which a sample of its CPU counts only when it is all of ready time
	ReadinessDelay    time.Duration // after a pod's start, in which it turns ready for the first time
	Tolerance         float64       // how far from 1 the ratio of what is to what should be may be, unless the autoscaler says it
}

// Defaults are upstream's.
func Defaults() Settings {
	return Settings{15 * time.Second, 5 * time.Minute, 5 * time.Minute, 30 * time.Second, 0.1}
}

// User is who the controller is.
const User = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"

func autoscalers() client.Resource {
	return autoscalingv2.SchemeGroupVersion.WithResource("horizontalpodautoscalers")
}

// Config is what the controller needs beside the API.
type Config struct {
	Catalog  engine.Catalog // the kinds of targets
	Source   Source         // nil: there are no metrics
	Settings Settings
	Metrics  *Metrics         // nil: nothing is counted
	Now      func() time.Time // for measuring how long a computation takes
}

// New returns the controller.
func New(cfg Config) engine.Controller {
	c := &controller{
		catalog: cfg.Catalog, source: source{cfg.Source}, settings: cfg.Settings, metrics: cfg.Metrics, now: cfg.Now,
		pasts: map[engine.Key]*past{}, selectors: map[string]map[string]labels.Selector{},
	}
	return engine.Controller{
		Name: "horizontalpodautoscaler", Component: "horizontal-pod-autoscaler", User: User,
		Workers: 5,
		Every: func(k *kinds.Kind) func(client.View, client.Change) []engine.Key {
			if k.GVR() == autoscalers() {
				return changed
			}
			return nil
		},
		Outputs: []engine.Output{
			{Resource: autoscalers(), Fields: []string{"status"}},
			{Resource: engine.Every(), Fields: []string{"scale[HorizontalPodAutoscaler]"}},
		},
		Reconcile: c.reconcile,
	}
}

// changed is an autoscaler that is new, gone, or asks for something else than before.
func changed(_ client.View, ch client.Change) []engine.Key {
	was, _ := ch.Old.(*autoscalingv2.HorizontalPodAutoscaler)
	is, _ := ch.New.(*autoscalingv2.HorizontalPodAutoscaler)
	if was != nil && is != nil && was.UID == is.UID && equality.Semantic.DeepEqual(was.Spec, is.Spec) {
		return nil
	}
	obj := ch.Newest()
	return []engine.Key{{Resource: autoscalers(), Namespace: obj.GetNamespace(), Name: obj.GetName()}}
}

// controller is what rounds share.
type controller struct {
	catalog  engine.Catalog
	source   source
	settings Settings
	metrics  *Metrics
	now      func() time.Time

	mu        sync.Mutex
	pasts     map[engine.Key]*past                  // guarded by mu; the value is its key's round's
	selectors map[string]map[string]labels.Selector // guarded by mu: by namespace and autoscaler, as its last round found it
}

func (c *controller) reconcile(view client.View, key engine.Key, now time.Time) (engine.Plan, error) {
	stored, ok := view.Get(autoscalers(), key.Namespace, key.Name).(*autoscalingv2.HorizontalPodAutoscaler)
	if !ok {
		c.forget(key)
		return engine.Plan{}, nil
	}
	r := &round{
		c: c, view: view, now: now, stored: stored, hpa: stored.DeepCopy(), past: c.known(key),
		within: tolerances(stored, c.settings.Tolerance), began: c.now(),
	}
	plan := r.plan()
	plan.Events = append(r.events, plan.Events...)
	plan.After = c.settings.Period
	return plan, nil
}

// known is the past of an autoscaler, which may be empty.
func (c *controller) known(key engine.Key) *past {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pasts[key]
	if p == nil {
		p = &past{}
		c.pasts[key] = p
		c.metrics.count(len(c.pasts))
	}
	return p
}

func (c *controller) forget(key engine.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pasts, key)
	c.metrics.count(len(c.pasts))
	c.metrics.forget(key.Namespace, key.Name)
	delete(c.selectors[key.Namespace], key.Name)
	if len(c.selectors[key.Namespace]) == 0 {
		delete(c.selectors, key.Namespace)
	}
}

// note remembers by what an autoscaler selects pods.
func (c *controller) note(namespace, name string, s labels.Selector) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.selectors[namespace] == nil {
		c.selectors[namespace] = map[string]labels.Selector{}
	}
	c.selectors[namespace][name] = s
}

// kind is one that is served of a group and kind, the one whose objects are stored so if there is one; nil: none is.
func (c *controller) kind(gk schema.GroupKind) (found *kinds.Kind) {
	served, _ := c.catalog()
	for _, k := range served {
		if k.GVK.GroupKind() == gk && !k.Answered {
			if found = k.Stored(); found.GVK == k.GVK {
				return found
			}
		}
	}
	return found
}
