package podsecurity

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/kinds"
)

// mostPods bounds how many pods of a namespace are looked at.
const mostPods = 3000

// violators are pods that violate a level in the same way.
type violators struct {
	first string // by name
	count int
}

// warnOfPods tells of the pods in a namespace that violate a level, those of one controller after all others' first.
func (p *plugin) warnOfPods(ctx context.Context, a *admission.Attributes, namespace string, level api.LevelVersion, checks policy.Evaluator) {
	pods := p.existing(a, namespace)
	total := len(pods)
	pods = pods[:min(total, mostPods)]
	found, checked := map[string]violators{}, 0
	for _, pod := range pods {
		if ctx.Err() != nil {
			break
		}
		checked++
		result := policy.AggregateCheckResults(checks.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
		if result.Allowed {
			continue
		}
		v := found[result.ForbiddenReason()]
		if v.count == 0 || pod.Name < v.first {
			v.first = pod.Name
		}
		v.count++
		found[result.ForbiddenReason()] = v
	}
	if checked < total {
		a.Warn(fmt.Sprintf("new PodSecurity enforce level only checked against the first %d of %d existing pods", checked, total))
	}
	if len(found) == 0 {
		return
	}
	a.Warn(fmt.Sprintf("existing pods in namespace %q violate the new PodSecurity enforce level %q", namespace, level.String()))
	var lines []string
	for reason, v := range found {
		switch v.count {
		case 1:
			lines = append(lines, fmt.Sprintf("%s: %s", v.first, reason))
		case 2:
			lines = append(lines, fmt.Sprintf("%s (and 1 other pod): %s", v.first, reason))
		default:
			lines = append(lines, fmt.Sprintf("%s (and %d other pods): %s", v.first, v.count-1, reason))
		}
	}
	slices.Sort(lines)
	for _, line := range lines {
		a.Warn(line)
	}
}

// existing are the pods to look at, the most telling first.
func (p *plugin) existing(a *admission.Attributes, namespace string) []*corev1.Pod {
	var pods, again []*corev1.Pod
	seen := map[types.UID]bool{}
	a.See.Each(corev1.SchemeGroupVersion.WithResource("pods"), namespace, func(obj kinds.Object) bool {
		pod := obj.(*corev1.Pod)
		owner := metav1.GetControllerOfNoCopy(pod)
		switch {
		case p.exemptClass(&pod.Spec):
		case owner == nil:
			pods = append(pods, pod)
		case seen[owner.UID]:
			again = append(again, pod)
		default:
			seen[owner.UID] = true
			pods = append(pods, pod)
		}
		return true
	})
	return append(pods, again...)
}

// warnExempt tells that the labels of an exempt namespace have no effect.
func (p *plugin) warnExempt(a *admission.Attributes, ns *corev1.Namespace, wants api.Policy) {
	if !slices.Contains(p.Namespaces, a.Namespace) || wants.FullyPrivileged() || wants.Equivalent(&p.Default) {
		return
	}
	var modes []string
	for _, mode := range []struct {
		name, level, version string
		of                   api.LevelVersion
	}{
		{"enforce", api.EnforceLevelLabel, api.EnforceVersionLabel, wants.Enforce}, {"audit", api.AuditLevelLabel, api.AuditVersionLabel, wants.Audit},
		{"warn", api.WarnLevelLabel, api.WarnVersionLabel, wants.Warn},
	} {
		_, level := ns.Labels[mode.level]
		_, version := ns.Labels[mode.version]
		if mode.of.Level != api.LevelPrivileged && (level || version) {
			modes = append(modes, mode.name+"="+mode.of.String())
		}
	}
	a.Warn(fmt.Sprintf("namespace %q is exempt from Pod Security, and the policy (%s) will be ignored", ns.Name, strings.Join(modes, ", ")))
}
