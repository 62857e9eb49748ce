package match_test

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/admission"
	"github.com/floe-k8s/floe/internal/admission/match"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

// namespaces has red and blue, which say so.
type namespaces struct{}

func (r namespaces) Label(res schema.GroupVersionResource, namespace, name, key string) (string, bool) {
	return kinds.LabelOf(r.Get(res, namespace, name), key)
}

func (namespaces) Get(_ schema.GroupVersionResource, _, name string) kinds.Object {
	if name != "red" && name != "blue" {
		return nil
	}
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"color": name}}}
}

func (namespaces) Each(schema.GroupVersionResource, string, func(kinds.Object) bool) {}

var served = kinds.NewCatalogs(all.Kinds()).Now()

// wish is one about a resource GROUP, VERSION, RESOURCE; "" in namespace is outside of all.
func wish(t *testing.T, does admission.Operation, group, version, resource, subresource, namespace string) *admission.Attributes {
	t.Helper()
	k := served.Find(schema.GroupVersionResource{Group: group, Version: version, Resource: resource})
	if k == nil {
		t.Fatalf("%s/%s %s is not served", group, version, resource)
	}
	a := &admission.Attributes{Operation: does, Kind: k, Type: k.GVK, Subresource: subresource, Namespace: namespace, Name: "n", See: namespaces{}}
	obj := k.Stored().New()
	obj.SetLabels(map[string]string{"app": "x"})
	if does == admission.Delete {
		a.Old = obj
	} else {
		a.Object = obj
	}
	return a
}

func TestRules(t *testing.T) {
	rule := func(ops, groups, versions, resources string, scope admissionv1.ScopeType) admissionv1.RuleWithOperations {
		return admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{"CONNECT", admissionv1.OperationType(ops)},
			Rule:       admissionv1.Rule{APIGroups: []string{groups}, APIVersions: []string{versions}, Resources: []string{resources}, Scope: &scope},
		}
	}
	every := rule("*", "*", "*", "*/*", "*")
	for _, c := range []struct {
		name string
		rule admissionv1.RuleWithOperations
		a    *admission.Attributes
		want bool
	}{
		{"everything", every, wish(t, "CREATE", "", "v1", "pods", "", "red"), true},
		{"everything of everything", every, wish(t, "UPDATE", "", "v1", "pods", "status", "red"), true},
		{"this", rule("CREATE", "", "v1", "pods", "*"), wish(t, "CREATE", "", "v1", "pods", "", "red"), true},
		{"another operation", rule("UPDATE", "", "v1", "pods", "*"), wish(t, "CREATE", "", "v1", "pods", "", "red"), false},
		{"another group", rule("*", "apps", "v1", "pods", "*"), wish(t, "CREATE", "", "v1", "pods", "", "red"), false},
		{"another version", rule("*", "", "v2", "pods", "*"), wish(t, "CREATE", "", "v1", "pods", "", "red"), false},
		{"all wholes", rule("*", "", "v1", "*", "*"), wish(t, "UPDATE", "", "v1", "pods", "status", "red"), false},
		{"all parts of pods", rule("*", "", "v1", "pods/*", "*"), wish(t, "UPDATE", "", "v1", "pods", "status", "red"), true},
		{"and pods", rule("*", "", "v1", "pods/*", "*"), wish(t, "UPDATE", "", "v1", "pods", "", "red"), true},
		{"any status", rule("*", "", "v1", "*/status", "*"), wish(t, "UPDATE", "", "v1", "pods", "status", "red"), true},
		{"no status", rule("*", "", "v1", "*/status", "*"), wish(t, "UPDATE", "", "v1", "pods", "", "red"), false},
		{"namespaced", rule("*", "*", "*", "*", "Namespaced"), wish(t, "CREATE", "", "v1", "pods", "", "red"), true},
		{"not namespaced", rule("*", "*", "*", "*", "Namespaced"), wish(t, "CREATE", "", "v1", "nodes", "", ""), false},
		{"a namespace is not", rule("*", "*", "*", "*", "Namespaced"), wish(t, "CREATE", "", "v1", "namespaces", "", "red"), false},
		{"a namespace is outside", rule("*", "*", "*", "*", "Cluster"), wish(t, "CREATE", "", "v1", "namespaces", "", "red"), true},
		{"a pod is not", rule("*", "*", "*", "*", "Cluster"), wish(t, "CREATE", "", "v1", "pods", "", "red"), false},
	} {
		w := &admissionv1.MutatingWebhook{Rules: []admissionv1.RuleWithOperations{c.rule}, NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{}}
		if _, got, err := match.Webhook(w).Match(c.a, served); got != c.want || err != nil {
			t.Errorf("%s: got %v, %v", c.name, got, err)
		}
	}
}

func TestSelectors(t *testing.T) {
	labels := func(key, value string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
	rules := []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{"*"}, Rule: admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*"}},
	}}}
	names := []admissionv1.NamedRuleWithOperations{{ResourceNames: []string{"m"}, RuleWithOperations: rules[0].RuleWithOperations}}
	every := &metav1.LabelSelector{}
	for _, c := range []struct {
		name string
		m    admissionv1.MatchResources
		a    *admission.Attributes
		want bool
	}{
		{"all", admissionv1.MatchResources{NamespaceSelector: every, ObjectSelector: every}, wish(t, "CREATE", "", "v1", "pods", "", "red"), true},
		{"red", admissionv1.MatchResources{NamespaceSelector: labels("color", "red"), ObjectSelector: every}, wish(t, "CREATE", "", "v1", "pods", "", "red"), true},
		{"blue", admissionv1.MatchResources{NamespaceSelector: labels("color", "red"), ObjectSelector: every}, wish(t, "CREATE", "", "v1", "pods", "", "blue"), false},
		{"of none", admissionv1.MatchResources{NamespaceSelector: labels("color", "red"), ObjectSelector: every}, wish(t, "CREATE", "", "v1", "nodes", "", ""), true},
		{"one that is made", admissionv1.MatchResources{NamespaceSelector: labels("app", "x"), ObjectSelector: every}, wish(t, "CREATE", "", "v1", "namespaces", "", "red"), true},
		{"one that goes", admissionv1.MatchResources{NamespaceSelector: labels("color", "red"), ObjectSelector: every}, wish(t, "DELETE", "", "v1", "namespaces", "", "red"), true},
		{"an object", admissionv1.MatchResources{NamespaceSelector: every, ObjectSelector: labels("app", "x")}, wish(t, "CREATE", "", "v1", "pods", "", "red"), true},
		{"one that was", admissionv1.MatchResources{NamespaceSelector: every, ObjectSelector: labels("app", "x")}, wish(t, "DELETE", "", "v1", "pods", "", "red"), true},
		{"another object", admissionv1.MatchResources{NamespaceSelector: every, ObjectSelector: labels("app", "y")}, wish(t, "CREATE", "", "v1", "pods", "", "red"), false},
		{"excluded", admissionv1.MatchResources{NamespaceSelector: every, ObjectSelector: every, ExcludeResourceRules: rules}, wish(t, "CREATE", "", "v1", "pods", "", "red"), false},
		{"another name", admissionv1.MatchResources{NamespaceSelector: every, ObjectSelector: every, ResourceRules: names}, wish(t, "CREATE", "", "v1", "pods", "", "red"), false},
		{"another is excluded", admissionv1.MatchResources{NamespaceSelector: every, ObjectSelector: every, ExcludeResourceRules: names}, wish(t, "CREATE", "", "v1", "pods", "", "red"), true},
	} {
		if _, got, err := match.Resources(&c.m).Match(c.a, served); got != c.want || err != nil {
			t.Errorf("%s: got %v, %v", c.name, got, err)
		}
	}
	m := admissionv1.MatchResources{NamespaceSelector: labels("color", "red"), ObjectSelector: every}
	if _, _, err := match.Resources(&m).Match(wish(t, "CREATE", "", "v1", "pods", "", "gone"), served); !apierrors.IsNotFound(err) {
		t.Errorf("in a namespace that is not there: %v", err)
	}
}

// TestEquivalents: who speaks another version is shown that one, and what they make of it comes back.
func TestEquivalents(t *testing.T) {
	w := &admissionv1.MutatingWebhook{NamespaceSelector: &metav1.LabelSelector{}, ObjectSelector: &metav1.LabelSelector{}, Rules: []admissionv1.RuleWithOperations{{
		Operations: []admissionv1.OperationType{"*"}, Rule: admissionv1.Rule{APIGroups: []string{"autoscaling"}, APIVersions: []string{"v1"}, Resources: []string{"horizontalpodautoscalers"}},
	}}}
	a := wish(t, "CREATE", "autoscaling", "v2", "horizontalpodautoscalers", "", "red")
	stored := a.Object.(*autoscalingv2.HorizontalPodAutoscaler)
	stored.Spec.MaxReplicas = 3
	exact := admissionv1.Exact
	w.MatchPolicy = &exact
	if _, ok, err := match.Webhook(w).Match(a, served); ok || err != nil {
		t.Errorf("exactly: %v, %v", ok, err)
	}
	equivalent := admissionv1.Equivalent
	w.MatchPolicy = &equivalent
	form, ok, err := match.Webhook(w).Match(a, served)
	if err != nil || !ok || form.Kind != autoscalingv1.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler") {
		t.Fatalf("got %v, %v, %v", form, ok, err)
	}
	shown, err := form.Show(a, a.Object)
	if err != nil {
		t.Fatal(err)
	}
	one, ok := shown.(*autoscalingv1.HorizontalPodAutoscaler)
	if !ok || one.APIVersion != "autoscaling/v1" || one.Spec.MaxReplicas != 3 {
		t.Fatalf("shown is %v", shown)
	}
	next := one.DeepCopy()
	next.Spec.MaxReplicas = 7
	if err := form.Put(a, next); err != nil || stored.Spec.MaxReplicas != 7 || stored.APIVersion != "" {
		t.Errorf("the object is %v, %v", stored, err)
	}
	// Events are served under two groups.
	w.Rules[0].Rule = admissionv1.Rule{APIGroups: []string{"events.k8s.io"}, APIVersions: []string{"*"}, Resources: []string{"events"}}
	form, ok, err = match.Webhook(w).Match(wish(t, "CREATE", "", "v1", "events", "", "red"), served)
	if err != nil || !ok || form.Resource.Group != "events.k8s.io" {
		t.Errorf("got %v, %v, %v", form, ok, err)
	}
}
