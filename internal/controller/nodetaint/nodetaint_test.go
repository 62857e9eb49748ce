package nodetaint_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/nodetaint"
)

// TestTaintsFollowConditions names taints without their common prefix, with their effect when it is not NoSchedule.
func TestTaintsFollowConditions(t *testing.T) {
	const prefix = "node.kubernetes.io/"
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		conditions string // as Ready=True MemoryPressure=False
		cordoned   bool
		taints     string
		want       string
	}{
		"new and ready":          {"Ready=True", false, "not-ready", ""},
		"new and silent":         {"", false, "not-ready", ""},
		"not ready":              {"Ready=False", false, "", "not-ready"},
		"not ready, known":       {"Ready=False", false, "not-ready", "not-ready"},
		"gone":                   {"Ready=Unknown", false, "not-ready", "unreachable"},
		"cordoned":               {"Ready=True", true, "", "unschedulable"},
		"no longer cordoned":     {"Ready=True", false, "unschedulable", ""},
		"pressure":               {"Ready=True MemoryPressure=True DiskPressure=True PIDPressure=True NetworkUnavailable=True", false, "", "memory-pressure disk-pressure pid-pressure network-unavailable"},
		"no pressure":            {"Ready=True MemoryPressure=False DiskPressure=Unknown", false, "memory-pressure disk-pressure", ""},
		"others' taints":         {"Ready=True", false, "not-ready mine not-ready:NoExecute", "mine not-ready:NoExecute"},
		"a condition of no note": {"Ready=True Odd=True", false, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{Unschedulable: c.cordoned}}
			for word := range strings.FieldsSeq(c.conditions) {
				kind, status, _ := strings.Cut(word, "=")
				n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeConditionType(kind), Status: corev1.ConditionStatus(status)})
			}
			for word := range strings.FieldsSeq(c.taints) {
				key, effect, ok := strings.Cut(word, ":")
				if !ok {
					effect = "NoSchedule"
				}
				n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: prefix + key, Effect: corev1.TaintEffect(effect)})
			}
			cluster := controllertest.New(clocktesting.NewFakeClock(start))
			res := corev1.SchemeGroupVersion.WithResource("nodes")
			if _, err := cluster.Create(t.Context(), res, n, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			ctl, key := nodetaint.New(), engine.Key{Resource: res, Name: "n"}
			woken := slices.Equal(ctl.Inputs[0].Keys(nil, client.Change{New: n}), []engine.Key{key})
			_, wrote, err := controllertest.Step(t.Context(), cluster, ctl, key, start)
			if err != nil || wrote != (c.taints != c.want) || woken != wrote {
				t.Errorf("wrote %v, woken %v, %v", wrote, woken, err)
			}
			obj, err := cluster.Get(t.Context(), res, "", "n")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, taint := range obj.(*corev1.Node).Spec.Taints {
				word := strings.TrimPrefix(taint.Key, prefix)
				if taint.Effect != corev1.TaintEffectNoSchedule {
					word += ":" + string(taint.Effect)
				}
				if fresh := !slices.Contains(strings.Fields(c.taints), word); fresh != (taint.TimeAdded != nil) {
					t.Errorf("%s was added at %v", word, taint.TimeAdded)
				}
				got = append(got, word)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if keys := ctl.Inputs[0].Keys(nil, client.Change{New: obj}); keys != nil {
				t.Errorf("woken again: %v", keys)
			}
		})
	}
}
