package scheduler

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	configv1 "k8s.io/kube-scheduler/config/v1"
	extenderv1 "k8s.io/kube-scheduler/extender/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/scheduler/config"
	"github.com/floe-k8s/floe/internal/scheduler/extend"
)

// ranked is a pod of a priority; on a node unless that is "".
func ranked(name string, cpu int64, priority int32, node string) *corev1.Pod {
	p := testPod(name, cpu)
	p.Spec.Priority, p.Spec.NodeName = &priority, node
	p.Labels = map[string]string{"app": name}
	return p
}

// there says which pods exist.
func (r *rig) there() []string {
	view, err := r.api.View(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	var names []string
	for obj := range view.List(podResource(), "default") {
		names = append(names, obj.GetName())
	}
	slices.Sort(names)
	return names
}

func TestPreemption(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		kept := ranked("kept", 800, 1, "a")
		slow := ranked("slow", 800, 1, "b") // takes its time to go
		slow.Finalizers = []string{"example.com/slow"}
		r.create(testNode("a", 1000, 10), testNode("b", 1000, 10), kept, slow,
			&policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kept"},
				Spec: policyv1.PodDisruptionBudgetSpec{Selector: &metav1.LabelSelector{MatchLabels: kept.Labels}}})
		r.create(ranked("urgent", 500, 100, ""))
		urgent, victim := r.pod("urgent"), r.pod("slow")
		if urgent.Spec.NodeName != "" || urgent.Status.NominatedNodeName != "b" || len(urgent.Status.Conditions) != 1 ||
			urgent.Status.Conditions[0].Message != "0/2 nodes are available: 2 Insufficient cpu." {
			t.Fatalf("preemptor: on %q, %+v", urgent.Spec.NodeName, urgent.Status)
		}
		c := victim.Status.Conditions
		if victim.DeletionTimestamp == nil || len(c) != 1 || c[0].Type != corev1.DisruptionTarget || c[0].Status != corev1.ConditionTrue ||
			c[0].Reason != corev1.PodReasonPreemptionByScheduler || c[0].Message != "default-scheduler: preempting to accommodate a higher priority pod" {
			t.Errorf("victim: deleted %v, %+v", victim.DeletionTimestamp, c)
		}
		ev := r.events()["Preempted by pod urgent on node b"]
		if ev == nil || ev.Reason != "Preempted" || ev.Action != "Preempting" || ev.Type != "Normal" || ev.Regarding.Name != "slow" || ev.Related == nil ||
			ev.Related.Name != "urgent" || ev.ReportingController != "default-scheduler" {
			t.Errorf("event %+v of %v", ev, r.events())
		}
		r.create(ranked("meek", 500, 1, "")) // what is promised is nobody else's
		r.pass(time.Minute)
		r.change("slow", func(p *corev1.Pod) { p.Finalizers = nil })
		r.pass(3 * time.Second)
		if got := r.pod("urgent").Spec.NodeName; got != "b" {
			t.Errorf("preemptor on %q", got)
		}
		if got := r.there(); !slices.Equal(got, []string{"kept", "meek", "urgent"}) || r.pod("meek").Spec.NodeName != "b" {
			t.Errorf("pods %v, meek on %q", got, r.pod("meek").Spec.NodeName)
		}
	})
}

func TestPreemptionThatIsSwitchedOff(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		p := config.Default().Profiles[0]
		p.Preemption, p.Gates = false, false
		r := start(t, api, func(c *Config) {
			c.Rules = NewRules(c.Clock)
			made, err := NewProfile(p, c.Rules)
			if err != nil {
				t.Fatal(err)
			}
			c.Profiles = []Profile{made}
		})
		defer r.stop()
		gated := ranked("gated", 100, 1, "")
		gated.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "g"}}
		r.create(testNode("a", 1000, 10), ranked("low", 800, 1, "a"), ranked("urgent", 500, 100, ""), gated)
		if got := r.pod("urgent").Status; got.NominatedNodeName != "" || got.Conditions[0].Message != "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate" {
			t.Errorf("status %+v", got)
		}
		if r.pod("gated").Spec.NodeName != "a" {
			t.Error("gates count though the profile has no SchedulingGates")
		}
	})
}

func TestAnEvictionThatFails(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		var mu sync.Mutex // guards left
		left := 3         // deletions that fail
		api.Fail(func(verb string, res client.Resource, obj kinds.Object) error {
			mu.Lock()
			defer mu.Unlock()
			if verb == "delete" && left > 0 {
				left--
				return errors.New("disk")
			}
			return nil
		})
		r := start(t, api, nil)
		defer r.stop()
		r.create(testNode("a", 1000, 10), ranked("x", 500, 1, "a"), ranked("y", 500, 1, "a"), ranked("urgent", 1000, 100, ""))
		r.pass(30 * time.Second)
		if got := r.there(); !slices.Equal(got, []string{"urgent"}) || r.pod("urgent").Spec.NodeName != "a" {
			t.Errorf("pods %v, urgent on %q", got, r.pod("urgent").Spec.NodeName)
		}
	})
}

// A pod of higher priority takes the place that was promised to another, which looks for one anew.
func TestAPromiseIsBroken(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		slow := ranked("slow", 400, 1, "a")
		slow.Finalizers = []string{"example.com/slow"}
		r.create(testNode("a", 1000, 10), slow, ranked("low", 600, 5, "a"), ranked("middle", 400, 50, ""))
		if got := r.pod("middle").Status.NominatedNodeName; got != "a" {
			t.Fatalf("middle is nominated to %q", got)
		}
		r.create(ranked("urgent", 1000, 100, ""))
		r.pass(10 * time.Second)
		if urgent, middle := r.pod("urgent"), r.pod("middle"); urgent.Status.NominatedNodeName != "a" || middle.Status.NominatedNodeName != "" {
			t.Errorf("urgent is nominated to %q, middle to %q", urgent.Status.NominatedNodeName, middle.Status.NominatedNodeName)
		}
		r.change("slow", func(p *corev1.Pod) { p.Finalizers = nil })
		r.pass(10 * time.Second)
		if urgent, middle := r.pod("urgent"), r.pod("middle"); urgent.Spec.NodeName != "a" || middle.Spec.NodeName != "" {
			t.Errorf("urgent on %q, middle on %q", urgent.Spec.NodeName, middle.Spec.NodeName)
		}
	})
}

// A victim that waits for its claims keeps its life: its place is taken, and it looks for another.
func TestAVictimThatIsNotBound(t *testing.T) {
	virtual(t, func(t *testing.T, api *controllertest.Cluster) {
		r := start(t, api, nil)
		defer r.stop()
		low := claimingPod("low", "c")
		low.Spec.Priority = new(int32(1))
		r.create(testNode("n", 150, 10), lazyClass(), testClaim("c"), low)
		r.create(ranked("urgent", 100, 100, ""))
		r.pass(10 * time.Second)
		if got := r.there(); !slices.Equal(got, []string{"low", "urgent"}) || r.pod("urgent").Spec.NodeName != "n" || r.pod("low").Spec.NodeName != "" {
			t.Errorf("pods %v, urgent on %q, low on %q", got, r.pod("urgent").Spec.NodeName, r.pod("low").Spec.NodeName)
		}
		if r.events()["Preempted by pod urgent on node n (in kube-scheduler memory)."] == nil {
			t.Errorf("events %v", r.events())
		}
	})
}

// TestKillsEvictNoMoreThanNeeded kills schedulers between any two writes of preemption.
func TestKillsEvictNoMoreThanNeeded(t *testing.T) {
	for seed := range int64(8) {
		virtual(t, func(t *testing.T, api *controllertest.Cluster) {
			rng := rand.New(rand.NewSource(seed))
			var mu sync.Mutex // guards left
			left := 0         // writes until the kill
			first := start(t, api, nil)
			first.stop()
			const nodes, each = 3, 4
			for i := range nodes {
				node := fmt.Sprint("n", i)
				first.create(testNode(node, 1000, 20))
				for j := range each {
					first.create(ranked(fmt.Sprint("low-", i, "-", j), 250, 1, node))
				}
			}
			first.create(ranked("urgent-0", 500, 100, ""), ranked("urgent-1", 500, 100, ""))
			api.Fail(func(verb string, res client.Resource, obj kinds.Object) error {
				mu.Lock()
				defer mu.Unlock()
				if left--; left < 0 {
					return errors.New("killed")
				}
				return nil
			})
			for range 60 {
				mu.Lock()
				left = 1 + rng.Intn(8)
				mu.Unlock()
				r := start(t, api, func(c *Config) { c.Rand = rng })
				synctest.Wait()
				r.stop()
			}
			if got := len(first.there()); got != nodes*each-4+2 || first.pod("urgent-0").Spec.NodeName == "" || first.pod("urgent-1").Spec.NodeName == "" {
				t.Errorf("seed %d: %d pods are left, urgent ones on %q and %q", seed, got, first.pod("urgent-0").Spec.NodeName, first.pod("urgent-1").Spec.NodeName)
			}
		})
	}
}

// An extender that takes part in preemption decides who goes.
func TestAnExtenderChoosesVictims(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var args extenderv1.ExtenderPreemptionArgs
		if err := json.NewDecoder(r.Body).Decode(&args); err != nil || len(args.NodeNameToVictims) != 2 || args.NodeNameToVictims["a"].Pods[0].Name != "cheap" {
			http.Error(w, fmt.Sprint(err, args), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(extenderv1.ExtenderPreemptionResult{NodeNameToMetaVictims: map[string]*extenderv1.MetaVictims{
			"b": {Pods: []*extenderv1.MetaPod{{UID: "dear"}}}}}) // the test sees what is missing
	}))
	defer s.Close()
	e, err := extend.New(configv1.Extender{URLPrefix: s.URL, PreemptVerb: "preempt"})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Client: controllertest.New(clock.RealClock{}), Clock: clock.RealClock{}, Rand: rand.New(rand.NewSource(1)), Extenders: []*extend.Extender{e}}
	sched := New(cfg)
	for _, obj := range []kinds.Object{testNode("a", 1000, 9), testNode("b", 1000, 9), ranked("cheap", 900, 1, "a"), ranked("dear", 900, 50, "b")} {
		sched.apply(t.Context(), client.Change{New: obj})
	}
	if v := sched.decide(t.Context(), ranked("urgent", 900, 100, "")); v.plan.Node != "b" || len(v.plan.Victims) != 1 || v.plan.Victims[0].Name != "dear" {
		t.Errorf("verdict %+v", v)
	}
}
