package daemonset_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/daemonset"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/revision"
)

// oneNode is a world with a node n0 and no other that is wanted.
func oneNode(t *testing.T) *world {
	w := newWorld(t, 2, appsv1.RollingUpdateDaemonSet{MaxUnavailable: ptr.To(intstr.FromInt32(1)), MaxSurge: ptr.To(intstr.FromInt32(0))})
	for i := range nodeCount - 1 {
		w.Remove(nodes(), "", nodeName(i+1))
	}
	return w
}

// TestEvents: the life of a set as its events tell it.
func TestEvents(t *testing.T) {
	w, ctl := oneNode(t), daemonset.New()
	names := regexp.MustCompile(`d-[a-z0-9]{5}\b`)
	expect := func(what string, want ...string) {
		t.Helper()
		var all []string
		for range 10 {
			events, wrote, err := controllertest.Step(t.Context(), w.As(ctl.User), ctl, engine.Key{Resource: sets(), Namespace: "default", Name: "d"}, w.Clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			for _, ev := range events {
				all = append(all, names.ReplaceAllString(ev, "NAME"))
			}
			moved := false
			for _, p := range w.Pods("default") {
				moved = w.Run(p) || moved
			}
			if !wrote && !moved {
				break
			}
		}
		if !slices.Equal(all, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(all, "\n"), strings.Join(want, "\n"))
		}
	}
	expect("made", "Created pod: NAME")
	expect("at rest")
	w.Fail(w.Pods("default")[0])
	expect("failed", "Deleted pod: NAME", "Found failed daemon pod default/NAME on node n0, will try to kill it", "Created pod: NAME")
	w.Fail(w.Pods("default")[0])
	expect("failed again at once")
	w.Clock.Step(daemonHold)
	expect("failed again", "Deleted pod: NAME", "Found failed daemon pod default/NAME on node n0, will try to kill it", "Created pod: NAME")
	bed.Change(w.Bed, pods.Resource(), "default", w.Pods("default")[0].Name, "status", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded })
	expect("succeeded", "Deleted pod: NAME", "Found succeeded daemon pod default/NAME on node n0, will try to delete it", "Created pod: NAME")
	bed.Change(w.Bed, sets(), "default", "d", "", func(set *appsv1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = "i1" })
	expect("rolled", "Deleted pod: NAME", "Created pod: NAME")
	bed.Change(w.Bed, sets(), "default", "d", "", func(set *appsv1.DaemonSet) { set.Spec.Template.Spec.NodeSelector["on"] = "no" })
	expect("wanted nowhere", "Deleted pod: NAME")
}

// daemonHold is how long the second pod that fails on a node is left.
const daemonHold = time.Second

// TestPod: what the set's pods have beside their template.
func TestPod(t *testing.T) {
	w := oneNode(t)
	w.Settle()
	list := w.Pods("default")
	if len(list) != 1 {
		t.Fatalf("%d pods", len(list))
	}
	p := list[0]
	view, err := w.Client.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var hash string
	for obj := range view.List(revision.Resource(), "default") {
		hash = obj.GetLabels()[appsv1.DefaultDaemonSetUniqueLabelKey]
	}
	if got := p.Labels; got["app"] != "d" || hash == "" || got[appsv1.DefaultDaemonSetUniqueLabelKey] != hash || got["pod-template-generation"] != "1" {
		t.Errorf("labels %v, the revision's hash is %q", got, hash)
	}
	if nodeOf(p) != "n0" || p.GenerateName != "d-" || !metav1.IsControlledBy(p, w.set()) {
		t.Errorf("for node %s, called %s, owned by %v", nodeOf(p), p.GenerateName, p.OwnerReferences)
	}
	var tolerated []string
	for _, tol := range p.Spec.Tolerations {
		if tol.Operator == corev1.TolerationOpExists {
			tolerated = append(tolerated, strings.TrimPrefix(tol.Key, "node.kubernetes.io/")+":"+string(tol.Effect))
		}
	}
	want := "not-ready:NoExecute unreachable:NoExecute disk-pressure:NoSchedule memory-pressure:NoSchedule pid-pressure:NoSchedule unschedulable:NoSchedule"
	if got := strings.Join(tolerated, " "); got != want {
		t.Errorf("tolerates %s, want %s", got, want)
	}
}

// TestNodes: which changes of a node wake a set.
func TestNodes(t *testing.T) {
	w := oneNode(t)
	w.Settle()
	var keys func(client.View, client.Change) []engine.Key
	for _, in := range daemonset.New().Inputs {
		if in.Resource == nodes() {
			keys = in.Keys
		}
	}
	check := func(what string, want int, was, is func(n *corev1.Node)) {
		t.Helper()
		view, err := w.Client.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := bed.Get[*corev1.Node](w.Bed, nodes(), "", nodeName(0))
		var change client.Change
		if was != nil {
			old := n.DeepCopy()
			was(old)
			change.Old = old
		}
		if is != nil {
			next := n.DeepCopy()
			is(next)
			change.New = next
		}
		if got := keys(view, change); len(got) != want {
			t.Errorf("%s: wakes %v, want %d", what, got, want)
		}
	}
	same := func(*corev1.Node) {}
	off := func(n *corev1.Node) { n.Labels["on"] = "no" }
	taint := func(key string, effect corev1.TaintEffect) func(n *corev1.Node) {
		return func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: key, Effect: effect}} }
	}
	check("a new one", 1, nil, same)
	check("a new one that is not wanted", 0, nil, off)
	check("one that is gone", 1, same, nil)
	check("one that is gone and was not wanted", 0, off, nil)
	check("a heartbeat", 0, same, func(n *corev1.Node) { n.Status.Phase = corev1.NodeRunning })
	check("another label", 0, same, func(n *corev1.Node) { n.Labels["other"] = "x" })
	check("a label that matters", 1, same, off)
	check("a taint that is tolerated", 0, same, taint(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule))
	check("a taint that is not", 1, same, taint("x", corev1.TaintEffectNoSchedule))
	check("the same taint, which now evicts", 1, taint("x", corev1.TaintEffectNoSchedule), taint("x", corev1.TaintEffectNoExecute))
	w.Run(w.Pods("default")[0])
	check("a new one that is not wanted and has a pod", 1, nil, off)
}
