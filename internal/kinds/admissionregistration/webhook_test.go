package admissionregistration_test

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/admissionregistration"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func rule() admissionv1.RuleWithOperations {
	return admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{"CREATE", "UPDATE"},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods", "pods/status"}},
	}
}

func mutating(change func(*admissionv1.MutatingWebhook)) *admissionv1.MutatingWebhookConfiguration {
	w := admissionv1.MutatingWebhook{
		Name: "a.b.c", SideEffects: new(admissionv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"}, Rules: []admissionv1.RuleWithOperations{rule()},
		ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "n", Name: "s"}},
	}
	c := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "m"}, Webhooks: []admissionv1.MutatingWebhook{w}}
	admissionregistration.MutatingWebhookConfiguration().Default(c)
	change(&c.Webhooks[0])
	return c
}

// validating is the same webhook of the other kind.
func validating(change func(*admissionv1.MutatingWebhook)) *admissionv1.ValidatingWebhookConfiguration {
	c := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "m"}}
	for _, w := range mutating(change).Webhooks {
		c.Webhooks = append(c.Webhooks, admissionv1.ValidatingWebhook{
			Name: w.Name, ClientConfig: w.ClientConfig, Rules: w.Rules, FailurePolicy: w.FailurePolicy, MatchPolicy: w.MatchPolicy, NamespaceSelector: w.NamespaceSelector,
			ObjectSelector: w.ObjectSelector, SideEffects: w.SideEffects, TimeoutSeconds: w.TimeoutSeconds, AdmissionReviewVersions: w.AdmissionReviewVersions, MatchConditions: w.MatchConditions,
		})
	}
	return c
}

func selector(value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In", Values: []string{value}}}}
}

const badLabel = `Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character ` +
	`(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`

func TestWebhooks(t *testing.T) {
	type hook = admissionv1.MutatingWebhook
	const w = "webhooks[0]."
	for name, c := range map[string]struct {
		change func(*hook)
		want   []string
	}{
		"good":     {func(*hook) {}, nil},
		"name":     {func(h *hook) { h.Name = "a.b" }, []string{w + `name: Invalid value: "a.b": should be a domain with at least three segments separated by dots`}},
		"failure":  {func(h *hook) { *h.FailurePolicy = "Odd" }, []string{w + `failurePolicy: Unsupported value: "Odd": supported values: "Fail", "Ignore"`}},
		"match":    {func(h *hook) { *h.MatchPolicy = "" }, []string{w + `matchPolicy: Unsupported value: "": supported values: "Equivalent", "Exact"`}},
		"effects":  {func(h *hook) { h.SideEffects = nil }, []string{w + "sideEffects: Required value: must specify one of None, NoneOnDryRun"}},
		"some":     {func(h *hook) { *h.SideEffects = "Some" }, []string{w + `sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"`}},
		"timeout":  {func(h *hook) { *h.TimeoutSeconds = 31 }, []string{w + "timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"}},
		"selector": {func(h *hook) { h.NamespaceSelector = selector("-") }, []string{w + `namespaceSelector.matchExpressions[0].values[0]: ` + badLabel}},
		"nobody":   {func(h *hook) { h.ClientConfig.Service = nil }, []string{w + "clientConfig: Required value: exactly one of url or service is required"}},
		"two":      {func(h *hook) { h.ClientConfig.URL = new("https://a") }, []string{w + "clientConfig: Required value: exactly one of url or service is required"}},
		"url": {func(h *hook) { h.ClientConfig = admissionv1.WebhookClientConfig{URL: new("http://u@a/?b#c")} }, []string{
			w + `clientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]`,
			w + `clientConfig.url: Invalid value: "u": user information is not permitted in the URL`,
			w + `clientConfig.url: Invalid value: "c": fragments are not permitted in the URL`, w + `clientConfig.url: Invalid value: "b": query parameters are not permitted in the URL`,
		}},
		"service": {func(h *hook) {
			h.ClientConfig.Service = &admissionv1.ServiceReference{Name: "s", Path: new("a"), Port: new(int32(0))}
		}, []string{
			w + "clientConfig.service.name: Required value", // sic: it is the namespace that is missing
			w + "clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
			w + `clientConfig.service.path: Invalid value: "a": must start with a '/'`, w + `clientConfig.service.path: Invalid value: "a": segment[0] may not be empty`,
		}},
		"no versions": {func(h *hook) { h.AdmissionReviewVersions = nil }, []string{w + "admissionReviewVersions: Required value: must specify one of v1, v1beta1"}},
		"versions": {func(h *hook) { h.AdmissionReviewVersions = []string{"v9", "v9"} }, []string{
			w + `admissionReviewVersions[1]: Invalid value: "v9": duplicate version`, w + `admissionReviewVersions: Invalid value: ["v9","v9"]: must include at least one of v1, v1beta1`,
		}},
	} {
		kindtest.Same(t, "mutating, "+name, kindtest.Create(admissionregistration.MutatingWebhookConfiguration(), mutating(c.change)), c.want)
		kindtest.Same(t, "validating, "+name, kindtest.Create(admissionregistration.ValidatingWebhookConfiguration(), validating(c.change)), c.want)
	}
	odd := mutating(func(h *hook) { *h.ReinvocationPolicy = "Odd" })
	kindtest.Same(t, "again", kindtest.Create(admissionregistration.MutatingWebhookConfiguration(), odd), []string{w + `reinvocationPolicy: Unsupported value: "Odd": supported values: "IfNeeded", "Never"`})
	odd = mutating(func(*hook) {})
	odd.Webhooks = append(odd.Webhooks, odd.Webhooks[0])
	kindtest.Same(t, "twice", kindtest.Create(admissionregistration.MutatingWebhookConfiguration(), odd), []string{`webhooks[1].name: Duplicate value: "a.b.c"`})
}

func TestRules(t *testing.T) {
	type rules = admissionv1.RuleWithOperations
	const r = "webhooks[0].rules[0]."
	for name, c := range map[string]struct {
		change func(*rules)
		want   []string
	}{
		"nothing": {func(r *rules) { *r = rules{} }, []string{r + "operations: Required value", r + "apiGroups: Required value", r + "apiVersions: Required value", r + "resources: Required value"}},
		"all operations": {func(r *rules) { r.Operations = append(r.Operations, "*", "Odd") }, []string{
			r + `operations: Invalid value: ["CREATE","UPDATE","*","Odd"]: if '*' is present, must not specify other operations`,
			r + `operations[3]: Unsupported value: "Odd": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"`,
		}},
		"all groups": {func(r *rules) { r.APIGroups = []string{"*", "a"} }, []string{r + `apiGroups: Invalid value: ["*","a"]: if '*' is present, must not specify other API groups`}},
		"all versions": {func(r *rules) { r.APIVersions = []string{"*", ""} }, []string{
			r + `apiVersions: Invalid value: ["*",""]: if '*' is present, must not specify other API versions`, r + "apiVersions[1]: Required value",
		}},
		"scope": {func(r *rules) { r.Scope = new(admissionv1.ScopeType("Odd")) }, []string{r + `scope: Unsupported value: "Odd": supported values: "*", "Cluster", "Namespaced"`}},
		"wildcards": {func(r *rules) { r.Resources = []string{"a/*", "a/b", "*/c", "d/c", "", "*/*"} }, []string{
			r + `resources[1]: Invalid value: "a/b": if 'a/*' is present, must not specify a/b`, r + `resources[3]: Invalid value: "d/c": if '*/c' is present, must not specify d/c`, r + "resources[4]: Required value",
			r + `resources: Invalid value: ["a/*","a/b","*/c","d/c","","*/*"]: if '*/*' is present, must not specify other resources`,
		}},
		"all and one":    {func(r *rules) { r.Resources = []string{"*", "a"} }, []string{r + `resources: Invalid value: ["*","a"]: if '*' is present, must not specify other resources without subresources`}},
		"one and all":    {func(r *rules) { r.Resources = []string{"a", "*"} }, nil},
		"all and a part": {func(r *rules) { r.Resources = []string{"*", "a/b"} }, nil},
	} {
		config := mutating(func(h *admissionv1.MutatingWebhook) { c.change(&h.Rules[0]) })
		kindtest.Same(t, name, kindtest.Create(admissionregistration.MutatingWebhookConfiguration(), config), c.want)
	}
}

func condition(name, text string) admissionv1.MatchCondition {
	return admissionv1.MatchCondition{Name: name, Expression: text}
}

func TestMatchConditions(t *testing.T) {
	const m = "webhooks[0].matchConditions"
	many := make([]admissionv1.MatchCondition, 65)
	for i := range many {
		many[i] = condition("a", "true")
	}
	for name, c := range map[string]struct {
		list []admissionv1.MatchCondition
		want []string
	}{
		"good":       {[]admissionv1.MatchCondition{condition("a", "object.metadata.name == 'x' && authorizer.group('').resource('pods').check('get').allowed()"), condition("b", " !request.dryRun\n")}, nil},
		"empty":      {[]admissionv1.MatchCondition{condition("", " ")}, []string{m + "[0].expression: Required value", m + "[0].name: Required value"}},
		"twice":      {[]admissionv1.MatchCondition{condition("a", "true"), condition("a", "true")}, []string{m + `[1].name: Duplicate value: "a"`}},
		"type":       {[]admissionv1.MatchCondition{condition("a", " 'x' ")}, []string{m + `[0].expression: Invalid value: "'x'": must evaluate to bool but got string`}},
		"parameters": {[]admissionv1.MatchCondition{condition("a", "params.x")}, []string{m + `[0].expression: Invalid value: "params.x": compilation failed: ERROR: <input>:1:1: undeclared reference to 'params' (in container '')` + "\n | params.x\n | ^"}},
	} {
		config := mutating(func(h *admissionv1.MutatingWebhook) { h.MatchConditions = c.list })
		kindtest.Same(t, name, kindtest.Create(admissionregistration.MutatingWebhookConfiguration(), config), c.want)
	}
	config := mutating(func(h *admissionv1.MutatingWebhook) { h.MatchConditions = many })
	if got := kindtest.Create(admissionregistration.MutatingWebhookConfiguration(), config); len(got) != 65 || got[0] != m+": Too many: 65: must have at most 64 items" {
		t.Errorf("many: %q", got[:1])
	}
}

// TestOldWebhooks: an update may keep what was broken before, each on its own.
func TestOldWebhooks(t *testing.T) {
	type hook = admissionv1.MutatingWebhook
	for name, change := range map[string]func(*hook){
		"effects":      func(h *hook) { *h.SideEffects = "Unknown" },
		"versions":     func(h *hook) { h.AdmissionReviewVersions = []string{"v9"} },
		"selectors":    func(h *hook) { h.ObjectSelector = selector("-") },
		"conditions":   func(h *hook) { h.MatchConditions = []admissionv1.MatchCondition{condition("a", "nonsense")} },
		"no condition": func(h *hook) { h.MatchConditions = []admissionv1.MatchCondition{condition("", "")} },
	} {
		for _, k := range []*kinds.Kind{admissionregistration.MutatingWebhookConfiguration(), admissionregistration.ValidatingWebhookConfiguration()} {
			var bad, good kinds.Object = mutating(change), mutating(func(*hook) {})
			if k.Resource[0] == 'v' {
				bad, good = validating(change), validating(func(*hook) {})
			}
			if got := kindtest.Update(k, bad, good); len(got) == 0 {
				t.Errorf("%s of %s: added", name, k.Resource)
			}
			kindtest.Same(t, name+" kept", kindtest.Update(k, bad, bad.DeepCopyObject().(kinds.Object)), nil)
		}
	}
	twice := mutating(func(*hook) {})
	twice.Webhooks = append(twice.Webhooks, twice.Webhooks[0])
	kindtest.Same(t, "names kept", kindtest.Update(admissionregistration.MutatingWebhookConfiguration(), twice, twice.DeepCopy()), nil)
	fewer := twice.DeepCopy()
	fewer.Webhooks = fewer.Webhooks[:1]
	fewer.Webhooks[0].MatchConditions = []admissionv1.MatchCondition{condition("a", "nonsense")}
	if got := kindtest.Update(admissionregistration.MutatingWebhookConfiguration(), fewer, twice); len(got) != 1 {
		t.Errorf("fewer: %q", got)
	}
}

func TestWebhookLife(t *testing.T) {
	k := admissionregistration.MutatingWebhookConfiguration()
	c := mutating(func(*admissionv1.MutatingWebhook) {})
	h := c.Webhooks[0]
	if *h.FailurePolicy != "Fail" || *h.MatchPolicy != "Equivalent" || *h.TimeoutSeconds != 10 || *h.ReinvocationPolicy != "Never" || h.NamespaceSelector == nil || h.ObjectSelector == nil ||
		*h.ClientConfig.Service.Port != 443 || *h.Rules[0].Scope != "*" {
		t.Errorf("defaults: %+v", h)
	}
	if k.PrepareCreate(kindtest.Env(), c); c.Generation != 1 {
		t.Errorf("created: %d", c.Generation)
	}
	same := c.DeepCopy()
	if k.PrepareUpdate(kindtest.Env(), same, c); same.Generation != 1 {
		t.Errorf("same: %d", same.Generation)
	}
	*same.Webhooks[0].TimeoutSeconds = 3
	if k.PrepareUpdate(kindtest.Env(), same, c); same.Generation != 2 {
		t.Errorf("changed: %d", same.Generation)
	}
	for k, obj := range map[*kinds.Kind]kinds.Object{k: c, admissionregistration.ValidatingWebhookConfiguration(): validating(func(*admissionv1.MutatingWebhook) {})} {
		kindtest.Table(t, k, []string{"Name/name", "Webhooks:integer", "Age"}, obj, "m", int64(1), "<unknown>")
	}
}
