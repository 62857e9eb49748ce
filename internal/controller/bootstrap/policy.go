package bootstrap

import (
	"context"
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

// policySteps make the first roles and bindings, and give those that are there what they lack, unless they say that they are not to be touched. What an
// administrator added stays; a binding of another role is made anew.
func (b *Bootstrap) policySteps(ctx context.Context, view client.View) (steps []func() error) {
	for _, want := range b.Policy {
		steps = append(steps, func() error { return b.ensurePolicy(ctx, view, want) })
	}
	return steps
}

func (b *Bootstrap) ensurePolicy(ctx context.Context, view client.View, want kinds.Object) error {
	res := policyResource(want)
	have := view.Get(res, want.GetNamespace(), want.GetName())
	if have == nil {
		return b.ensure(ctx, view, res, want)
	}
	if have.GetAnnotations()[rbacv1.AutoUpdateAnnotationKey] == "false" {
		return nil
	}
	next := have.DeepCopyObject().(kinds.Object)
	if replaced(next, want) {
		uid := have.GetUID()
		opts := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}
		if _, err := b.Client.Delete(ctx, res, want.GetNamespace(), want.GetName(), opts); err != nil {
			return err
		}
		_, err := b.Client.Create(ctx, res, want, metav1.CreateOptions{})
		return err
	}
	complete(next, want)
	if equality.Semantic.DeepEqual(next, have) {
		return nil
	}
	_, err := b.Client.Update(ctx, res, next, "")
	return err
}

// complete adds to next, a role or a binding, what want has and it has not.
func complete(next, want kinds.Object) {
	next.SetLabels(merged(next.GetLabels(), want.GetLabels()))
	next.SetAnnotations(merged(next.GetAnnotations(), want.GetAnnotations()))
	switch next := next.(type) {
	case *rbacv1.Role:
		next.Rules = withRules(next.Rules, want.(*rbacv1.Role).Rules)
	case *rbacv1.ClusterRole:
		w := want.(*rbacv1.ClusterRole)
		next.Rules = withRules(next.Rules, w.Rules)
		if w.AggregationRule == nil {
			return
		}
		if next.AggregationRule == nil {
			next.AggregationRule = &rbacv1.AggregationRule{}
		}
		next.AggregationRule.ClusterRoleSelectors = with(next.AggregationRule.ClusterRoleSelectors, w.AggregationRule.ClusterRoleSelectors)
	case *rbacv1.RoleBinding:
		next.Subjects = with(next.Subjects, want.(*rbacv1.RoleBinding).Subjects)
	case *rbacv1.ClusterRoleBinding:
		next.Subjects = with(next.Subjects, want.(*rbacv1.ClusterRoleBinding).Subjects)
	}
}

func merged(have, want map[string]string) map[string]string {
	out := maps.Clone(have)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, want)
	return out
}

func withRules(have, want []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	_, missing := validation.Covers(have, want)
	return append(have, missing...)
}

func with[T any](have, want []T) []T {
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h T) bool { return equality.Semantic.DeepEqual(h, w) }) {
			have = append(have, w)
		}
	}
	return have
}

// replaced says that a binding gives another role than the one wanted, which no update can change.
func replaced(have, want kinds.Object) bool {
	switch have := have.(type) {
	case *rbacv1.RoleBinding:
		return have.RoleRef != want.(*rbacv1.RoleBinding).RoleRef
	case *rbacv1.ClusterRoleBinding:
		return have.RoleRef != want.(*rbacv1.ClusterRoleBinding).RoleRef
	}
	return false
}

func policyResource(obj kinds.Object) client.Resource {
	switch obj.(type) {
	case *rbacv1.Role:
		return rbacv1.SchemeGroupVersion.WithResource("roles")
	case *rbacv1.ClusterRole:
		return rbacv1.SchemeGroupVersion.WithResource("clusterroles")
	case *rbacv1.RoleBinding:
		return rbacv1.SchemeGroupVersion.WithResource("rolebindings")
	default:
		return rbacv1.SchemeGroupVersion.WithResource("clusterrolebindings")
	}
}
