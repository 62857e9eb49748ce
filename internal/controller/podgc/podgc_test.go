package podgc

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
)

func newPod(name, node string, finalizers ...string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Finalizers: finalizers}, Spec: corev1.PodSpec{
		NodeName: node, TerminationGracePeriodSeconds: ptr.To[int64](30), Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
}

// TestOnePod tells what is done about a pod whose node is there, is out of service or is gone.
func TestOnePod(t *testing.T) {
	for name, c := range map[string]struct {
		pod     *corev1.Pod
		deleted bool
		node    string // "", ready, broken or out-of-service
		after   time.Duration
		want    string // as it is then; "": gone
	}{
		"runs":                            {newPod("p", "n"), false, "ready", time.Hour, "Pending"},
		"waits":                           {newPod("p", ""), false, "ready", time.Hour, "Pending"},
		"orphaned, fresh":                 {newPod("p", "n"), false, "", 39 * time.Second, "Pending"},
		"orphaned":                        {newPod("p", "n"), false, "", 40 * time.Second, ""},
		"orphaned, held":                  {newPod("p", "n", "a/b"), false, "", 40 * time.Second, "Failed deleted DeletionByPodGC: PodGC: node no longer exists"},
		"orphaned, on its way":            {newPod("p", "n", "a/b"), true, "", 40 * time.Second, "Failed deleted DeletionByPodGC: PodGC: node no longer exists"},
		"unscheduled, held":               {newPod("p", "", "a/b"), true, "ready", 0, "Failed deleted"},
		"on its way":                      {newPod("p", "n"), true, "ready", time.Hour, "Pending deleted"},
		"on its way, node broken":         {newPod("p", "n"), true, "broken", time.Hour, "Pending deleted"},
		"on its way, node out of service": {newPod("p", "n"), true, "out-of-service", 0, ""},
		"stays, node out of service":      {newPod("p", "n"), false, "out-of-service", time.Hour, "Pending"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bed.New(t, 1)
			ctl := New(DefaultThreshold, NewMetrics())
			putNode(b, c.node)
			b.Put(pods.Resource(), c.pod)
			if c.deleted {
				b.Remove(pods.Resource(), "default", "p")
			}
			for _, after := range []time.Duration{0, c.after} {
				b.Clock.Step(after)
				for _, w := range b.Reconcile(ctl, engine.Key{Resource: pods.Resource(), Namespace: "default", Name: "p"}, b.Clock.Now()).Writes {
					if _, _, err := w.Do(b.Context(), b.As(ctl.User)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := state(bed.Get[*corev1.Pod](b, pods.Resource(), "default", "p")); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func putNode(b *bed.Bed, how string) {
	if how == "" {
		return
	}
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
	status := corev1.ConditionFalse
	if how == "ready" {
		status = corev1.ConditionTrue
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status}}
	if how == "out-of-service" {
		n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeOutOfService, Value: "nodeshutdown", Effect: corev1.TaintEffectNoExecute}}
	}
	b.Put(nodes(), n)
}

func state(p *corev1.Pod) string {
	if p == nil {
		return ""
	}
	words := []string{string(p.Status.Phase)}
	if p.DeletionTimestamp != nil {
		words = append(words, "deleted")
	}
	if c := pods.Condition(p, corev1.DisruptionTarget); c != nil {
		words = append(words, c.Reason+": "+c.Message)
	}
	return strings.Join(words, " ")
}

func TestWhoGoesFirst(t *testing.T) {
	old := time.Unix(1000, 0)
	pod := func(name string, age int, phase corev1.PodPhase, reason string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(old.Add(-time.Duration(age) * time.Second))},
			Status: corev1.PodStatus{Phase: phase, Reason: reason}}
	}
	list := []*corev1.Pod{pod("c", 5, corev1.PodSucceeded, ""), pod("a", 1, corev1.PodFailed, "Evicted"), pod("d", 1, corev1.PodFailed, ""), pod("b", 5, corev1.PodFailed, ""),
		pod("e", 0, corev1.PodSucceeded, "Evicted")}
	for keep, want := range []string{"abcde", "abcd", "abc", "ab", "a", "", ""} {
		got := ""
		for _, p := range excess(slices.Clone(list), keep) {
			got += p.Name
		}
		if got != want {
			t.Errorf("keep %d: %q go, want %q", keep, got, want)
		}
	}
}

// TestByChance lets nodes come and go and pods end by chance: in the end no pod is left that has no node, and of those that have ended two.
func TestByChance(t *testing.T) {
	for seed := range int64(20) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			b, made := bed.New(t, seed), 0
			b.Sim.Add(New(2, NewMetrics()))
			names := []string{"n0", "n1", "n2"}
			b.Chance(200, func() {
				node := names[b.Rand.Intn(len(names))]
				there := bed.Get[*corev1.Node](b, nodes(), "", node) != nil
				switch b.Rand.Intn(4) {
				case 0:
					if there {
						b.Remove(nodes(), "", node)
					} else {
						b.Put(nodes(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}})
					}
				case 1:
					b.Put(pods.Resource(), newPod(fmt.Sprintf("p%d", made), node))
					made++
				case 2:
					if made > 0 {
						bed.Change(b, pods.Resource(), "default", fmt.Sprintf("p%d", b.Rand.Intn(made)), "status", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
					}
				}
			})
			ended := 0
			for i := range made {
				p := bed.Get[*corev1.Pod](b, pods.Resource(), "default", fmt.Sprintf("p%d", i))
				if p == nil {
					continue
				}
				if bed.Get[*corev1.Node](b, nodes(), "", p.Spec.NodeName) == nil {
					t.Errorf("%s is left, and its node %s is not there", p.Name, p.Spec.NodeName)
				}
				if pods.Ended(p) {
					ended++
				}
			}
			if ended > 2 {
				t.Errorf("%d pods are left that have ended", ended)
			}
		})
	}
}
