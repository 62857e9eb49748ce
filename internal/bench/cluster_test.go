package bench

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// testCluster has a node, a pod that is placed, pods pods to measure, and a node for every second of them.
func testCluster(pods int) Cluster {
	node := func(name string) *corev1.Node {
		n := &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: name}}
		n.Spec.Taints = []corev1.Taint{{Key: "own", Effect: corev1.TaintEffectNoSchedule}}
		return n
	}
	pod := func(name string) *corev1.Pod {
		p := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
		p.Spec.Containers = []corev1.Container{{Name: "main", Image: "image"}}
		return p
	}
	c := Cluster{Name: "cluster", Before: []runtime.Object{node("node"), pod("placed")}}
	for i := range pods + 1 {
		c.Pods = append(c.Pods, pod(fmt.Sprintf("coming-%d", i)))
	}
	for i := range pods / 2 {
		c.Beside = append(c.Beside, node(fmt.Sprintf("beside-%d", i)))
	}
	return c
}

func TestSchedulingMeasuresAClustersPods(t *testing.T) {
	f, _, target := newFake(t)
	f.objects["/api/v1/nodes/node"] = "{}" // was there before, and stays
	var sent atomic.Int64
	f.fail = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && r.URL.Path == "/api/v1/nodes" {
			sent.Add(1)
		}
		return false
	}
	o := testOptions(target)
	o.Namespace, o.Clients = "default", 1
	report, err := Measure(t.Context(), Scheduling(testCluster(o.Count)), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.Operations != uint64(o.Count) || report.Failed != 0 || report.Scenario != "cluster" {
		t.Errorf("scenario %s: %d operations, errors %v; want cluster, %d and none", report.Scenario, report.Operations, report.Errors, o.Count)
	}
	if want := int64(1 + o.Count/2); sent.Load() != want {
		t.Errorf("%d nodes were sent, want %d", sent.Load(), want)
	}
	delete(f.objects, "/api/v1/namespaces/default/serviceaccounts/default")
	if len(f.objects) != 1 || f.objects["/api/v1/nodes/node"] == "" {
		t.Errorf("left behind: %v, want the node that was there", f.objects)
	}
}

func TestSchedulingTakesForeignTaintsAway(t *testing.T) {
	f, _, target := newFake(t)
	var patch string
	f.fail = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodPost && r.URL.Path == "/api/v1/nodes":
			fmt.Fprint(w, `{"spec":{"taints":[{"key":"node.kubernetes.io/not-ready","effect":"NoSchedule"}]}}`)
			return true
		case r.Method == http.MethodPatch:
			body, _ := io.ReadAll(r.Body)
			patch = string(body)
			fmt.Fprint(w, "{}")
			return true
		}
		return false
	}
	o := testOptions(target)
	o.Namespace, o.Count = "default", 1
	if _, err := Measure(t.Context(), Scheduling(testCluster(1)), o); err != nil {
		t.Fatal(err)
	}
	if want := `{"spec":{"taints":[{"key":"own","effect":"NoSchedule"}]}}`; patch != want {
		t.Errorf("the node's taints were set by %q, want %q", patch, want)
	}
}

func TestSchedulingGivesUpWhereTheFirstPodIsRefused(t *testing.T) {
	f, _, target := newFake(t)
	f.fail = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pods") {
			http.Error(w, `{"message":"no such field"}`, http.StatusBadRequest)
			return true
		}
		return false
	}
	o := testOptions(target)
	o.Namespace = "default"
	c := testCluster(o.Count)
	c.Before = c.Before[:1]
	if _, err := Measure(t.Context(), Scheduling(c), o); !errors.Is(err, ErrUnbound) {
		t.Errorf("error %v, want %v", err, ErrUnbound)
	}
	if f.objects["/api/v1/nodes/node"] != "" {
		t.Error("the node was left behind")
	}
	c.Pods = c.Pods[:o.Count]
	if _, err := Measure(t.Context(), Scheduling(c), o); err == nil || errors.Is(err, ErrUnbound) {
		t.Errorf("error %v, want one of a cluster with too few pods", err)
	}
}
