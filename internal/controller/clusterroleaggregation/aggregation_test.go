package clusterroleaggregation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/auth/rbac/policy"
	"github.com/floe-k8s/floe/internal/controller/clusterroleaggregation"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
)

var roles = rbacv1.SchemeGroupVersion.WithResource("clusterroles")

// role has a rule for each resource; gathers are values of the label "to", a selector each.
func role(name, to string, resources []string, gathers ...string) *rbacv1.ClusterRole {
	r := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"to": to}}}
	for _, res := range resources {
		r.Rules = append(r.Rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{res}, Verbs: []string{"get"}})
	}
	for _, label := range gathers {
		if r.AggregationRule == nil {
			r.AggregationRule = &rbacv1.AggregationRule{}
		}
		r.AggregationRule.ClusterRoleSelectors = append(r.AggregationRule.ClusterRoleSelectors, metav1.LabelSelector{MatchLabels: map[string]string{"to": label}})
	}
	return r
}

func rulesOf(b *bed.Bed, name string) string {
	var list []string
	for _, rule := range bed.Get[*rbacv1.ClusterRole](b, roles, "", name).Rules {
		list = append(list, strings.Join(rule.Resources, "+"))
	}
	return strings.Join(list, " ")
}

func TestSums(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(clusterroleaggregation.New())
	b.Put(roles, role("sum", "more", []string{"theirs"}, "y", "x"))
	b.Put(roles, role("more-sum", "more", nil, "more"))
	b.Put(roles, role("c", "x", []string{"pods", "secrets"}))
	b.Put(roles, role("b", "x", []string{"nodes", "pods"}))
	b.Put(roles, role("a", "y", []string{"events", "nodes"}))
	b.Put(roles, role("plain", "z", []string{"jobs"}))
	want := func(what, want string) {
		t.Helper()
		b.Settle()
		for _, name := range []string{"sum", "more-sum"} {
			if got := rulesOf(b, name); got != want {
				t.Errorf("%s: %s has %q, want %q", what, name, got, want)
			}
		}
	}
	want("selector by selector, then by name", "events nodes pods secrets")
	bed.Change(b, roles, "", "sum", "", func(r *rbacv1.ClusterRole) { r.Rules = nil })
	want("put back", "events nodes pods secrets")
	bed.Change(b, roles, "", "a", "", func(r *rbacv1.ClusterRole) { r.Labels["to"] = "z" })
	want("no longer chosen", "nodes pods secrets")
	bed.Change(b, roles, "", "plain", "", func(r *rbacv1.ClusterRole) { r.Labels["to"] = "y" })
	want("newly chosen", "jobs nodes pods secrets")
	b.Remove(roles, "", "b")
	want("deleted", "jobs pods secrets")
	b.Remove(roles, "", "c")
	b.Remove(roles, "", "plain")
	want("of nothing", "")
	if got := rulesOf(b, "a"); got != "events nodes" {
		t.Errorf("a role that is no sum has %q", got)
	}
}

// TestFirstRoles: what users are given at first is the sum of its parts, each rule once.
func TestFirstRoles(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(clusterroleaggregation.New())
	parts := map[string]int{}
	for _, obj := range policy.Objects() {
		if r, ok := obj.(*rbacv1.ClusterRole); ok {
			b.Put(roles, r)
			parts[r.Name] = len(r.Rules)
		}
	}
	b.Settle()
	view := bed.Get[*rbacv1.ClusterRole](b, roles, "", "view").Rules
	edit := bed.Get[*rbacv1.ClusterRole](b, roles, "", "edit").Rules
	admin := bed.Get[*rbacv1.ClusterRole](b, roles, "", "admin").Rules
	if want := parts["system:aggregate-to-view"]; len(view) != want {
		t.Errorf("view has %d rules, want %d", len(view), want)
	}
	if want := parts["system:aggregate-to-edit"] + len(view); len(edit) != want {
		t.Errorf("edit has %d rules, want %d", len(edit), want)
	}
	if want := parts["system:aggregate-to-admin"] + len(edit); len(admin) != want {
		t.Errorf("admin has %d rules, want %d", len(admin), want)
	}
	if first := edit[0].Resources; !slices.Equal(first, bed.Get[*rbacv1.ClusterRole](b, roles, "", "system:aggregate-to-edit").Rules[0].Resources) {
		t.Errorf("edit begins with %v", first)
	}
}

// TestRandomRuns: whatever users and faults do, in the end every sum is one.
func TestRandomRuns(t *testing.T) {
	for seed := range int64(10) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			b := bed.New(t, seed)
			b.Sim.Add(clusterroleaggregation.New())
			b.Put(roles, role("sum", "more", nil, "0", "1"))
			b.Put(roles, role("top", "", nil, "more", "2"))
			b.Chance(150, func() {
				name, to := fmt.Sprintf("part%d", b.Rand.Intn(4)), fmt.Sprint(b.Rand.Intn(4))
				switch {
				case bed.Get[*rbacv1.ClusterRole](b, roles, "", name) == nil:
					b.Put(roles, role(name, to, []string{"r" + fmt.Sprint(b.Rand.Intn(5)), "r" + fmt.Sprint(b.Rand.Intn(5))}))
				case b.Rand.Intn(3) == 0:
					b.Remove(roles, "", name)
				default:
					bed.Change(b, roles, "", name, "", func(r *rbacv1.ClusterRole) { r.Labels["to"] = to })
				}
			})
			want := map[string]map[string]bool{"0": {}, "1": {}, "2": {}}
			for n := range 4 {
				if r := bed.Get[*rbacv1.ClusterRole](b, roles, "", fmt.Sprintf("part%d", n)); r != nil && want[r.Labels["to"]] != nil {
					for _, rule := range r.Rules {
						want[r.Labels["to"]][rule.Resources[0]] = true
					}
				}
			}
			for name, from := range map[string][]string{"sum": {"0", "1"}, "top": {"0", "1", "2"}} {
				all := map[string]bool{}
				for _, label := range from {
					for res := range want[label] {
						all[res] = true
					}
				}
				got := strings.Fields(rulesOf(b, name))
				if len(got) != len(all) || slices.ContainsFunc(got, func(s string) bool { return !all[s] }) {
					t.Errorf("%s has %v, want %v", name, got, all)
				}
			}
		})
	}
}

// TestSumsAreApplied: the rules are the controller's own fields, as upstream's controller declares them.
func TestSumsAreApplied(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(clusterroleaggregation.New())
	b.Put(roles, role("sum", "more", nil, "x"))
	b.Put(roles, role("a", "x", []string{"pods"}))
	b.Settle()
	fields := bed.Get[*rbacv1.ClusterRole](b, roles, "", "sum").ManagedFields
	if i := slices.IndexFunc(fields, func(f metav1.ManagedFieldsEntry) bool { return f.Operation == metav1.ManagedFieldsOperationApply }); i < 0 ||
		fields[i].Manager != "clusterrole-aggregation-controller" || fields[i].FieldsV1.GetRawString() != `{"f:rules":{}}` {
		t.Errorf("got %v", fields)
	}
}
