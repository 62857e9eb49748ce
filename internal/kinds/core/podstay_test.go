package core_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/core"
)

// TestPodsStayForAWhile on nodes that have become unwell, where they do not say themselves.
func TestPodsStayForAWhile(t *testing.T) {
	own := func(key string, effect corev1.TaintEffect) corev1.Toleration {
		return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
	}
	for name, c := range map[string]struct {
		has  []corev1.Toleration
		want string // what is added
	}{
		"nothing":                 {nil, "not-ready=30 unreachable=0"},
		"one of both":             {[]corev1.Toleration{own(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute)}, "unreachable=0"},
		"another effect":          {[]corev1.Toleration{own(corev1.TaintNodeNotReady, corev1.TaintEffectNoSchedule)}, "not-ready=30 unreachable=0"},
		"any effect":              {[]corev1.Toleration{own(corev1.TaintNodeUnreachable, "")}, "not-ready=30"},
		"all taints":              {[]corev1.Toleration{own("", "")}, ""},
		"all taints, one effect":  {[]corev1.Toleration{own("", corev1.TaintEffectNoExecute)}, ""},
		"all taints, another one": {[]corev1.Toleration{own("", corev1.TaintEffectNoSchedule)}, "not-ready=30 unreachable=0"},
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Tolerations: c.has}}
		for _, p := range core.PodFor(core.Stay{NotReady: 30}).Admission {
			if p.Plugin != "DefaultTolerationSeconds" {
				continue
			}
			if err := p.Admit(kinds.Env{}, pod, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		var added []string
		for _, toleration := range pod.Spec.Tolerations[len(c.has):] {
			if toleration.Operator != corev1.TolerationOpExists || toleration.Effect != corev1.TaintEffectNoExecute {
				t.Errorf("%s: added %v", name, toleration)
			}
			added = append(added, fmt.Sprintf("%s=%d", strings.TrimPrefix(toleration.Key, "node.kubernetes.io/"), *toleration.TolerationSeconds))
		}
		if got := strings.Join(added, " "); got != c.want {
			t.Errorf("%s: added %q, want %q", name, got, c.want)
		}
	}
}
