package cluster

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"
)

const cronTabs = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {cronSpec: {type: string}, replicas: {type: integer}}}}}}
`

// TestPoliciesAreCheckedAgainstTypes: who writes a policy learns from its status what cannot be right of it, for built-in kinds and added ones.
func TestPoliciesAreCheckedAgainstTypes(t *testing.T) {
	c := serveCluster(t)
	api, ctx := kubernetes.NewForConfigOrDie(c.config).AdmissionregistrationV1().ValidatingAdmissionPolicies(), t.Context()
	// check writes a policy, anew until what it is about is known, and returns what is said of it.
	check := func(name, group, resource string, warnings int, expressions ...string) (out []string) {
		t.Helper()
		p := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"v1"}, Resources: []string{resource}},
			}}}},
		}}
		for _, e := range expressions {
			p.Spec.Validations = append(p.Spec.Validations, admissionv1.Validation{Expression: e})
		}
		p = must(api.Create(ctx, p, metav1.CreateOptions{}))(t)
		until(t, name, func() (bool, error) {
			var err error
			if p, err = api.Get(ctx, name, metav1.GetOptions{}); err != nil || p.Status.ObservedGeneration != p.Generation {
				return false, err
			}
			out = nil
			for _, w := range p.Status.TypeChecking.ExpressionWarnings {
				out = append(out, w.FieldRef+" "+w.Warning)
			}
			if len(out) == warnings {
				return true, nil
			}
			p.Spec.Validations[0].Message = "looked at again: " + p.ResourceVersion
			_, err = api.Update(ctx, p, metav1.UpdateOptions{})
			return false, err
		})
		return out
	}
	check("right", "apps", "deployments", 0, "object.spec.replicas > 1")
	const confused = "found no matching overload for '_>_' applied to '(int, string)'"
	if got := check("confused", "apps", "deployments", 1, "object.spec.replicas > '1'"); !strings.HasPrefix(got[0], "spec.validations[0].expression apps/v1, Kind=Deployment: ") ||
		!strings.Contains(got[0], confused) {
		t.Errorf("a built-in kind: %q", got)
	}
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(cronTabs), &crd.Object); err != nil {
		t.Fatal(err)
	}
	definitions := dynamic.NewForConfigOrDie(c.config).Resource(apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions"))
	must(definitions.Create(ctx, crd, metav1.CreateOptions{}))(t)
	got := check("added", "stable.example.com", "crontabs", 2, "object.spec.replicas > '1'", "object.spec.maxRetries < 10", "object.metadata.labels.size() > 0")
	if !strings.Contains(got[0], confused) || !strings.HasPrefix(got[1], "spec.validations[1].expression stable.example.com/v1, Kind=CronTab: ") ||
		!strings.Contains(got[1], "undefined field 'maxRetries'") {
		t.Errorf("an added kind: %q", got)
	}
}
