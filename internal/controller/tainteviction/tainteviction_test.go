package tainteviction

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
)

// taintsOf makes taints of keys; "a/NoSchedule" is of that effect, others of NoExecute.
func taintsOf(keys string) (list []corev1.Taint) {
	for word := range strings.FieldsSeq(keys) {
		key, effect, ok := strings.Cut(word, "/")
		if !ok {
			effect = string(corev1.TaintEffectNoExecute)
		}
		list = append(list, corev1.Taint{Key: key, Effect: corev1.TaintEffect(effect)})
	}
	return list
}

// tolerationsOf makes tolerations of keys, "a=30" of one for 30 seconds; "*" tolerates all.
func tolerationsOf(keys string) (list []corev1.Toleration) {
	for word := range strings.FieldsSeq(keys) {
		key, seconds, some := strings.Cut(word, "=")
		t := corev1.Toleration{Key: strings.TrimPrefix(key, "*"), Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
		if some {
			var s int64
			if _, err := fmt.Sscan(seconds, &s); err != nil {
				panic(err)
			}
			t.TolerationSeconds = &s
		}
		list = append(list, t)
	}
	return list
}

func TestTolerated(t *testing.T) {
	for _, c := range []struct {
		taints, tolerations string
		stay                time.Duration
		how                 toleration
	}{
		{"", "", 0, forEver}, {"a", "", 0, notAtAll}, {"a", "b", 0, notAtAll}, {"a", "a", 0, forEver}, {"a b", "*", 0, forEver},
		{"a", "a=30", 30 * time.Second, forATime}, {"a b", "a=30 b=20", 20 * time.Second, forATime}, {"a b", "a b=20", 20 * time.Second, forATime},
		{"a b", "a=30", 0, notAtAll}, {"a", "a=0", 0, forATime}, {"a", "a=-5", 0, forATime}, {"a", "a=30 a=10", 30 * time.Second, forATime},
	} {
		if stay, how := tolerated(taintsOf(c.taints), tolerationsOf(c.tolerations)); stay != c.stay || how != c.how {
			t.Errorf("taints %q, tolerations %q: got %v %v, want %v %v", c.taints, c.tolerations, stay, how, c.stay, c.how)
		}
	}
}

func newPod(name, tolerations string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}, Spec: corev1.PodSpec{
		NodeName: "n", Tolerations: tolerationsOf(tolerations), TerminationGracePeriodSeconds: ptr.To[int64](30), Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
}

// world is one node and a pod on it.
type world struct {
	*bed.Bed
	ctl engine.Controller
}

func newWorld(t *testing.T, tolerations string) *world {
	w := &world{bed.New(t, 1), New(NewMetrics())}
	w.Put(nodes(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	w.Put(pods.Resource(), newPod("p", tolerations))
	return w
}

func (w *world) taint(keys string) {
	bed.Change(w.Bed, nodes(), "", "n", "", func(n *corev1.Node) { n.Spec.Taints = taintsOf(keys) })
}

// look reconciles the pod after some time, and says what was told and whether the pod is being deleted.
func (w *world) look(after time.Duration) string {
	w.Clock.Step(after)
	events, _, err := controllertest.Step(w.Context(), w.As(w.ctl.User), w.ctl, engine.Key{Resource: pods.Resource(), Namespace: "default", Name: "p"}, w.Clock.Now())
	if err != nil {
		return err.Error()
	}
	if p := bed.Get[*corev1.Pod](w.Bed, pods.Resource(), "default", "p"); p != nil && p.DeletionTimestamp != nil {
		c := pods.Condition(p, corev1.DisruptionTarget)
		events = append(events, fmt.Sprintf("goes: %s %s", c.Reason, c.Message))
	}
	return strings.Join(events, "; ")
}

const (
	marking    = "Marking for deletion Pod default/p"
	cancelling = "Cancelling deletion of Pod default/p"
	goes       = "goes: DeletionByTaintManager Taint manager: deleting due to NoExecute taint"
)

func TestOnePod(t *testing.T) {
	type step struct {
		taints string
		after  time.Duration
		want   string
	}
	for name, c := range map[string]struct {
		tolerations string
		steps       []step
	}{
		"tolerates nothing":       {"", []step{{"a", 0, marking + "; " + goes}, {"a", time.Second, goes}}},
		"tolerates for ever":      {"a", []step{{"a", 0, ""}, {"a", time.Hour, ""}}},
		"for a time":              {"a=30", []step{{"a", 0, ""}, {"a", 29 * time.Second, ""}, {"a", time.Second, marking + "; " + goes}}},
		"taint goes":              {"a=30", []step{{"a", 0, ""}, {"", 29 * time.Second, cancelling}, {"", time.Hour, ""}}},
		"time begins anew":        {"a=30", []step{{"a", 0, ""}, {"", 20 * time.Second, cancelling}, {"a", time.Hour, ""}, {"a", 29 * time.Second, ""}, {"a", time.Second, marking + "; " + goes}}},
		"another taint, shorter":  {"a=30 b=5", []step{{"a", 0, ""}, {"a b", time.Second, ""}, {"a b", 28 * time.Second, ""}, {"a b", time.Second, marking + "; " + goes}}},
		"another, not tolerated":  {"a=30", []step{{"a", 0, ""}, {"a b", time.Second, cancelling + "; " + marking + "; " + goes}}},
		"another effect":          {"", []step{{"a/NoSchedule b/PreferNoSchedule", 0, ""}}},
		"only longer than before": {"a=30 b=60", []step{{"a", 0, ""}, {"b", 29 * time.Second, ""}, {"b", time.Second, marking + "; " + goes}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.tolerations)
			for i, s := range c.steps {
				w.taint(s.taints)
				if got := w.look(s.after); got != s.want {
					t.Errorf("step %d: got %q, want %q", i, got, s.want)
				}
			}
		})
	}
}

// TestAnotherPodOfTheName: what was scheduled ends with its pod.
func TestAnotherPodOfTheName(t *testing.T) {
	w := newWorld(t, "a=30")
	w.taint("a")
	if got := w.look(0); got != "" {
		t.Fatal(got)
	}
	if _, err := w.Client.Delete(w.Context(), pods.Resource(), "default", "p", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	w.Put(pods.Resource(), newPod("p", "a=30"))
	for _, s := range []struct {
		after time.Duration
		want  string
	}{{29 * time.Second, cancelling}, {0, ""}, {29 * time.Second, ""}, {time.Second, marking + "; " + goes}} {
		if got := w.look(s.after); got != s.want {
			t.Errorf("got %q, want %q", got, s.want)
		}
	}
}

// TestByChance taints nodes and changes pods by chance: in the end those are deleted that are on nodes whose taints they do not tolerate for ever.
func TestByChance(t *testing.T) {
	for seed := range int64(20) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			b := bed.New(t, seed)
			b.Sim.Add(New(NewMetrics()))
			b.Put(nodes(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
			wishes := []string{"", "*", "a", "a=20 b=400", "a=100", "b"}
			for i, wish := range wishes {
				b.Put(pods.Resource(), newPod(fmt.Sprintf("p%d", i), wish))
			}
			some := []string{"", "", "", "a", "a b", "b", "a/NoSchedule"}
			b.Chance(150, func() {
				bed.Change(b, nodes(), "", "n", "", func(n *corev1.Node) { n.Spec.Taints = taintsOf(some[b.Rand.Intn(len(some))]) })
			})
			bed.Change(b, nodes(), "", "n", "", func(n *corev1.Node) { n.Spec.Taints = taintsOf("a") })
			for range 3 {
				b.Settle()
			}
			for i, wish := range wishes {
				p := bed.Get[*corev1.Pod](b, pods.Resource(), "default", fmt.Sprintf("p%d", i))
				forever := slices.Contains([]string{"*", "a"}, wish)
				if gone := p == nil || p.DeletionTimestamp != nil; !gone && !forever || gone && wish == "*" {
					t.Errorf("pod that tolerates %q: gone %v", wish, gone)
				}
			}
		})
	}
}
