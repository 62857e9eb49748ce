package deployment_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/deployment"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/replicaset"
)

var (
	deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
	sets        = appsv1.SchemeGroupVersion.WithResource("replicasets")
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
)

// world is a cluster in virtual time: each tick makes pods ready, then each controller looks once.
type world struct {
	*controllertest.Cluster
	clock *clocktesting.FakeClock
}

func TestRollouts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
		w := world{controllertest.New(clock), clock}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "apply":
				w.apply(t, d)
				return ""
			case "settle":
				return w.settle(t)
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

func (w world) apply(t *testing.T, d *datadriven.TestData) {
	t.Helper()
	args := map[string]string{}
	for _, a := range d.CmdArgs {
		args[a.Key] = a.Vals[0]
	}
	n, err := strconv.Atoi(args["replicas"])
	if err != nil {
		t.Fatal(err)
	}
	replicas, deadline, history := int32(n), int32(600), int32(10)
	if args["history"] != "" {
		history = 1
	}
	l := map[string]string{"app": "web"}
	spec := appsv1.DeploymentSpec{Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: l}, Paused: args["paused"] == "true",
		ProgressDeadlineSeconds: &deadline, RevisionHistoryLimit: &history,
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: args["image"]}}}}}
	if args["recreate"] == "true" {
		spec.Strategy.Type = appsv1.RecreateDeploymentStrategyType
	}
	dep := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: spec}
	if old, err := w.Get(t.Context(), deployments, "default", "web"); err == nil {
		dep = old.(*appsv1.Deployment).DeepCopy()
		dep.Spec = spec
		_, err = w.Update(t.Context(), deployments, dep, "")
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, err := w.Create(t.Context(), deployments, dep, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (w world) settle(t *testing.T) string {
	t.Helper()
	var out []string
	for range 100 {
		w.clock.Step(time.Second)
		busy := w.kubelet(t)
		view, _ := w.View(t.Context())
		for d := range view.List(deployments, "") {
			busy = w.step(t, deployment.New(), engine.Key{Resource: deployments, Namespace: d.GetNamespace(), Name: d.GetName()}, &out) || busy
		}
		view, _ = w.View(t.Context())
		for s := range view.List(sets, "") {
			var quiet []string
			busy = w.step(t, replicaset.New(), engine.Key{Resource: sets, Namespace: s.GetNamespace(), Name: s.GetName()}, &quiet) || busy
		}
		w.check(t)
		if !busy {
			return strings.Join(append(out, w.state(t)...), "\n") + "\n"
		}
	}
	t.Fatalf("does not settle:\n%s", strings.Join(out, "\n"))
	return ""
}

func (w world) step(t *testing.T, ctl engine.Controller, key engine.Key, out *[]string) bool {
	t.Helper()
	events, wrote, err := controllertest.Step(t.Context(), w.Cluster, ctl, key, w.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	*out = append(*out, events...)
	return wrote
}

// kubelet makes every pod ready.
func (w world) kubelet(t *testing.T) bool {
	t.Helper()
	view, _ := w.View(t.Context())
	busy := false
	for obj := range view.List(pods, "") {
		pod := obj.(*corev1.Pod)
		if pod.Status.Phase == corev1.PodRunning {
			continue
		}
		next := pod.DeepCopy()
		next.Spec.NodeName = "n"
		next.Status.Phase = corev1.PodRunning
		next.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(w.clock.Now())}}
		if _, err := w.Update(t.Context(), pods, next, "status"); err != nil {
			t.Fatal(err)
		}
		busy = true
	}
	return busy
}

// check holds the law of surge: never more than a quarter (rounded up) above the wanted number.
func (w world) check(t *testing.T) {
	t.Helper()
	obj, err := w.Get(t.Context(), deployments, "default", "web")
	if err != nil {
		t.Fatal(err)
	}
	want := *obj.(*appsv1.Deployment).Spec.Replicas
	view, _ := w.View(t.Context())
	var asked int32
	for s := range view.List(sets, "") {
		asked += *s.(*appsv1.ReplicaSet).Spec.Replicas
	}
	if asked > want+(want+3)/4 {
		t.Fatalf("sets ask for %d pods, wanted %d", asked, want)
	}
}

func (w world) state(t *testing.T) []string {
	t.Helper()
	view, _ := w.View(t.Context())
	var out []string
	for obj := range view.List(sets, "") {
		s := obj.(*appsv1.ReplicaSet)
		out = append(out, fmt.Sprintf("  set %s revision %s image %s: %d wanted, %d ready", s.Name, s.Annotations["deployment.kubernetes.io/revision"],
			s.Spec.Template.Spec.Containers[0].Image, *s.Spec.Replicas, s.Status.ReadyReplicas))
	}
	slices.Sort(out)
	d := view.Get(deployments, "default", "web").(*appsv1.Deployment)
	out = append(out, fmt.Sprintf("  deployment revision %s: %d/%d updated, %d available, %d unavailable", d.Annotations["deployment.kubernetes.io/revision"],
		d.Status.UpdatedReplicas, d.Status.Replicas, d.Status.AvailableReplicas, d.Status.UnavailableReplicas))
	for _, c := range d.Status.Conditions {
		out = append(out, fmt.Sprintf("  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return out
}
