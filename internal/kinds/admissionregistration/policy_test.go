package admissionregistration_test

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/admissionregistration"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func match() *admissionv1.MatchResources {
	return &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: rule()}}}
}

func policy(change func(*admissionv1.ValidatingAdmissionPolicySpec)) *admissionv1.ValidatingAdmissionPolicy {
	p := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: match(), Validations: []admissionv1.Validation{{Expression: "object.x > 1"}},
	}}
	admissionregistration.ValidatingAdmissionPolicy().Default(p)
	change(&p.Spec)
	return p
}

func mutation(change func(*admissionv1.MutatingAdmissionPolicySpec)) *admissionv1.MutatingAdmissionPolicy {
	p := &admissionv1.MutatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: admissionv1.MutatingAdmissionPolicySpec{
		MatchConstraints: match(), ReinvocationPolicy: "Never",
		Mutations: []admissionv1.Mutation{{PatchType: "ApplyConfiguration", ApplyConfiguration: &admissionv1.ApplyConfiguration{Expression: "Object{spec: Object.spec{a: 1}}"}}},
	}}
	admissionregistration.MutatingAdmissionPolicy().Default(p)
	change(&p.Spec)
	return p
}

// undeclared is what a compiler says of a name that it does not know, which begins text.
func undeclared(path, text, name string) string {
	return path + `: Invalid value: "` + text + `": compilation failed: ERROR: <input>:1:1: undeclared reference to '` + name + "' (in container '')\n | " + text + "\n | ^"
}

func TestValidatingPolicy(t *testing.T) {
	type spec = admissionv1.ValidatingAdmissionPolicySpec
	const one = ": Required value: validations or auditAnnotations must contain at least one item"
	annotations := func(list ...admissionv1.AuditAnnotation) func(*spec) {
		return func(s *spec) { s.AuditAnnotations = list }
	}
	for name, c := range map[string]struct {
		change func(*spec)
		want   []string
	}{
		"good":      {func(*spec) {}, nil},
		"nothing":   {func(s *spec) { s.Validations = nil }, []string{"spec.validations" + one, "spec.auditAnnotations" + one}},
		"no policy": {func(s *spec) { s.FailurePolicy, s.MatchConstraints = nil, nil }, []string{"spec.failurePolicy: Required value", "spec.matchConstraints: Required value"}},
		"no match": {func(s *spec) { s.MatchConstraints = &admissionv1.MatchResources{} }, []string{
			"spec.matchConstraints.matchPolicy: Required value", "spec.matchConstraints.namespaceSelector: Required value", "spec.matchConstraints.objectSelector: Required value",
			"spec.matchConstraints.resourceRules: Required value",
		}},
		"names": {func(s *spec) { s.MatchConstraints.ResourceRules[0].ResourceNames = []string{"a", "a", "b/c"} }, []string{
			`spec.matchConstraints.resourceRules[0].resourceNames[1]: Duplicate value: "a"`, `spec.matchConstraints.resourceRules[0].resourceNames[2]: Invalid value: "b/c": may not contain '/'`,
		}},
		"no kind": {func(s *spec) { s.ParamKind = &admissionv1.ParamKind{} }, []string{"spec.paramKind.apiVersion: Required value", "spec.paramKind.kind: Required value"}},
		"kind":    {func(s *spec) { s.ParamKind = &admissionv1.ParamKind{APIVersion: "a/b/c", Kind: "K"} }, []string{`spec.paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c`}},
		"version": {func(s *spec) { s.ParamKind = &admissionv1.ParamKind{APIVersion: "a/", Kind: "K"} }, []string{`spec.paramKind.apiVersion: Invalid value: "a/": version must be specified`}},
		"parameters": {func(s *spec) {
			s.ParamKind, s.Validations[0].Expression = &admissionv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}, "params.a == object.a"
		}, nil},
		"no parameters": {func(s *spec) { s.Validations[0].Expression = "params.a" }, []string{undeclared("spec.validations[0].expression", "params.a", "params")}},
		"variables": {func(s *spec) {
			s.Variables, s.Validations[0].Expression = []admissionv1.Variable{{Name: "a", Expression: "1"}, {Name: "b", Expression: "variables.a + 1"}}, "variables.b == 2"
		}, nil},
		"bad variables": {func(s *spec) {
			s.Variables = []admissionv1.Variable{{Name: " ", Expression: " "}, {Name: "in", Expression: "a"}, {Name: "1", Expression: "1"}}
		}, []string{
			"spec.variables[0].name: Required value: name is not specified", "spec.variables[0].expression: Required value: expression is not specified",
			`spec.variables[1].name: Invalid value: "in": must be a valid CEL identifier`, undeclared("spec.variables[1].expression", "a", "a"),
			`spec.variables[2].name: Invalid value: "1": must be a valid CEL identifier`,
		}},
		"type": {func(s *spec) { s.Validations[0].Expression = "1" }, []string{`spec.validations[0].expression: Invalid value: "1": must evaluate to bool but got int`}},
		"empty": {func(s *spec) {
			s.Validations[0] = admissionv1.Validation{Expression: " ", MessageExpression: " ", Message: " "}
		}, []string{"spec.validations[0].expression: Required value: expression is not specified", `spec.validations[0].messageExpression: Invalid value: " ": must be non-empty if specified`, `spec.validations[0].message: Invalid value: " ": must be non-empty if specified`}},
		"messages": {func(s *spec) {
			s.Validations[0].MessageExpression, s.Validations[0].Message, s.Validations[0].Reason = "authorizer", "a\nb", new(metav1.StatusReason("Odd"))
		}, []string{
			undeclared("spec.validations[0].messageExpression", "authorizer", "authorizer"), `spec.validations[0].message: Invalid value: "a\nb": must not contain line breaks`,
			`spec.validations[0].reason: Unsupported value: "Odd": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"`,
		}},
		"annotation": {annotations(admissionv1.AuditAnnotation{Key: "a", ValueExpression: "object.a"}), []string{`spec.auditAnnotations[0].valueExpression: Invalid value: "object.a": must evaluate to one of [string null_type] but got dyn`}},
		"annotations": {annotations(admissionv1.AuditAnnotation{Key: "a", ValueExpression: "'a'"}, admissionv1.AuditAnnotation{Key: "a", ValueExpression: strings.Repeat("a", 5121)}, admissionv1.AuditAnnotation{Key: "b", ValueExpression: " "}), []string{
			"spec.auditAnnotations[1].valueExpression: Required value: must not exceed 5120 bytes in length", `spec.auditAnnotations[1].key: Duplicate value: "a"`, "spec.auditAnnotations[2].valueExpression: Required value: valueExpression is not specified",
		}},
	} {
		kindtest.Same(t, name, kindtest.Create(admissionregistration.ValidatingAdmissionPolicy(), policy(c.change)), c.want)
	}
	many := policy(func(s *spec) { s.AuditAnnotations = make([]admissionv1.AuditAnnotation, 21) })
	want := `spec.auditAnnotations: Invalid value: [{"Key":"","ValueExpression":""},`
	if got := kindtest.Create(admissionregistration.ValidatingAdmissionPolicy(), many); !strings.HasPrefix(got[0], want) || !strings.HasSuffix(got[0], ": must not have more than 20 auditAnnotations") {
		t.Errorf("many: %q", got[0])
	}
	many.Name, many.Spec.AuditAnnotations = "", []admissionv1.AuditAnnotation{{Key: "a", ValueExpression: "null"}}
	kindtest.Same(t, "no name", kindtest.Create(admissionregistration.ValidatingAdmissionPolicy(), many), []string{`spec.auditAnnotations[0].key: Invalid value: "a": requires metadata.name be non-empty`})
}

func TestMutatingPolicy(t *testing.T) {
	type spec = admissionv1.MutatingAdmissionPolicySpec
	patch := func(text string) *admissionv1.JSONPatch { return &admissionv1.JSONPatch{Expression: text} }
	const m = "spec.mutations[0]."
	for name, c := range map[string]struct {
		change func(*spec)
		want   []string
	}{
		"good":    {func(*spec) {}, nil},
		"nothing": {func(s *spec) { s.Mutations, s.ReinvocationPolicy = nil, "" }, []string{"spec.mutations: Required value: mutations must contain at least one item", "spec.reinvocationPolicy: Required value"}},
		"again":   {func(s *spec) { s.ReinvocationPolicy = "Odd" }, []string{`spec.reinvocationPolicy: Unsupported value: "Odd": supported values: "IfNeeded", "Never"`}},
		"deleted": {func(s *spec) { s.MatchConstraints.ResourceRules[0].Operations[0] = "DELETE" }, []string{`spec.matchConstraints.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"`}},
		"patch": {func(s *spec) {
			s.Variables = []admissionv1.Variable{{Name: "v", Expression: "1"}}
			s.Mutations[0] = admissionv1.Mutation{PatchType: "JSONPatch", JSONPatch: patch(`[JSONPatch{op: "add", path: "/" + jsonpatch.escapeKey("a/b"), value: variables.v}]`)}
		}, nil},
		"both":        {func(s *spec) { s.Mutations[0].JSONPatch = patch("") }, []string{m + `jsonPatch: Invalid value: "{jsonPatch}": must not be specified when patchType is ApplyConfiguration`}},
		"both, other": {func(s *spec) { s.Mutations[0].PatchType = "JSONPatch" }, []string{m + "jsonPatch: Required value: must be specified when patchType is JSONPatch", m + `applyConfiguration: Invalid value: "{applyConfiguration}": must not be specified when patchType is JSONPatch`}},
		"neither":     {func(s *spec) { s.Mutations[0].ApplyConfiguration = nil }, []string{m + "applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration"}},
		"no type":     {func(s *spec) { s.Mutations[0].PatchType = "" }, []string{m + "patchType: Required value"}},
		"odd type":    {func(s *spec) { s.Mutations[0].PatchType = "Odd" }, []string{m + `patchType: Unsupported value: "Odd": supported values: "ApplyConfiguration", "JSONPatch"`}},
		"empty":       {func(s *spec) { s.Mutations[0].ApplyConfiguration.Expression = " " }, []string{m + "applyConfiguration.expression: Required value"}},
		"no object":   {func(s *spec) { s.Mutations[0].ApplyConfiguration.Expression = " 1" }, []string{m + `applyConfiguration.expression: Invalid value: "1": must evaluate to Object but got int`}},
		"no list": {func(s *spec) {
			s.Mutations[0] = admissionv1.Mutation{PatchType: "JSONPatch", JSONPatch: patch("JSONPatch{}")}
		}, []string{
			m + `jsonPatch.expression: Invalid value: "JSONPatch{}": must evaluate to list(JSONPatch) but got JSONPatch`,
		}},
	} {
		kindtest.Same(t, name, kindtest.Create(admissionregistration.MutatingAdmissionPolicy(), mutation(c.change)), c.want)
	}
}

// TestOldConditions: match conditions are judged again when they, or what they may speak of, change.
func TestOldConditions(t *testing.T) {
	bad := []admissionv1.MatchCondition{condition("a", "params.x")}
	was := policy(func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.MatchConditions = bad })
	k := admissionregistration.ValidatingAdmissionPolicy()
	kindtest.Same(t, "kept", kindtest.Update(k, was.DeepCopy(), was), nil)
	withParams := was.DeepCopy()
	withParams.Spec.ParamKind = &admissionv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
	kindtest.Same(t, "parameters gone", kindtest.Update(k, was, withParams), []string{undeclared("spec.matchConditions[0].expression", "params.x", "params")})
	old := mutation(func(s *admissionv1.MutatingAdmissionPolicySpec) { s.MatchConditions = bad })
	next := old.DeepCopy()
	kindtest.Same(t, "kept", kindtest.Update(admissionregistration.MutatingAdmissionPolicy(), next, old), nil)
	next.Spec.MatchConditions = append(next.Spec.MatchConditions, condition("b", "true"))
	if got := kindtest.Update(admissionregistration.MutatingAdmissionPolicy(), next, old); len(got) != 1 {
		t.Errorf("one more: %q", got)
	}
}

func TestBindings(t *testing.T) {
	type ref = admissionv1.ParamRef
	const both = "Forbidden: name and selector are mutually exclusive"
	vk, mk := admissionregistration.ValidatingAdmissionPolicyBinding(), admissionregistration.MutatingAdmissionPolicyBinding()
	for name, c := range map[string]struct {
		policy string
		ref    *ref
		want   []string
	}{
		"good":    {"p", &ref{Name: "a", ParameterNotFoundAction: new(admissionv1.DenyAction)}, nil},
		"nothing": {"", &ref{}, []string{"spec.policyName: Required value", "spec.paramRef: Required value: one of name or selector must be specified", "spec.paramRef.parameterNotFoundAction: Required value"}},
		"odd": {"p", &ref{Name: "a", Selector: selector("b"), ParameterNotFoundAction: new(admissionv1.ParameterNotFoundActionType("Odd"))}, []string{
			"spec.paramRef.name: " + both, "spec.paramRef.selector: " + both, `spec.paramRef.parameterNotFoundAction: Unsupported value: "Odd": supported values: "Deny", "Allow"`,
		}},
		"selector": {"p", &ref{Selector: selector("-"), ParameterNotFoundAction: new(admissionv1.AllowAction)}, []string{"spec.paramRef.selector.matchExpressions[0].values[0]: " + badLabel}},
	} {
		v := &admissionv1.ValidatingAdmissionPolicyBinding{Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: c.policy, ParamRef: c.ref, ValidationActions: []admissionv1.ValidationAction{"Deny"}}}
		m := &admissionv1.MutatingAdmissionPolicyBinding{Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: c.policy, ParamRef: c.ref}}
		kindtest.Same(t, "validating, "+name, kindtest.Create(vk, v), c.want)
		kindtest.Same(t, "mutating, "+name, kindtest.Update(mk, m, m.DeepCopy()), c.want)
	}
	v := &admissionv1.ValidatingAdmissionPolicyBinding{Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "p", MatchResources: &admissionv1.MatchResources{}}}
	vk.Default(v)
	kindtest.Same(t, "no action", kindtest.Create(vk, v), []string{"spec.validationActions: Required value: at least one validation action is required"})
	v.Spec.ValidationActions = []admissionv1.ValidationAction{"Deny", "Warn", "Warn", "Odd"}
	kindtest.Same(t, "actions", kindtest.Create(vk, v), []string{
		`spec.validationActions[2]: Duplicate value: "Warn"`, `spec.validationActions[3]: Unsupported value: "Odd": supported values: "Audit", "Deny", "Warn"`,
		`spec.validationActions: Invalid value: ["Deny","Warn","Warn","Odd"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)`,
	})
	m := &admissionv1.MutatingAdmissionPolicyBinding{Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "p", MatchResources: match()}}
	m.Spec.MatchResources.ResourceRules[0].Operations = []admissionv1.OperationType{"DELETE"}
	mk.Default(m)
	kindtest.Same(t, "deleted", kindtest.Create(mk, m), []string{`spec.matchResources.resourceRules.operations: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"`})
}

func TestPolicyLife(t *testing.T) {
	k := admissionregistration.ValidatingAdmissionPolicy()
	p := policy(func(*admissionv1.ValidatingAdmissionPolicySpec) {})
	if c := p.Spec.MatchConstraints; *p.Spec.FailurePolicy != "Fail" || *c.MatchPolicy != "Equivalent" || c.NamespaceSelector == nil || c.ObjectSelector == nil || *c.ResourceRules[0].Scope != "*" {
		t.Errorf("defaults: %+v", p.Spec)
	}
	p.Status.ObservedGeneration = 7
	if k.PrepareCreate(kindtest.Env(), p); p.Generation != 1 || p.Status.ObservedGeneration != 0 {
		t.Errorf("created: %+v", p)
	}
	p.Status.ObservedGeneration = 1
	next := policy(func(s *admissionv1.ValidatingAdmissionPolicySpec) { *s.FailurePolicy = "Ignore" })
	if k.PrepareUpdate(kindtest.Env(), next, p); next.Generation != 2 || next.Status.ObservedGeneration != 1 {
		t.Errorf("updated: %+v", next)
	}
	next.Labels, next.Status.Conditions = map[string]string{"a": "b"}, []metav1.Condition{{Type: "A", Status: "Odd", LastTransitionTime: metav1.Now(), Reason: "R"}}
	next.Status.TypeChecking = &admissionv1.TypeChecking{ExpressionWarnings: []admissionv1.ExpressionWarning{{FieldRef: " "}, {FieldRef: "spec.validations[0", Warning: "w"}}}
	const w = "status.typeChecking.expressionWarnings"
	kindtest.Same(t, "status", kindtest.Part(t, k, "status", next, p), []string{
		w + "[0].warning: Required value", w + "[0].fieldRef: Required value", w + `[1].fieldRef: Invalid value: "spec.validations[0": invalid JSONPath: unterminated array`,
		`status.conditions[0].status: Unsupported value: "Odd": supported values: "False", "True", "Unknown"`,
	})
	if next.Labels != nil || *next.Spec.FailurePolicy != "Fail" {
		t.Errorf("status: %+v", next)
	}
	for k, obj := range map[*kinds.Kind][2]kinds.Object{
		admissionregistration.MutatingAdmissionPolicy(): {mutation(func(*admissionv1.MutatingAdmissionPolicySpec) {}), mutation(func(s *admissionv1.MutatingAdmissionPolicySpec) { s.Mutations = nil })},
		admissionregistration.ValidatingAdmissionPolicyBinding(): {
			&admissionv1.ValidatingAdmissionPolicyBinding{}, &admissionv1.ValidatingAdmissionPolicyBinding{Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "p"}},
		},
		admissionregistration.MutatingAdmissionPolicyBinding(): {
			&admissionv1.MutatingAdmissionPolicyBinding{}, &admissionv1.MutatingAdmissionPolicyBinding{Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "p"}},
		},
	} {
		was := obj[0]
		k.PrepareCreate(kindtest.Env(), was)
		same, other := was.DeepCopyObject().(kinds.Object), obj[1]
		k.PrepareUpdate(kindtest.Env(), same, was)
		if k.PrepareUpdate(kindtest.Env(), other, was); was.GetGeneration() != 1 || same.GetGeneration() != 1 || other.GetGeneration() != 2 {
			t.Errorf("%s: generations %d, %d, %d", k.Resource, was.GetGeneration(), same.GetGeneration(), other.GetGeneration())
		}
	}
}

func TestPolicyColumns(t *testing.T) {
	vk, mk := admissionregistration.ValidatingAdmissionPolicy(), admissionregistration.MutatingAdmissionPolicy()
	kindtest.Table(t, vk, []string{"Name/name", "Validations:integer", "ParamKind", "Age"}, policy(func(*admissionv1.ValidatingAdmissionPolicySpec) {}), "p", int64(1), "<unset>", "<unknown>")
	kindtest.Table(t, mk, []string{"Name/name", "Mutations:integer", "ParamKind", "Age"},
		mutation(func(s *admissionv1.MutatingAdmissionPolicySpec) {
			s.ParamKind = &admissionv1.ParamKind{APIVersion: "a/v1", Kind: "K"}
		}), "p", int64(1), "a/v1/K", "<unknown>")
	for _, c := range []struct {
		ref  *admissionv1.ParamRef
		want string
	}{
		{nil, "<unset>"}, {&admissionv1.ParamRef{}, "<unset>"}, {&admissionv1.ParamRef{Name: "a"}, "*/a"}, {&admissionv1.ParamRef{Name: "a", Namespace: "n"}, "n/a"},
		{&admissionv1.ParamRef{Selector: &metav1.LabelSelector{}}, "&LabelSelector{MatchLabels:map[string]string{},MatchExpressions:[]LabelSelectorRequirement{},}"},
	} {
		header := []string{"Name/name", "PolicyName", "ParamRef", "Age"}
		v := &admissionv1.ValidatingAdmissionPolicyBinding{Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: "p", ParamRef: c.ref}}
		kindtest.Table(t, admissionregistration.ValidatingAdmissionPolicyBinding(), header, v, "", "p", c.want, "<unknown>")
		m := &admissionv1.MutatingAdmissionPolicyBinding{Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: "p", ParamRef: c.ref}}
		kindtest.Table(t, admissionregistration.MutatingAdmissionPolicyBinding(), header, m, "", "p", c.want, "<unknown>")
	}
}

func TestReservedNames(t *testing.T) {
	const want = `metadata.name: names ending with ".static.k8s.io" are reserved for static manifest-based configurations and cannot be managed via the API`
	for _, k := range []*kinds.Kind{
		admissionregistration.MutatingWebhookConfiguration(), admissionregistration.ValidatingWebhookConfiguration(), admissionregistration.MutatingAdmissionPolicyBinding(),
		admissionregistration.ValidatingAdmissionPolicyBinding(), admissionregistration.MutatingAdmissionPolicy(), admissionregistration.ValidatingAdmissionPolicy(),
	} {
		obj := k.New()
		obj.SetName("a")
		kindtest.Same(t, k.Resource, k.Warnings(obj, nil), nil)
		obj.SetName("a.static.k8s.io")
		kindtest.Same(t, k.Resource, k.Warnings(obj, nil), []string{want})
		kindtest.Same(t, k.Resource, k.Warnings(obj, obj), []string{want})
	}
}
