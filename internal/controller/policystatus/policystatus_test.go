package policystatus_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/policystatus"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

var policies = admissionv1.SchemeGroupVersion.WithResource("validatingadmissionpolicies")

// served are the built-in kinds and one more, whose schema is cronTab.
func served(cronTab string) engine.Catalog {
	added := &kinds.Kind{
		GVK: schema.GroupVersionKind{Group: "stable.example.com", Version: "v1", Kind: "CronTab"}, Resource: "crontabs", Singular: "crontab",
		Dynamic: &kinds.Dynamic{Identity: cronTab, Model: func() kinds.Model { return kinds.Model{V3: []byte(cronTab)} }},
	}
	list := append(slices.Clip(all.Kinds()), added)
	return func() ([]*kinds.Kind, <-chan struct{}) { return list, nil }
}

const cronTab = `{"type":"object","properties":{"spec":{"type":"object","properties":{"replicas":{"type":"integer"}}},
	"apiVersion":{"type":"string"},"kind":{"type":"string"},
	"metadata":{"allOf":[{"$ref":"#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}]}}}`

func parsed(t *testing.T, doc string) *admissionv1.ValidatingAdmissionPolicy {
	t.Helper()
	p := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
	if err := yaml.UnmarshalStrict([]byte(doc), p); err != nil {
		t.Fatal(err)
	}
	for i := range p.Spec.MatchConstraints.ResourceRules {
		p.Spec.MatchConstraints.ResourceRules[i].Operations = []admissionv1.OperationType{admissionv1.Create}
	}
	return p
}

const deployments = "matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], resources: [deployments]}]}"

// TestWarnings: what upstream says of the same policies.
func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name, policy string
		want         []string // field, warning
	}{
		{"right", `{validations: [{expression: "object.spec.replicas > 1"}], ` + deployments + `}`, nil},
		{"confused", `{validations: [{expression: "object.spec.replicas > '1'", messageExpression: "'wants replicas > 1, got ' + object.spec.replicas"}], ` + deployments + `}`, []string{
			"spec.validations[0].expression",
			"apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'\n" +
				" | object.spec.replicas > '1'\n | .....................^\n",
			"spec.validations[0].messageExpression",
			"apps/v1, Kind=Deployment: ERROR: <input>:1:28: found no matching overload for '_+_' applied to '(string, int)'\n" +
				" | 'wants replicas > 1, got ' + object.spec.replicas\n | ...........................^\n",
		}},
		{"one of two kinds", `{validations: [{expression: "true"}, {expression: "oldObject.spec.paused == true"}],
			matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], resources: [replicasets, deployments]}]}}`, []string{
			"spec.validations[1].expression",
			"apps/v1, Kind=ReplicaSet: ERROR: <input>:1:15: undefined field 'paused'\n | oldObject.spec.paused == true\n | ..............^\n",
		}},
		{"two kinds", `{validations: [{expression: "object.nope == 1"}], matchConstraints: {resourceRules: [
			{apiGroups: [stable.example.com], apiVersions: [v1], resources: [crontabs]}, {apiGroups: [apps], apiVersions: [v1], resources: [deployments]}]}}`, []string{
			"spec.validations[0].expression",
			"apps/v1, Kind=Deployment: ERROR: <input>:1:7: undefined field 'nope'\n | object.nope == 1\n | ......^\n\n" +
				"stable.example.com/v1, Kind=CronTab: ERROR: <input>:1:7: undefined field 'nope'\n | object.nope == 1\n | ......^\n",
		}},
		{"added", `{validations: [{expression: "object.spec.replicas > 1 && object.metadata.labels.size() > 0"}, {expression: "object.spec.maxRetries < 10"}],
			matchConstraints: {resourceRules: [{apiGroups: [stable.example.com], apiVersions: [v1], resources: [crontabs]}]}}`, []string{
			"spec.validations[1].expression",
			"stable.example.com/v1, Kind=CronTab: ERROR: <input>:1:12: undefined field 'maxRetries'\n | object.spec.maxRetries < 10\n | ...........^\n",
		}},
		{"variables", `{variables: [{name: count, expression: object.spec.replicas}, {name: wrong, expression: object.nope}],
			validations: [{expression: "variables.count > '1'"}, {expression: "variables.wrong == 1"}], ` + deployments + `}`, []string{
			"spec.validations[0].expression",
			"apps/v1, Kind=Deployment: ERROR: <input>:1:17: found no matching overload for '_>_' applied to '(int, string)'\n | variables.count > '1'\n | ................^\n",
		}},
		{"parameter", `{paramKind: {apiVersion: v1, kind: ConfigMap}, validations: [{expression: "params.data['k'] == object.data['k']"}, {expression: "params.spec == 1"}],
			matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], resources: [configmaps]}]}}`, []string{
			"spec.validations[1].expression",
			"/v1, Kind=ConfigMap: ERROR: <input>:1:7: undefined field 'spec'\n | params.spec == 1\n | ......^\n",
		}},
		{"unknown parameter", `{paramKind: {apiVersion: none.example.com/v1, kind: None}, validations: [{expression: "params.any.thing == 1"}], ` + deployments + `}`, nil},
		{"other variables", `{validations: [{expression: "request.userInfo.username == namespaceObject.metadata.name && authorizer.group('').resource('pods').check('get').allowed()"}], ` + deployments + `}`, nil},
		{"names of types", `{validations: [{expression: "object.spec > object.metadata"}], ` + deployments + `}`, []string{
			"spec.validations[0].expression",
			"apps/v1, Kind=Deployment: ERROR: <input>:1:13: found no matching overload for '_>_' applied to '(Deployment0.spec, Deployment0.metadata)'\n" +
				" | object.spec > object.metadata\n | ............^\n",
		}},
		{"wildcards and subresources", `{validations: [{expression: "object.nope == 1"}], matchConstraints: {resourceRules: [
			{apiGroups: ['*'], apiVersions: [v1], resources: [deployments]}, {apiGroups: [apps], apiVersions: ['*'], resources: [deployments]},
			{apiGroups: [apps], apiVersions: [v1], resources: ['*', 'deployments/status']}, {apiGroups: [apps], apiVersions: [v1], resources: [none]}]}}`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := bed.New(t, 1)
			b.Sim.Add(policystatus.New(served(cronTab)))
			b.Put(policies, parsed(t, "spec: "+c.policy))
			b.Settle()
			p := bed.Get[*admissionv1.ValidatingAdmissionPolicy](b, policies, "", "p")
			if p.Status.ObservedGeneration != 1 || p.Status.TypeChecking == nil {
				t.Fatalf("the status is %v", p.Status)
			}
			var got []string
			for _, w := range p.Status.TypeChecking.ExpressionWarnings {
				got = append(got, w.FieldRef, w.Warning)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestEveryGenerationIsCheckedOnce: a policy is looked at again when it changes, and not when a kind does.
func TestEveryGenerationIsCheckedOnce(t *testing.T) {
	b := bed.New(t, 1)
	now := cronTab
	ctl := policystatus.New(func() ([]*kinds.Kind, <-chan struct{}) { return served(now)() })
	b.Sim.Add(ctl)
	b.Put(policies, parsed(t, `spec: {validations: [{expression: "object.spec.replicas > 1"}],
		matchConstraints: {resourceRules: [{apiGroups: [stable.example.com], apiVersions: [v1], resources: [crontabs]}]}}`))
	want := func(what string, generation int64, warnings int) {
		t.Helper()
		b.Settle()
		s := bed.Get[*admissionv1.ValidatingAdmissionPolicy](b, policies, "", "p").Status
		found := 0 // applying takes an empty field away that had something, as upstream's does
		if s.TypeChecking != nil {
			found = len(s.TypeChecking.ExpressionWarnings)
		}
		if s.ObservedGeneration != generation || found != warnings {
			t.Errorf("%s: %v", what, s)
		}
	}
	change := func(f func(*admissionv1.ValidatingAdmissionPolicy)) { bed.Change(b, policies, "", "p", "", f) }
	want("new", 1, 0)
	now = strings.Replace(cronTab, "replicas", "retries", 1)
	change(func(p *admissionv1.ValidatingAdmissionPolicy) { p.Labels = map[string]string{"a": "b"} })
	want("another label", 1, 0)
	change(func(p *admissionv1.ValidatingAdmissionPolicy) { p.Spec.Validations[0].Message = "no" })
	want("another spec", 2, 1)
	now = cronTab
	change(func(p *admissionv1.ValidatingAdmissionPolicy) { p.Spec.Validations[0].Message = "" })
	want("the first again", 3, 0)
	if plan := b.Reconcile(ctl, engine.Key{Resource: policies, Name: "p"}, b.Clock.Now()); len(plan.Writes) != 0 {
		t.Errorf("a checked policy is written again: %v", plan.Writes)
	}
	b.Remove(policies, "", "p")
	b.Settle()
}

// TestMostKinds: ten kinds of a rule are checked, in the order of their names, and no rule after it.
func TestMostKinds(t *testing.T) {
	b := bed.New(t, 1)
	b.Sim.Add(policystatus.New(served(cronTab)))
	names := []string{"services", "secrets", "pods", "nodes", "namespaces", "serviceaccounts", "configmaps", "endpoints", "limitranges", "resourcequotas", "podtemplates"}
	b.Put(policies, parsed(t, fmt.Sprintf(`spec: {validations: [{expression: "object.nope == 1"}], matchConstraints: {resourceRules: [
		{apiGroups: [''], apiVersions: [v1], resources: [%s]}, {apiGroups: [apps], apiVersions: [v1], resources: [deployments]}]}}`, strings.Join(names, ", "))))
	b.Settle()
	list := bed.Get[*admissionv1.ValidatingAdmissionPolicy](b, policies, "", "p").Status.TypeChecking.ExpressionWarnings
	if len(list) != 1 {
		t.Fatalf("got %v", list)
	}
	var got []string
	for line := range strings.Lines(list[0].Warning) {
		if kind, _, ok := strings.Cut(line, ": ERROR"); ok {
			got = append(got, strings.TrimPrefix(kind, "/v1, Kind="))
		}
	}
	want := []string{"ConfigMap", "Endpoints", "LimitRange", "Namespace", "Node", "Pod", "PodTemplate", "ResourceQuota", "Secret", "ServiceAccount"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
