package rbac

import (
	"errors"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
)

// masters is the group that may give away everything.
const masters = "system:masters"

// everything is what a role that gathers others' rules may come to hold.
var everything = []rbacv1.PolicyRule{
	{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
	{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}},
}

// roleRights: who writes a role must hold its rules, or may "escalate".
func roleRights(resource string) func(env kinds.Env, obj, old kinds.Object, see kinds.Reader) error {
	return func(env kinds.Env, obj, old kinds.Object, _ kinds.Reader) error {
		if slices.Contains(env.Groups, masters) || mayEscalate(env, resource, obj, old) || old != nil && onlyForCollector(obj, old) {
			return nil
		}
		rules, gathers := rulesOf(obj)
		if err := env.Powers.Uncovered(obj.GetNamespace(), rules); err != nil {
			return forbidden(resource, obj.GetName(), err)
		}
		if old != nil {
			_, gathered := rulesOf(old)
			gathers = gathers || gathered
		}
		if gathers && env.Powers.Uncovered("", everything) != nil {
			return forbidden(resource, obj.GetName(), errors.New("must have cluster-admin privileges to use the aggregationRule"))
		}
		return nil
	}
}

func mayEscalate(env kinds.Env, resource string, obj, old kinds.Object) bool {
	w := kinds.Wish{Verb: "escalate", Group: rbacv1.GroupName, Resource: resource, Namespace: obj.GetNamespace()}
	if old != nil { // a create has no name in its path
		w.Name = obj.GetName()
	}
	return env.Powers.Refuse(w) == nil
}

// rulesOf returns a role's rules, and whether it gathers those of others.
func rulesOf(obj kinds.Object) (rules []rbacv1.PolicyRule, gathers bool) {
	switch role := obj.(type) {
	case *rbacv1.Role:
		return role.Rules, false
	case *rbacv1.ClusterRole:
		return role.Rules, role.AggregationRule != nil && len(role.AggregationRule.ClusterRoleSelectors) > 0
	}
	return nil, false
}

// bindingRights: who writes a binding must hold the rules of its role, or may "bind" it.
func bindingRights(resource string, refOf func(obj kinds.Object) rbacv1.RoleRef) func(env kinds.Env, obj, old kinds.Object, see kinds.Reader) error {
	return func(env kinds.Env, obj, old kinds.Object, see kinds.Reader) error {
		ref := refOf(obj)
		if slices.Contains(env.Groups, masters) || old != nil && onlyForCollector(obj, old) || mayBind(env, ref, obj.GetNamespace()) {
			return nil
		}
		rules, err := bound(see, ref, resource, obj.GetNamespace())
		if err != nil {
			return err
		}
		if err := env.Powers.Uncovered(obj.GetNamespace(), rules); err != nil {
			return forbidden(resource, obj.GetName(), err)
		}
		return nil
	}
}

// resourceOf is the resource of a role that a binding names; "" for another kind, which validation refuses.
func resourceOf(ref rbacv1.RoleRef) string {
	return map[string]string{"Role": "roles", "ClusterRole": "clusterroles"}[ref.Kind]
}

func mayBind(env kinds.Env, ref rbacv1.RoleRef, namespace string) bool {
	resource := resourceOf(ref)
	return resource != "" && env.Powers.Refuse(kinds.Wish{Verb: "bind", Group: ref.APIGroup, Resource: resource, Namespace: namespace, Name: ref.Name}) == nil
}

// bound returns the rules of the role that a binding in namespace names. One that is not there is refused, as upstream, as if it were of the binding's resource.
func bound(see kinds.Reader, ref rbacv1.RoleRef, of, namespace string) ([]rbacv1.PolicyRule, error) {
	resource := resourceOf(ref)
	switch resource {
	case "":
		return nil, errors.New("unsupported role reference kind: \"" + ref.Kind + "\"")
	case "clusterroles":
		namespace = ""
	}
	obj := see.Get(rbacv1.SchemeGroupVersion.WithResource(resource), namespace, ref.Name)
	if obj == nil {
		return nil, apierrors.NewNotFound(rbacv1.Resource(of), ref.Name)
	}
	rules, _ := rulesOf(obj)
	return rules, nil
}

// onlyForCollector says that obj differs from old only in what lets the garbage collector take it away at last.
func onlyForCollector(obj, old kinds.Object) bool {
	like := obj.DeepCopyObject().(kinds.Object)
	like.SetOwnerReferences(old.GetOwnerReferences())
	like.SetFinalizers(old.GetFinalizers())
	like.SetManagedFields(old.GetManagedFields())
	return equality.Semantic.DeepEqual(like, old)
}

func forbidden(resource, name string, err error) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: rbacv1.GroupName, Resource: resource}, name, err)
}
