package policy_test

import (
	"fmt"
	"strings"
	"testing"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/policy"
)

func budget(change func(*policyv1.PodDisruptionBudget)) *policyv1.PodDisruptionBudget {
	b := &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr.To(intstr.FromInt32(1)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}},
	}
	policy.PodDisruptionBudget().PrepareCreate(kindtest.Env(), b)
	if change != nil {
		change(b)
	}
	return b
}

func TestBudgetValidation(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*policyv1.PodDisruptionBudgetSpec)
		want   string
	}{
		"good": {func(s *policyv1.PodDisruptionBudgetSpec) { s.UnhealthyPodEvictionPolicy = ptr.To(policyv1.AlwaysAllow) }, ""},
		"both": {func(s *policyv1.PodDisruptionBudgetSpec) { s.MaxUnavailable = ptr.To(intstr.FromString("10%")) },
			`spec: Invalid value: {"MinAvailable":1,"Selector":{"matchLabels":{"app":"web"}},"MaxUnavailable":"10%","UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set`},
		"negative": {func(s *policyv1.PodDisruptionBudgetSpec) { s.MinAvailable = ptr.To(intstr.FromInt32(-1)) }, "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"},
		"too many": {func(s *policyv1.PodDisruptionBudgetSpec) { s.MinAvailable = ptr.To(intstr.FromString("101%")) }, `spec.minAvailable: Invalid value: "101%": must not be greater than 100%`},
		"no share": {func(s *policyv1.PodDisruptionBudgetSpec) { s.MinAvailable = ptr.To(intstr.FromString("half")) },
			`spec.minAvailable: Invalid value: "half": a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')`},
		"policy": {func(s *policyv1.PodDisruptionBudgetSpec) {
			s.UnhealthyPodEvictionPolicy = ptr.To[policyv1.UnhealthyPodEvictionPolicyType]("x")
		},
			`spec.unhealthyPodEvictionPolicy: Unsupported value: "x": supported values: "AlwaysAllow", "IfHealthyBudget"`},
		"label": {func(s *policyv1.PodDisruptionBudgetSpec) { s.Selector.MatchLabels["a"] = "!" },
			`spec.selector.matchLabels: Invalid value: "!": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`},
	} {
		got := ""
		if errs := policy.PodDisruptionBudget().Validate(budget(func(b *policyv1.PodDisruptionBudget) { c.change(&b.Spec) })); len(errs) > 0 {
			got = errs[0].Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	if msgs := policy.PodDisruptionBudget().ValidName("Any_Name", false); len(msgs) > 0 {
		t.Errorf("a name that upstream takes: %v", msgs)
	}
	if msgs := policy.PodDisruptionBudget().ValidName("a/b", false); len(msgs) != 1 {
		t.Errorf("a name that is no part of a path: %v", msgs)
	}
}

func TestBudgetUpdates(t *testing.T) {
	k := policy.PodDisruptionBudget()
	old := budget(func(b *policyv1.PodDisruptionBudget) {
		b.ResourceVersion, b.Status.ExpectedPods = "1", 3
		b.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpIn, Values: []string{"!"}}}
	})
	next := old.DeepCopy()
	next.Spec.MinAvailable, next.Status.ExpectedPods = ptr.To(intstr.FromString("50%")), 9
	k.PrepareUpdate(kindtest.Env(), next, old)
	if next.Generation != 2 || next.Status.ExpectedPods != 3 || !k.RequireVersion {
		t.Errorf("got %+v", next)
	}
	if errs := append(k.Validate(next), k.ValidateUpdate(next, old)...); len(errs) > 0 {
		t.Errorf("a label that was wrong before: %v", errs)
	}
	if errs := k.ValidateUpdate(next, budget(nil)); len(errs) != 1 {
		t.Errorf("a label that is wrong now: %v", errs)
	}
	next = budget(func(b *policyv1.PodDisruptionBudget) {
		b.Spec.MinAvailable = nil
		b.Status = policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: -1, ExpectedPods: -1, Conditions: []metav1.Condition{{Type: "a b", Status: "True", Reason: "r"}}}
	})
	var got []string
	for _, e := range k.Subresources[0].Update(kindtest.Env(), next, old) {
		got = append(got, e.Field)
	}
	if want := "status.conditions[0].type status.conditions[0].lastTransitionTime status.disruptionsAllowed status.expectedPods"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if next.Spec.MinAvailable == nil {
		t.Error("a status changed the specification")
	}
}

// TestOldRequirement: what told v1beta1's empty selectors apart goes, unless it is all there is.
func TestOldRequirement(t *testing.T) {
	old := metav1.LabelSelectorRequirement{Key: "pdb.kubernetes.io/deprecated-v1beta1-empty-selector-match", Operator: metav1.LabelSelectorOpExists}
	for want, selector := range map[int]*metav1.LabelSelector{
		0: {MatchLabels: map[string]string{"a": "b"}, MatchExpressions: []metav1.LabelSelectorRequirement{old}},
		1: {MatchExpressions: []metav1.LabelSelectorRequirement{old}},
	} {
		b := budget(func(b *policyv1.PodDisruptionBudget) { b.Spec.Selector = selector })
		policy.PodDisruptionBudget().Default(b)
		if got := len(b.Spec.Selector.MatchExpressions); got != want {
			t.Errorf("got %d, want %d", got, want)
		}
	}
}

func TestBudgetColumns(t *testing.T) {
	var got []any
	b := budget(func(b *policyv1.PodDisruptionBudget) { b.Status.DisruptionsAllowed = 2 })
	for _, c := range policy.PodDisruptionBudget().Columns {
		got = append(got, c.Cell(kindtest.Env(), b))
	}
	if fmt.Sprint(got) != "[web 1 N/A 2 <unknown>]" {
		t.Errorf("got %v", got)
	}
}
