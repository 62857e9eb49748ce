// Package clusterroleaggregation keeps the rules of cluster roles that are the sum of others, such as admin, edit and view.
//
// # Laws
//
//   - The rules of a role with an aggregationRule are those of the roles that its selectors choose: selector by selector, of each the roles in the order of
//     their names, of each its rules in their order. A rule that is there already is not repeated, and a role is never part of itself.
//   - A role that chooses one that is a sum itself follows it: a change runs on until nothing changes any more.
//   - What others write into such rules is put back.
//   - A role whose sum cannot be made or written keeps none of the others from theirs.
//
// All sums are one key: which roles a change concerns is known only after all selectors were looked at, so that many changes at once, as at the start, are
// looked at once.
//
// # What it leaves to others
//
// Which roles there are at first is bootstrap's; that this controller may give away what it does not hold, by the verb escalate, is its role's.
package clusterroleaggregation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/engine"
)

var roles = rbacv1.SchemeGroupVersion.WithResource("clusterroles")

const manager = "clusterrole-aggregation-controller" // of the sums, as upstream

// New returns the controller.
func New() engine.Controller {
	return engine.Controller{
		Name: "clusterrole-aggregation", Component: "clusterrole-aggregation-controller", Queue: "ClusterRoleAggregator", Workers: 1,
		User: "system:serviceaccount:kube-system:clusterrole-aggregation-controller",
		Inputs: []engine.Input{{Resource: roles, Keys: func(client.View, client.Change) []engine.Key {
			return []engine.Key{{Resource: roles}}
		}}},
		Outputs: []engine.Output{{Resource: roles, Fields: []string{"rules"}}},
		Reconcile: func(view client.View, _ engine.Key, _ time.Time) (engine.Plan, error) {
			return aggregate(view), nil
		},
	}
}

// aggregate writes the sums that are not what they should be.
func aggregate(view client.View) (plan engine.Plan) {
	var all []*rbacv1.ClusterRole // in the order of their names, which is the view's
	for obj := range view.List(roles, "") {
		if r, ok := obj.(*rbacv1.ClusterRole); ok {
			all = append(all, r)
		}
	}
	var failed []error
	for _, role := range all {
		if role.AggregationRule == nil || role.DeletionTimestamp != nil {
			continue
		}
		rules, err := sum(role, all)
		if err != nil {
			failed = append(failed, fmt.Errorf("cluster role %s: %w", role.Name, err))
			continue
		}
		if equality.Semantic.DeepEqual(rules, role.Rules) {
			continue
		}
		w := engine.NewApply(rbacv1.SchemeGroupVersion.WithKind("ClusterRole"), roles, role, manager, map[string]any{"rules": rules}, "")
		w.Batch = 1
		plan.Writes = append(plan.Writes, w)
	}
	plan.Failed = errors.Join(failed...)
	return plan
}

// sum is what a role's rules are to be.
func sum(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) ([]rbacv1.PolicyRule, error) {
	rules := []rbacv1.PolicyRule{}
	for i := range role.AggregationRule.ClusterRoleSelectors {
		chosen, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil, err
		}
		for _, part := range all {
			if part.Name == role.Name || !chosen.Matches(labels.Set(part.Labels)) {
				continue
			}
			for _, rule := range part.Rules {
				if !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(r, rule) }) {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules, nil
}
