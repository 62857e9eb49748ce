package policystatus

import (
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

// TestTypesAreForgotten: types are kept for the policies that come next, and not for ever.
func TestTypesAreForgotten(t *testing.T) {
	served := all.Kinds()
	c := newChecker(func() ([]*kinds.Kind, <-chan struct{}) { return served, nil })
	p := policyOf("configmaps", "object.spec == 1")
	now := time.Unix(1000, 0)
	for _, step := range []struct {
		after time.Duration
		check bool
		kept  int
	}{{0, false, 0}, {0, true, 1}, {time.Second, true, 1}, {time.Minute - 1, false, 1}, {1, false, 0}, {time.Hour, true, 1}} {
		now = now.Add(step.after)
		c.rest(now)
		if step.check && len(c.warnings(p, now)) != 1 {
			t.Errorf("at %s: there is no warning", now)
		}
		if kept := c.types.Len(); kept != step.kept {
			t.Errorf("at %s: %d types are kept, want %d", now, kept, step.kept)
		}
	}
}

// BenchmarkCheck is a policy of pods, whose type is there already.
func BenchmarkCheck(b *testing.B) {
	served := all.Kinds()
	c := newChecker(func() ([]*kinds.Kind, <-chan struct{}) { return served, nil })
	p := policyOf("pods", "object.spec.hostNetwork != true")
	b.ReportAllocs()
	for b.Loop() {
		if got := c.warnings(p, time.Unix(0, 0)); got != nil {
			b.Fatal(got)
		}
	}
}

func policyOf(resource, expression string) *admissionv1.ValidatingAdmissionPolicy {
	p := &admissionv1.ValidatingAdmissionPolicy{}
	p.Spec.MatchConstraints = &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionv1.RuleWithOperations{Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{resource}}},
	}}}
	p.Spec.Validations = []admissionv1.Validation{{Expression: expression}}
	return p
}
