package job

import (
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
)

// verdict is what the first rule that concerns a failed pod says of it.
type verdict struct {
	action batchv1.PodFailurePolicyAction // "" when no rule concerns it
	fails  string                         // why the whole job fails; "" when it does not
}

// counts says whether the failure counts towards the limits.
func (v verdict) counts() bool { return v.action != batchv1.PodFailurePolicyActionIgnore }

// judge asks a policy, which may be nil, about a pod.
func judge(policy *batchv1.PodFailurePolicy, p *corev1.Pod) verdict {
	if policy == nil {
		return verdict{}
	}
	for i, rule := range policy.Rules {
		var why string
		switch {
		case rule.OnExitCodes != nil:
			c := exited(p, rule.OnExitCodes)
			if c == nil {
				continue
			}
			why = fmt.Sprintf("Container %s for pod %s/%s failed with exit code %v matching %v rule at index %d",
				c.Name, p.Namespace, p.Name, c.State.Terminated.ExitCode, rule.Action, i)
		case rule.OnPodConditions != nil:
			c := conditioned(p, rule.OnPodConditions)
			if c == nil {
				continue
			}
			why = fmt.Sprintf("Pod %s/%s has condition %v matching %v rule at index %d", p.Namespace, p.Name, c.Type, rule.Action, i)
		default:
			continue
		}
		if rule.Action != batchv1.PodFailurePolicyActionFailJob {
			why = ""
		}
		return verdict{rule.Action, why}
	}
	return verdict{}
}

// exited is the first container, those of initialisation last, whose exit code is meant; nil: there is none.
func exited(p *corev1.Pod, want *batchv1.PodFailurePolicyOnExitCodesRequirement) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{p.Status.ContainerStatuses, p.Status.InitContainerStatuses} {
		for i, c := range list {
			end := c.State.Terminated
			if end == nil || end.ExitCode == 0 || want.ContainerName != nil && *want.ContainerName != c.Name {
				continue
			}
			if slices.Contains(want.Values, end.ExitCode) == (want.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn) {
				return &list[i]
			}
		}
	}
	return nil
}

// conditioned is the first of a pod's conditions that a pattern means; nil: there is none.
func conditioned(p *corev1.Pod, patterns []batchv1.PodFailurePolicyOnPodConditionsPattern) *corev1.PodCondition {
	i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return slices.ContainsFunc(patterns, func(want batchv1.PodFailurePolicyOnPodConditionsPattern) bool {
			return c.Type == want.Type && c.Status == want.Status
		})
	})
	if i < 0 {
		return nil
	}
	return &p.Status.Conditions[i]
}

// success says which rule of a policy, which may be nil, the indexes that have succeeded fulfil, and whether there is one.
func success(policy *batchv1.SuccessPolicy, completions int, done indexes) (message string, met bool) {
	if policy == nil || len(done) == 0 {
		return "", false
	}
	for i, rule := range policy.Rules {
		enough := func(n int) bool { return rule.SucceededCount != nil && n >= int(*rule.SucceededCount) }
		if rule.SucceededIndexes == nil {
			met = enough(done.count())
		} else if of := parseIndexes(*rule.SucceededIndexes, completions); len(of) > 0 {
			n := of.common(done)
			met = n == of.count() || enough(n)
		}
		if met {
			return fmt.Sprintf("Matched rules at index %d", i), true
		}
	}
	return "", false
}
