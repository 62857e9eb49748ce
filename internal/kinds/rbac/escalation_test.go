package rbac_test

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
	"github.com/floe-k8s/floe/internal/kinds/rbac"
)

// TestEscalation: who writes a role or a binding must hold what it gives, or have the verb for it.
func TestEscalation(t *testing.T) {
	pods := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}}
	meta := metav1.ObjectMeta{Namespace: "n", Name: "r"}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: pods}
	cluster := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: pods}
	gathering := cluster.DeepCopy()
	gathering.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{}}}
	bind := &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "r"}}
	lost := bind.DeepCopy()
	lost.RoleRef.Name = "gone"
	everywhere := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "r"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "r"}}
	held := bind.DeepCopy()
	held.Finalizers = []string{"x"}
	for name, c := range map[string]struct {
		kind     *kinds.Kind
		obj, old kinds.Object
		may      string // verb resource namespace/name, separated by ;
		masters  bool
		want     string // "" is allowed
	}{
		"role":                       {rbac.Role(), role, nil, "", false, `roles.rbac.authorization.k8s.io "r" is forbidden: not held: pods`},
		"role held":                  {rbac.Role(), role, nil, "hold pods n/", false, ""},
		"role held elsewhere":        {rbac.Role(), role, nil, "hold pods m/", false, `roles.rbac.authorization.k8s.io "r" is forbidden: not held: pods`},
		"role by who may escalate":   {rbac.Role(), role, nil, "escalate roles n/", false, ""},
		"role of a name":             {rbac.Role(), role, &rbacv1.Role{ObjectMeta: meta}, "escalate roles n/r", false, ""},
		"role by masters":            {rbac.Role(), role, nil, "", true, ""},
		"role as it was":             {rbac.Role(), role, role, "", false, ""},
		"role with less":             {rbac.Role(), &rbacv1.Role{ObjectMeta: meta}, role, "", false, ""},
		"cluster role":               {rbac.ClusterRole(), cluster, nil, "hold pods n/", false, `clusterroles.rbac.authorization.k8s.io "r" is forbidden: not held: pods`},
		"cluster role held":          {rbac.ClusterRole(), cluster, nil, "hold pods /", false, ""},
		"gathers":                    {rbac.ClusterRole(), gathering, nil, "hold pods /", false, `clusterroles.rbac.authorization.k8s.io "r" is forbidden: must have cluster-admin privileges to use the aggregationRule`},
		"gathered":                   {rbac.ClusterRole(), cluster, gathering, "hold pods /", false, `clusterroles.rbac.authorization.k8s.io "r" is forbidden: must have cluster-admin privileges to use the aggregationRule`},
		"gathers as cluster-admin":   {rbac.ClusterRole(), gathering, nil, "hold pods /;hold * /;hold  /", false, ""},
		"binding":                    {rbac.RoleBinding(), bind, nil, "", false, `rolebindings.rbac.authorization.k8s.io "r" is forbidden: not held: pods`},
		"binding held":               {rbac.RoleBinding(), bind, nil, "hold pods n/", false, ""},
		"binding by who may bind":    {rbac.RoleBinding(), bind, nil, "bind roles n/r", false, ""},
		"binding of another":         {rbac.RoleBinding(), bind, nil, "bind roles n/other", false, `rolebindings.rbac.authorization.k8s.io "r" is forbidden: not held: pods`},
		"binding of nothing":         {rbac.RoleBinding(), lost, nil, "hold pods n/", false, `rolebindings.rbac.authorization.k8s.io "gone" not found`},
		"binding for the collector":  {rbac.RoleBinding(), bind, held, "", false, ""},
		"cluster binding":            {rbac.ClusterRoleBinding(), everywhere, nil, "bind roles /r", false, `clusterrolebindings.rbac.authorization.k8s.io "r" is forbidden: not held: pods`},
		"cluster binding may bind":   {rbac.ClusterRoleBinding(), everywhere, nil, "bind clusterroles /r", false, ""},
		"cluster binding by masters": {rbac.ClusterRoleBinding(), everywhere, nil, "", true, ""},
	} {
		env := kindtest.Env()
		if c.masters {
			env.Groups = []string{"system:masters"}
		}
		may := strings.Split(c.may, ";")
		env.Powers = kindtest.Powers(func(w kinds.Wish) bool {
			for _, m := range may {
				if m == w.Verb+" "+w.Resource+" "+w.Namespace+"/"+w.Name {
					return true
				}
			}
			return false
		})
		there := kindtest.Objects{
			rbacv1.SchemeGroupVersion.WithResource("roles"):        {"n/r": role},
			rbacv1.SchemeGroupVersion.WithResource("clusterroles"): {"/r": cluster},
		}
		got := ""
		if err := c.kind.Rights(env, c.obj, c.old, there); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
