package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	resourcev1 "k8s.io/api/resource/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/scheduler/claims"
	"github.com/floe-k8s/floe/internal/scheduler/place"
)

// rig is a scheduler over an API in memory, in virtual time.
type rig struct {
	*testing.T
	api   client.Client
	sched *Scheduler
	stop  func()
}

// start runs a scheduler until stop; set may change its configuration.
func start(t *testing.T, api client.Client, set func(*Config)) *rig {
	cfg := Config{Client: api, Clock: clock.RealClock{}, Rand: rand.New(rand.NewSource(1)), Log: slog.New(slog.DiscardHandler), Host: "here"}
	if set != nil {
		set(&cfg)
	}
	r := &rig{T: t, api: api, sched: New(cfg)}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { _ = r.sched.Run(ctx) }) // it ends with ctx's error
	r.stop = func() { cancel(); all.Wait() }
	return r
}

// create creates objects, each after the scheduler has seen those before: streams of different resources come in any order.
func (r *rig) create(objs ...kinds.Object) {
	r.Helper()
	for _, obj := range objs {
		if _, err := r.api.Create(r.Context(), resourceOf(obj), obj, metav1.CreateOptions{}); err != nil {
			r.Fatal(err)
		}
		synctest.Wait()
	}
}

func resourceOf(obj kinds.Object) client.Resource {
	switch obj.(type) {
	case *corev1.Node:
		return nodeResource()
	case *corev1.PersistentVolume:
		return corev1.SchemeGroupVersion.WithResource("persistentvolumes")
	case *corev1.PersistentVolumeClaim:
		return claimResource()
	case *storagev1.StorageClass:
		return storagev1.SchemeGroupVersion.WithResource("storageclasses")
	case *resourcev1.ResourceClaim:
		return claims.Resource()
	case *resourcev1.DeviceClass:
		return resourcev1.SchemeGroupVersion.WithResource("deviceclasses")
	case *resourcev1.ResourceSlice:
		return resourcev1.SchemeGroupVersion.WithResource("resourceslices")
	case *policyv1.PodDisruptionBudget:
		return policyv1.SchemeGroupVersion.WithResource("poddisruptionbudgets")
	}
	return podResource()
}

func (r *rig) change(name string, f func(*corev1.Pod)) {
	r.Helper()
	next := r.pod(name).DeepCopy()
	f(next)
	if _, err := r.api.Update(r.Context(), podResource(), next, ""); err != nil {
		r.Fatal(err)
	}
	synctest.Wait()
}

func (r *rig) pod(name string) *corev1.Pod {
	r.Helper()
	obj, err := r.api.Get(r.Context(), podResource(), "default", name)
	if err != nil {
		r.Fatal(err)
	}
	return obj.(*corev1.Pod)
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) {
	<-clock.RealClock{}.After(d)
	synctest.Wait()
}

func (r *rig) events() map[string]*eventsv1.Event {
	view, err := r.api.View(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	out := map[string]*eventsv1.Event{}
	for obj := range view.List(eventResource(), "") {
		ev := obj.(*eventsv1.Event)
		out[ev.Note] = ev
	}
	return out
}

// virtual runs a test in virtual time.
func virtual(t *testing.T, f func(*testing.T, *controllertest.Cluster)) {
	synctest.Test(t, func(t *testing.T) { f(t, controllertest.New(clock.RealClock{})) })
}

func TestGatesHoldAPod(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		held := testPod("held", 1)
		held.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}}
		r.create(testNode("n", 1000, 10), held)
		r.pass(10 * time.Minute)
		if p := r.pod("held"); p.Spec.NodeName != "" || len(p.Status.Conditions) != 0 || len(r.events()) != 0 {
			t.Errorf("a gated pod was tried: %+v, events %v", p.Status, r.events())
		}
		r.change("held", func(p *corev1.Pod) { p.Spec.SchedulingGates = nil })
		if p := r.pod("held"); p.Spec.NodeName != "n" {
			t.Error("a pod whose gates are gone has no node")
		}
	})
}

func TestWhatIsTold(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		r.create(testNode("n", 100, 10), testPod("large", 200), testPod("small", 50))
		c := r.pod("large").Status.Conditions
		message := "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
		if len(c) != 1 || c[0].Type != corev1.PodScheduled || c[0].Status != corev1.ConditionFalse || c[0].Reason != "Unschedulable" ||
			c[0].ObservedGeneration != 1 || c[0].Message != message {
			t.Errorf("conditions %+v", c)
		}
		failed, bound := r.events()[message], r.events()["Successfully assigned default/small to n"]
		for want, ev := range map[string]*eventsv1.Event{"Warning FailedScheduling Scheduling": failed, "Normal Scheduled Binding": bound} {
			if ev == nil || strings.Join([]string{ev.Type, ev.Reason, ev.Action}, " ") != want || ev.ReportingController != "default-scheduler" ||
				ev.ReportingInstance != "default-scheduler-here" || ev.EventTime.IsZero() || ev.Regarding.Kind != "Pod" {
				t.Errorf("want %s, got %+v", want, ev)
			}
		}
		version := r.pod("large").ResourceVersion
		r.pass(6 * time.Minute) // tried again as a leftover: nothing new to write
		if got := r.pod("large").ResourceVersion; got != version {
			t.Error("a condition that says nothing new was written")
		}
	})
}

func TestAPodWakesForWhatHelps(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		r.create(testNode("n", 100, 10)) // streams of different resources come in any order
		r.create(testPod("first", 80), testPod("second", 80))
		tries := func() int { return r.sched.queue.Get("second").Attempts } // the loop is at rest
		for i := range 5 {                                                  // none of these gives room
			r.create(testNode(fmt.Sprintf("tiny-%d", i), 10, 10), testPod(fmt.Sprintf("tiny-%d", i), 1))
		}
		r.pass(time.Minute)
		if tries() != 1 {
			t.Errorf("tried %d times while nothing could help", tries())
		}
		if _, err := api.Delete(t.Context(), podResource(), "default", "first", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.pod("second").Spec.NodeName != "n" {
			t.Error("room does not wake the pod that waits for it")
		}
	})
}

func TestAnotherScheduler(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		var taken []string
		r := start(t, api, func(c *Config) { c.Client = racing{api, func(b *corev1.Binding) { taken = append(taken, b.Name) }} })
		defer r.stop()
		r.create(testNode("a", 1000, 10), testNode("b", 1000, 10), testPod("p", 10))
		r.pass(time.Minute)
		if p := r.pod("p"); p.Spec.NodeName != "other" || len(p.Status.Conditions) != 0 || len(r.events()) != 0 || len(taken) != 1 {
			t.Errorf("a pod that another bound: %s, conditions %v, events %v", p.Spec.NodeName, p.Status.Conditions, r.events())
		}
	})
}

// racing lets another bind each pod right before.
type racing struct {
	client.Client
	told func(*corev1.Binding)
}

func (c racing) Bind(ctx context.Context, list []*corev1.Binding) []error {
	for _, b := range list {
		c.told(b)
		other := b.DeepCopy()
		other.Target.Name = "other"
		if errs := c.Client.Bind(ctx, []*corev1.Binding{other}); errs[0] != nil {
			return errs
		}
	}
	return c.Client.Bind(ctx, list)
}

func TestARefusedBindingIsTriedAgain(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		var refuse atomic.Bool
		refuse.Store(true)
		api.Fail(func(verb string, res client.Resource, obj kinds.Object) error {
			if p, ok := obj.(*corev1.Pod); ok && verb == "update" && p.Spec.NodeName != "" && refuse.Load() {
				return apierrors.NewInternalError(errors.New("disk"))
			}
			return nil
		})
		r := start(t, api, nil)
		defer r.stop()
		r.create(testNode("n", 100, 10), testPod("p", 80))
		c := r.pod("p").Status.Conditions
		if len(c) != 1 || c[0].Reason != "SchedulerError" || !strings.HasPrefix(c[0].Message, `running Bind plugin "DefaultBinder": `) {
			t.Errorf("conditions %+v", c)
		}
		refuse.Store(false)
		r.pass(3 * time.Second)
		if r.pod("p").Spec.NodeName != "n" {
			t.Error("a pod whose binding failed was not tried again, or its room not given back")
		}
	})
}

func TestProfilesAndNominations(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		packed := place.DefaultProfile()
		packed.Strategy = place.MostAllocated
		r := start(t, api, func(c *Config) {
			for name, p := range map[string]place.Profile{"default-scheduler": place.DefaultProfile(), "packed": packed} {
				policy, err := p.Compile()
				if err != nil {
					t.Fatal(err)
				}
				c.Profiles = append(c.Profiles, Profile{Name: name, Policy: policy})
			}
		})
		defer r.stop()
		r.create(testNode("a", 1000, 10), testNode("b", 1000, 10))
		old := testPod("old", 500)
		old.Spec.NodeName = "a"
		here, there, third, expected := testPod("here", 10), testPod("there", 10), testPod("third", 10), testPod("expected", 10)
		here.Spec.SchedulerName, third.Spec.SchedulerName, expected.Status.NominatedNodeName = "packed", "third", "a"
		r.create(old, here, there, third, expected)
		for name, want := range map[string]string{"here": "a", "there": "b", "third": "", "expected": "a"} {
			if got := r.pod(name).Spec.NodeName; got != want {
				t.Errorf("pod %s on %q, want %q", name, got, want)
			}
		}
		if report, err := r.sched.Why(t.Context(), "default", "there"); err != nil || report.Node != "b" || report.Feasible != 2 || report.Good[0].Node != "b" {
			t.Errorf("why: %+v, %v", report, err)
		}
		if _, err := r.sched.Why(t.Context(), "default", "third"); !apierrors.IsBadRequest(err) {
			t.Errorf("why of another's pod: %v", err)
		}
		if _, err := r.sched.Why(t.Context(), "default", "none"); !apierrors.IsNotFound(err) {
			t.Errorf("why of no pod: %v", err)
		}
	})
}

// TestKillsLoseAndDoubleNothing kills schedulers between any two bindings of a batch, before or after the API took the one, and lets the next go on.
func TestKillsLoseAndDoubleNothing(t *testing.T) {
	for seed := range int64(8) {
		virtual(t, func(t *testing.T, api *controllertest.Cluster) {
			rng := rand.New(rand.NewSource(seed))
			bound := map[string]int{}
			var mu sync.Mutex // guards bound and left
			left := 0         // bindings until the kill
			kill := errors.New("killed")
			api.Fail(func(verb string, res client.Resource, obj kinds.Object) error {
				p, ok := obj.(*corev1.Pod)
				if !ok || verb != "update" || p.Spec.NodeName == "" {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if left--; left < 0 {
					return kill
				}
				bound[p.Name]++
				return nil
			})
			first := start(t, api, nil)
			first.stop()
			for i := range 4 {
				first.create(testNode(fmt.Sprint("n", i), 1000, 20))
			}
			const pods = 30
			for i := range pods {
				first.create(testPod(fmt.Sprint("p", i), 100))
			}
			for range 100 {
				mu.Lock()
				left = rng.Intn(12)
				mu.Unlock()
				r := start(t, api, func(c *Config) { c.Rand = rng })
				synctest.Wait()
				r.stop()
			}
			use := map[string]int{}
			for i := range pods {
				p := first.pod(fmt.Sprint("p", i))
				use[p.Spec.NodeName]++
				if p.Spec.NodeName == "" || bound[p.Name] != 1 {
					t.Errorf("seed %d: pod %s on %q, bound %d times", seed, p.Name, p.Spec.NodeName, bound[p.Name])
				}
			}
			for node, n := range use {
				if n > 10 {
					t.Errorf("seed %d: node %s has %d pods, room for 10", seed, node, n)
				}
			}
		})
	}
}

func TestABatchIsBounded(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		c := &counting{Client: api}
		first := start(t, api, nil)
		first.stop()
		first.create(testNode("n", 1_000_000, 1000))
		for i := range 700 {
			first.create(testPod(fmt.Sprint(i), 1))
		}
		r := start(t, api, func(cfg *Config) { cfg.Client = c })
		synctest.Wait()
		r.stop()
		if slices.Max(c.sizes) != batchMost || len(c.sizes) != 6 {
			t.Errorf("batches of %v, want 5 of %d and one of 60", c.sizes, batchMost)
		}
	})
}

// counting notes how large batches are.
type counting struct {
	client.Client
	mu    sync.Mutex // guards sizes
	sizes []int
}

func (c *counting) Bind(ctx context.Context, list []*corev1.Binding) []error {
	c.mu.Lock()
	c.sizes = append(c.sizes, len(list))
	c.mu.Unlock()
	return c.Client.Bind(ctx, list)
}
