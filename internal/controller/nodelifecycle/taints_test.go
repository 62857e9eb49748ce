package nodelifecycle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const taintPrefix = "node.kubernetes.io/"

func begin() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

// node makes one of conditions, as "Ready=True MemoryPressure=False", and of taints without their common prefix, with their effect when it is not NoSchedule.
func node(conditions, taints string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", CreationTimestamp: metav1.NewTime(begin())}}
	for word := range strings.FieldsSeq(conditions) {
		kind, status, _ := strings.Cut(word, "=")
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeConditionType(kind), Status: corev1.ConditionStatus(status),
			LastHeartbeatTime: metav1.NewTime(begin())})
	}
	for word := range strings.FieldsSeq(taints) {
		key, effect, ok := strings.Cut(word, ":")
		if !ok {
			effect = "NoSchedule"
		}
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: taintPrefix + key, Effect: corev1.TaintEffect(effect)})
	}
	return n
}

func taintWords(list []corev1.Taint) (words []string) {
	for _, t := range list {
		word := strings.TrimPrefix(t.Key, taintPrefix)
		if t.Effect != corev1.TaintEffectNoSchedule {
			word += ":" + string(t.Effect)
		}
		words = append(words, word)
	}
	return words
}

func TestTaintsFollowConditions(t *testing.T) {
	for name, c := range map[string]struct {
		conditions string
		cordoned   bool
		taints     string
		evict      string
		want       string
	}{
		"new and ready":          {"Ready=True", false, "not-ready", "", ""},
		"new and silent":         {"", false, "not-ready", "", ""},
		"not ready":              {"Ready=False", false, "", "", "not-ready"},
		"not ready, known":       {"Ready=False", false, "not-ready", "", "not-ready"},
		"gone":                   {"Ready=Unknown", false, "not-ready", "", "unreachable"},
		"cordoned":               {"Ready=True", true, "", "", "unschedulable"},
		"no longer cordoned":     {"Ready=True", false, "unschedulable", "", ""},
		"pressure":               {"Ready=True MemoryPressure=True DiskPressure=True PIDPressure=True NetworkUnavailable=True", false, "", "", "memory-pressure disk-pressure pid-pressure network-unavailable"},
		"no pressure":            {"Ready=True MemoryPressure=False DiskPressure=Unknown", false, "memory-pressure disk-pressure", "", ""},
		"others' taints":         {"Ready=True", false, "not-ready mine out-of-service:NoExecute", "", "mine out-of-service:NoExecute"},
		"a condition of no note": {"Ready=True Odd=True", false, "", "", ""},
		"evicts":                 {"Ready=False", false, "not-ready", "not-ready", "not-ready not-ready:NoExecute"},
		"evicts otherwise":       {"Ready=Unknown", false, "mine not-ready not-ready:NoExecute", "unreachable", "mine unreachable unreachable:NoExecute"},
		"is back":                {"Ready=True", false, "unreachable unreachable:NoExecute mine:NoExecute", "", "mine:NoExecute"},
	} {
		n := node(c.conditions, c.taints)
		n.Spec.Unschedulable = c.cordoned
		evict := ""
		if c.evict != "" {
			evict = taintPrefix + c.evict
		}
		list, changed := reviseTaints(n, evict, begin())
		if got := strings.Join(taintWords(list), " "); got != c.want || changed != (c.taints != c.want) {
			t.Errorf("%s: got %q, changed %v, want %q", name, got, changed, c.want)
		}
		for i, taint := range list {
			if fresh := !slices.Contains(strings.Fields(c.taints), taintWords(list)[i]); fresh != (taint.TimeAdded != nil) {
				t.Errorf("%s: %s was added at %v", name, taint.Key, taint.TimeAdded)
			}
		}
		n.Spec.Taints = list
		if _, again := reviseTaints(n, evict, begin()); again {
			t.Errorf("%s: has no end", name)
		}
	}
}

func TestLabelsFollowTheStableOnes(t *testing.T) {
	for name, c := range map[string]struct{ has, want map[string]string }{
		"none":    {nil, nil},
		"lacks":   {map[string]string{corev1.LabelOSStable: "linux", corev1.LabelArchStable: "arm64"}, map[string]string{labelBetaOS: "linux", labelBetaArch: "arm64"}},
		"differs": {map[string]string{corev1.LabelOSStable: "linux", labelBetaOS: "plan9"}, map[string]string{labelBetaOS: "linux"}},
		"agrees":  {map[string]string{corev1.LabelOSStable: "linux", labelBetaOS: "linux"}, nil},
		"older":   {map[string]string{labelBetaOS: "plan9"}, nil},
	} {
		if got := reviseLabels(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Labels: c.has}}); !maps.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

func TestWhatIsLost(t *testing.T) {
	now := begin().Add(time.Minute)
	for name, c := range map[string]struct{ conditions, want string }{
		"never posted": {"", "Ready=Unknown/NodeStatusNeverUpdated MemoryPressure=Unknown/NodeStatusNeverUpdated DiskPressure=Unknown/NodeStatusNeverUpdated PIDPressure=Unknown/NodeStatusNeverUpdated"},
		"was ready": {"MemoryPressure=False NetworkUnavailable=False Ready=True",
			"MemoryPressure=Unknown/NodeStatusUnknown NetworkUnavailable=False/ Ready=Unknown/NodeStatusUnknown DiskPressure=Unknown/NodeStatusNeverUpdated PIDPressure=Unknown/NodeStatusNeverUpdated"},
		"known":     {"Ready=Unknown MemoryPressure=False", ""},
		"not ready": {"Ready=False PIDPressure=Unknown", "Ready=Unknown/NodeStatusUnknown PIDPressure=Unknown/ MemoryPressure=Unknown/NodeStatusNeverUpdated DiskPressure=Unknown/NodeStatusNeverUpdated"},
	} {
		var got []string
		for _, cond := range lost(node(c.conditions, ""), now) {
			got = append(got, fmt.Sprintf("%s=%s/%s", cond.Type, cond.Status, cond.Reason))
			moved := cond.LastTransitionTime.Time.Equal(now)
			if message := map[string]string{"": "", "NodeStatusUnknown": "Kubelet stopped posting node status.", "NodeStatusNeverUpdated": "Kubelet never posted node status."}[cond.Reason]; cond.Message != message || moved != (message != "") {
				t.Errorf("%s: %+v", name, cond)
			}
		}
		if words := strings.Join(got, " "); words != c.want {
			t.Errorf("%s: got %q, want %q", name, words, c.want)
		}
	}
}
