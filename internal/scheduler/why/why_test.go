package why

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/scheduler/place"
)

func TestReport(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("1Gi")}}}}}}
	short := func(node string) place.Verdict {
		return place.Verdict{Node: node, Status: &place.Status{Code: place.Unschedulable, Plugin: place.NodeResourcesFit, Reasons: []string{"Insufficient cpu"}}}
	}
	tainted := place.Verdict{Node: "t", Status: &place.Status{Plugin: place.TaintToleration, Reasons: []string{"node(s) had untolerated taint(s)"}}}
	left := func(milli int64) map[corev1.ResourceName]int64 {
		return map[corev1.ResourceName]int64{corev1.ResourceCPU: milli, corev1.ResourceMemory: 4 << 30, corev1.ResourcePods: 5}
	}
	r := New(Facts{
		Pod: pod, Room: map[string]map[corev1.ResourceName]int64{"a": left(700), "b": left(-100)},
		Node: func(name string) *corev1.Node {
			return &corev1.Node{Spec: corev1.NodeSpec{Taints: []corev1.Taint{{Key: "gpu", Value: "yes", Effect: corev1.TaintEffectNoSchedule}}}}
		},
		Explain: place.Explanation{Feasible: 2, Nodes: []place.Verdict{short("a"), short("b"), {Node: "c", Total: 7}, {Node: "d", Total: 9,
			Scores: []place.Score{{Plugin: "ImageLocality", Score: 9}}}, tainted}},
	})
	r.State = "waits"
	var text bytes.Buffer
	if err := Write(&text, r); err != nil {
		t.Fatal(err)
	}
	want := `pod shop/cart waits
2 nodes would do now; the best:
  d: 9 (ImageLocality 9)
  c: 7 ()
nodes a, b: Insufficient cpu [NodeResourcesFit]: cpu: 300m more would do on a
node t: node(s) had untolerated taint(s) [TaintToleration]: tolerate or remove the taint gpu=yes:NoSchedule
`
	if text.String() != want {
		t.Errorf("got\n%s\nwant\n%s", text.String(), want)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := Read(bytes.NewReader(data)); err != nil || len(back.Refused) != 2 || back.Good[0].Scores[0].Score != 9 {
		t.Errorf("read back %+v, %v", back, err)
	}
	if _, err := Read(strings.NewReader("{")); err == nil {
		t.Error("half an answer is read without an error")
	}
}

func TestManyNodesAreCounted(t *testing.T) {
	if got := nodes([]string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}); got != "nodes 1, 2, 3, 4, 5, 6, 7, 8 and 2 more" {
		t.Errorf("got %s", got)
	}
}
