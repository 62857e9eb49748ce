package flowcontrol_test

import (
	"reflect"
	"strings"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/flowcontrol"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func p[T any](v T) *T { return &v }

func table(t *testing.T, k *kinds.Kind, header []string, obj kinds.Object, row ...any) {
	t.Helper()
	if got := kindtest.Header(k); !reflect.DeepEqual(got, header) {
		t.Errorf("%s: got %v, want %v", k.Resource, got, header)
	}
	if got := kindtest.Row(k, obj); !reflect.DeepEqual(got, row) {
		t.Errorf("%s: got %v, want %v", k.Resource, got, row)
	}
}

func schema(change func(*flowcontrolv1.FlowSchemaSpec)) *flowcontrolv1.FlowSchema {
	fs := &flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: "s"}, Spec: flowcontrolv1.FlowSchemaSpec{
		PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "l"},
		Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
			Subjects:         []flowcontrolv1.Subject{{Kind: "ServiceAccount", ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Namespace: "n", Name: "*"}}},
			ResourceRules:    []flowcontrolv1.ResourcePolicyRule{{Verbs: []string{"get", "proxy"}, APIGroups: []string{""}, Resources: []string{"pods"}, Namespaces: []string{"n"}}},
			NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: []string{"*"}, NonResourceURLs: []string{"/", "/a", "/b/*"}}},
		}},
	}}
	flowcontrol.FlowSchema().Default(fs)
	change(&fs.Spec)
	return fs
}

func TestFlowSchema(t *testing.T) {
	type spec = flowcontrolv1.FlowSchemaSpec
	for name, c := range map[string]struct {
		change func(*spec)
		want   []string
	}{
		"good":       {func(*spec) {}, nil},
		"none":       {func(s *spec) { s.MatchingPrecedence = -1 }, []string{"spec.matchingPrecedence: Invalid value: -1: must be a positive value"}},
		"late":       {func(s *spec) { s.MatchingPrecedence = 10001 }, []string{"spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"}},
		"first":      {func(s *spec) { s.MatchingPrecedence = 1 }, []string{"spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"}},
		"by":         {func(s *spec) { s.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: "Odd"} }, []string{`spec.distinguisherMethod.type: Unsupported value: {"Type":"Odd"}: supported values: "ByNamespace", "ByUser"`}},
		"no level":   {func(s *spec) { s.PriorityLevelConfiguration.Name = "" }, []string{"spec.priorityLevelConfiguration.name: Required value: must reference a priority level"}},
		"empty rule": {func(s *spec) { s.Rules[0] = flowcontrolv1.PolicyRulesWithSubjects{} }, []string{"spec.rules[0].subjects: Required value: subjects must contain at least one value", "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty"}},
		"empty resources": {func(s *spec) { s.Rules[0].ResourceRules[0] = flowcontrolv1.ResourcePolicyRule{} }, []string{
			"spec.rules[0].resourceRules[0].verbs: Required value: verbs must contain at least one value",
			"spec.rules[0].resourceRules[0].apiGroups: Required value: resource rules must supply at least one api group",
			"spec.rules[0].resourceRules[0].resources: Required value: resource rules must supply at least one resource",
			"spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace",
		}},
		"all and more": {func(s *spec) {
			more := []string{"*", "a"}
			s.Rules[0].ResourceRules[0] = flowcontrolv1.ResourcePolicyRule{Verbs: more, APIGroups: more, Resources: more, Namespaces: more}
			s.Rules[0].NonResourceRules[0] = flowcontrolv1.NonResourcePolicyRule{Verbs: []string{"odd"}, NonResourceURLs: more}
		}, []string{
			`spec.rules[0].resourceRules[0].verbs: Invalid value: ["*","a"]: if '*' is present, must not specify other verbs`,
			`spec.rules[0].resourceRules[0].apiGroups: Invalid value: ["*","a"]: if '*' is present, must not specify other api groups`,
			`spec.rules[0].resourceRules[0].resources: Invalid value: ["*","a"]: if '*' is present, must not specify other resources`,
			`spec.rules[0].resourceRules[0].namespaces: Invalid value: ["*","a"]: if '*' is present, must not specify other namespaces`,
			`spec.rules[0].nonResourceRules[0].verbs: Unsupported value: ["odd"]: supported values: "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"`,
			`spec.rules[0].nonResourceRules[0].nonResourceURLs: Invalid value: ["*","a"]: if '*' is present, must not specify other non-resource URLs`,
		}},
		"namespace": {func(s *spec) { s.Rules[0].ResourceRules[0].Namespaces = []string{"a.b"} }, []string{`spec.rules[0].resourceRules[0].namespaces[0]: Invalid value: "a.b": each member of this list must be '*' or a DNS-1123 label; must not contain dots`}},
		"urls": {func(s *spec) {
			s.Rules[0].NonResourceRules[0].NonResourceURLs = []string{"", "a", "/a b", "/a//b", "/a*", "/*/*"}
		}, []string{
			`spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "": must not be empty`, `spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: "a": must start with slash`,
			`spec.rules[0].nonResourceRules[0].nonResourceURLs[2]: Invalid value: "/a b": must not contain white-space`, `spec.rules[0].nonResourceRules[0].nonResourceURLs[3]: Invalid value: "/a//b": must not contain double slash`,
			`spec.rules[0].nonResourceRules[0].nonResourceURLs[4]: Invalid value: "/a*": wildcard can only do suffix matching`, `spec.rules[0].nonResourceRules[0].nonResourceURLs[5]: Invalid value: "/*/*": wildcard can only do suffix matching`,
		}},
	} {
		kindtest.Same(t, name, kindtest.Create(flowcontrol.FlowSchema(), schema(c.change)), c.want)
		kindtest.Same(t, name+", updated", kindtest.Update(flowcontrol.FlowSchema(), schema(c.change), schema(func(*spec) {})), c.want)
	}
}

func TestSubjects(t *testing.T) {
	const at = "spec.rules[0].subjects[0]"
	user, group, account := &flowcontrolv1.UserSubject{}, &flowcontrolv1.GroupSubject{}, &flowcontrolv1.ServiceAccountSubject{}
	for name, c := range map[string]struct {
		subject flowcontrolv1.Subject
		want    []string
	}{
		"user":       {flowcontrolv1.Subject{Kind: "User", User: &flowcontrolv1.UserSubject{Name: "*"}}, nil},
		"no user":    {flowcontrolv1.Subject{Kind: "User"}, []string{at + ".user: Required value: user is required when subject kind is 'User'"}},
		"no group":   {flowcontrolv1.Subject{Kind: "Group"}, []string{at + ".group: Required value: group is required when subject kind is 'Group'"}},
		"no account": {flowcontrolv1.Subject{Kind: "ServiceAccount"}, []string{at + ".serviceAccount: Required value: serviceAccount is required when subject kind is 'ServiceAccount'"}},
		"odd":        {flowcontrolv1.Subject{Kind: "Odd", User: user}, []string{at + `.kind: Unsupported value: "Odd": supported values: "Group", "ServiceAccount", "User"`}},
		"all, user":  {flowcontrolv1.Subject{Kind: "User", User: user, Group: group, ServiceAccount: account}, []string{at + ".user.name: Required value", at + ".serviceAccount: Forbidden: serviceAccount is forbidden when subject kind is not 'ServiceAccount'", at + ".group: Forbidden: group is forbidden when subject kind is not 'Group'"}},
		"all, group": {flowcontrolv1.Subject{Kind: "Group", User: user, Group: group, ServiceAccount: account}, []string{at + ".group.name: Required value", at + ".serviceAccount: Forbidden: serviceAccount is forbidden when subject kind is not 'ServiceAccount'", at + ".user: Forbidden: user is forbidden when subject kind is not 'User'"}},
		"all, account": {flowcontrolv1.Subject{Kind: "ServiceAccount", User: user, Group: group, ServiceAccount: account}, []string{
			at + ".serviceAccount.name: Required value", at + ".serviceAccount.namespace: Required value: must specify namespace for service account",
			at + ".user: Forbidden: user is forbidden when subject kind is not 'User'", at + ".group: Forbidden: group is forbidden when subject kind is not 'Group'",
		}},
	} {
		fs := schema(func(s *flowcontrolv1.FlowSchemaSpec) { s.Rules[0].Subjects[0] = c.subject })
		kindtest.Same(t, name, kindtest.Create(flowcontrol.FlowSchema(), fs), c.want)
	}
}

func level(change func(*flowcontrolv1.PriorityLevelConfigurationSpec)) *flowcontrolv1.PriorityLevelConfiguration {
	pl := &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "l"}, Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
		Type: "Limited", Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{LimitResponse: flowcontrolv1.LimitResponse{Type: "Queue", Queuing: &flowcontrolv1.QueuingConfiguration{}}},
	}}
	flowcontrol.PriorityLevelConfiguration().Default(pl)
	change(&pl.Spec)
	return pl
}

func TestPriorityLevel(t *testing.T) {
	type spec = flowcontrolv1.PriorityLevelConfigurationSpec
	const queuing, response = "spec.limited.limitResponse.queuing", "spec.limited.limitResponse"
	for name, c := range map[string]struct {
		change func(*spec)
		want   []string
	}{
		"good":    {func(*spec) {}, nil},
		"no type": {func(s *spec) { s.Type = "" }, []string{"spec.type: Required value"}},
		"odd":     {func(s *spec) { s.Type = "Odd" }, []string{`spec.type: Unsupported value: "Odd": supported values: "Exempt", "Limited"`}},
		"exempt": {func(s *spec) {
			s.Type, s.Exempt = "Exempt", &flowcontrolv1.ExemptPriorityLevelConfiguration{NominalConcurrencyShares: p(int32(-1)), LendablePercent: p(int32(101))}
		}, []string{
			"spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'", "spec.limited: Forbidden: must be nil if the type is not Limited",
			"spec.exempt.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer", "spec.exempt.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
		}},
		"limited": {func(s *spec) { s.Limited, s.Exempt = nil, &flowcontrolv1.ExemptPriorityLevelConfiguration{} }, []string{"spec.exempt: Forbidden: must be nil if the type is Limited", "spec.limited: Required value: must not be empty when type is Limited"}},
		"shares": {func(s *spec) {
			s.Limited.NominalConcurrencyShares, s.Limited.LendablePercent, s.Limited.BorrowingLimitPercent = p(int32(-1)), p(int32(-1)), p(int32(-1))
		}, []string{
			"spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer", "spec.limited.lendablePercent: Invalid value: -1: must be between 0 and 100, inclusive",
			"spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer",
		}},
		"reject":       {func(s *spec) { s.Limited.LimitResponse.Type = "Reject" }, []string{queuing + ": Forbidden: must be nil if limited.limitResponse.type is not Limited"}},
		"no queues":    {func(s *spec) { s.Limited.LimitResponse.Queuing = nil }, []string{queuing + ": Required value: must not be empty if limited.limitResponse.type is Limited"}},
		"no response":  {func(s *spec) { s.Limited.LimitResponse.Type = "" }, []string{response + ".type: Required value"}},
		"odd response": {func(s *spec) { s.Limited.LimitResponse.Type = "Odd" }, []string{response + `.type: Unsupported value: "Odd": supported values: "Queue", "Reject"`}},
		"nothing":      {func(s *spec) { *s.Limited.LimitResponse.Queuing = flowcontrolv1.QueuingConfiguration{} }, []string{queuing + ".queueLengthLimit: Invalid value: 0: must be positive", queuing + ".queues: Invalid value: 0: must be positive", queuing + ".handSize: Invalid value: 0: must be positive"}},
		"many queues":  {func(s *spec) { s.Limited.LimitResponse.Queuing.Queues = 10000001 }, []string{queuing + ".queues: Invalid value: 10000001: must not be greater than 10000000", queuing + ".handSize: Invalid value: 8: required entropy bits of deckSize 10000001 and handSize 8 should not be greater than 60"}},
		"large hand":   {func(s *spec) { s.Limited.LimitResponse.Queuing.Queues = 7 }, []string{queuing + ".handSize: Invalid value: 8: should not be greater than queues (7)"}},
		"many bits":    {func(s *spec) { s.Limited.LimitResponse.Queuing.HandSize = 11 }, []string{queuing + ".handSize: Invalid value: 11: required entropy bits of deckSize 64 and handSize 11 should not be greater than 60"}},
	} {
		kindtest.Same(t, name, kindtest.Create(flowcontrol.PriorityLevelConfiguration(), level(c.change)), c.want)
	}
	old := level(func(*spec) {})
	old.Annotations = map[string]string{"flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares": ""}
	kindtest.Same(t, "annotation", kindtest.Create(flowcontrol.PriorityLevelConfiguration(), old), []string{"metadata.annotations: Forbidden: annotation 'flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares' is forbidden"})
}

// TestMandatory: the objects that no cluster is without are what they are; exempt may lend.
func TestMandatory(t *testing.T) {
	k := flowcontrol.PriorityLevelConfiguration()
	exempt := &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "exempt"}, Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
		Type: "Exempt", Exempt: &flowcontrolv1.ExemptPriorityLevelConfiguration{LendablePercent: p(int32(50))},
	}}
	k.Default(exempt)
	kindtest.Same(t, "exempt", kindtest.Create(k, exempt), nil)
	exempt.Spec.Limited = &flowcontrolv1.LimitedPriorityLevelConfiguration{}
	if got := kindtest.Create(k, exempt); len(got) != 2 || !strings.HasSuffix(got[1], "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value") {
		t.Errorf("exempt and limited: %q", got)
	}
	last := level(func(s *flowcontrolv1.PriorityLevelConfigurationSpec) {
		s.Limited.NominalConcurrencyShares, s.Limited.LimitResponse = p(int32(5)), flowcontrolv1.LimitResponse{Type: "Reject"}
	})
	last.Name = "catch-all"
	kindtest.Same(t, "catch-all", kindtest.Create(k, last), nil)
	*last.Spec.Limited.NominalConcurrencyShares = 6
	kindtest.Same(t, "catch-all, more", kindtest.Update(k, last, last.DeepCopy()), []string{
		`spec: Invalid value: {"Type":"Limited","Limited":{"NominalConcurrencyShares":6,"LimitResponse":{"Type":"Reject","Queuing":null},"LendablePercent":0,"BorrowingLimitPercent":null},"Exempt":null}: spec of 'catch-all' must equal the fixed value`,
	})
	fs := schema(func(*flowcontrolv1.FlowSchemaSpec) {})
	fs.Name = "exempt"
	if got := kindtest.Create(flowcontrol.FlowSchema(), fs); len(got) != 1 || !strings.HasPrefix(got[0], `spec: Invalid value: {"PriorityLevelConfiguration":{"Name":"l"},"MatchingPrecedence":1000,`) || !strings.HasSuffix(got[0], "spec of 'exempt' must equal the fixed value") {
		t.Errorf("schema: %q", got)
	}
	all := []string{"*"}
	fs.Spec = flowcontrolv1.FlowSchemaSpec{
		MatchingPrecedence: 1, PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: "exempt"},
		Rules: []flowcontrolv1.PolicyRulesWithSubjects{{
			Subjects:         []flowcontrolv1.Subject{{Kind: "Group", Group: &flowcontrolv1.GroupSubject{Name: "system:masters"}}},
			ResourceRules:    []flowcontrolv1.ResourcePolicyRule{{Verbs: all, APIGroups: all, Resources: all, Namespaces: all, ClusterScope: true}},
			NonResourceRules: []flowcontrolv1.NonResourcePolicyRule{{Verbs: all, NonResourceURLs: all}},
		}},
	}
	kindtest.Same(t, "schema exempt", kindtest.Create(flowcontrol.FlowSchema(), fs), nil)
	fs.Name, fs.Spec.MatchingPrecedence, fs.Spec.PriorityLevelConfiguration.Name = "catch-all", 10000, "catch-all"
	fs.Spec.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: "ByUser"}
	fs.Spec.Rules[0].Subjects = []flowcontrolv1.Subject{
		{Kind: "Group", Group: &flowcontrolv1.GroupSubject{Name: "system:unauthenticated"}}, {Kind: "Group", Group: &flowcontrolv1.GroupSubject{Name: "system:authenticated"}},
	}
	kindtest.Same(t, "schema catch-all", kindtest.Create(flowcontrol.FlowSchema(), fs), nil)
}

func TestStatusAndGeneration(t *testing.T) {
	fk, lk := flowcontrol.FlowSchema(), flowcontrol.PriorityLevelConfiguration()
	fs, was := schema(func(s *flowcontrolv1.FlowSchemaSpec) { s.MatchingPrecedence = 5 }), schema(func(*flowcontrolv1.FlowSchemaSpec) {})
	fs.Labels, fs.Status.Conditions = map[string]string{"a": "b"}, []flowcontrolv1.FlowSchemaCondition{{Type: "Dangling", Status: "True"}, {Type: "Dangling"}, {}}
	kindtest.Same(t, "schema", kindtest.Part(t, fk, "status", fs.DeepCopy(), was), []string{`status.conditions[1].type: Duplicate value: "Dangling"`, "status.conditions[2].type: Required value"})
	fs.Status.Conditions = fs.Status.Conditions[:1]
	part := fs.DeepCopy()
	kindtest.Same(t, "schema", kindtest.Part(t, fk, "status", part, was), nil)
	if part.Labels != nil || part.Spec.MatchingPrecedence != 1000 || len(part.Status.Conditions) != 1 {
		t.Errorf("status: %+v", part)
	}
	if fk.PrepareUpdate(kindtest.Env(), fs, was); fs.Generation != 1 || fs.Status.Conditions != nil {
		t.Errorf("update: %+v", fs)
	}
	if fk.PrepareCreate(kindtest.Env(), part); part.Generation != 1 || part.Status.Conditions != nil {
		t.Errorf("create: %+v", part)
	}
	none := func(*flowcontrolv1.PriorityLevelConfigurationSpec) {}
	pl, old := level(func(s *flowcontrolv1.PriorityLevelConfigurationSpec) { *s.Limited.LendablePercent = 9 }), level(none)
	old.Status.Conditions = []flowcontrolv1.PriorityLevelConfigurationCondition{{Type: "a"}}
	now := pl.DeepCopy()
	kindtest.Same(t, "level", kindtest.Part(t, lk, "status", now, old), nil)
	if *now.Spec.Limited.LendablePercent != 0 || now.Status.Conditions != nil {
		t.Errorf("status: %+v", now)
	}
	if lk.PrepareUpdate(kindtest.Env(), pl, old); pl.Generation != 1 || len(pl.Status.Conditions) != 1 {
		t.Errorf("update: %+v", pl)
	}
	if lk.PrepareCreate(kindtest.Env(), old); old.Generation != 1 || old.Status.Conditions != nil {
		t.Errorf("create: %+v", old)
	}
}

func TestColumns(t *testing.T) {
	fk, lk := flowcontrol.FlowSchema(), flowcontrol.PriorityLevelConfiguration()
	header := []string{"Name/name", "PriorityLevel", "MatchingPrecedence", "DistinguisherMethod", "Age", "MissingPL"}
	fs := schema(func(*flowcontrolv1.FlowSchemaSpec) {})
	table(t, fk, header, fs, "s", "l", int64(1000), "<none>", "<unknown>", "?")
	fs.Spec.DistinguisherMethod = &flowcontrolv1.FlowDistinguisherMethod{Type: "ByUser"}
	fs.Status.Conditions = []flowcontrolv1.FlowSchemaCondition{{Type: "Dangling", Status: "False"}}
	table(t, fk, header, fs, "s", "l", int64(1000), "ByUser", "<unknown>", "False")
	header = []string{"Name/name", "Type", "NominalConcurrencyShares", "Queues", "HandSize", "QueueLengthLimit", "Age"}
	table(t, lk, header, level(func(*flowcontrolv1.PriorityLevelConfigurationSpec) {}), "l", "Limited", int64(30), int64(64), int64(8), int64(50), "<unknown>")
	table(t, lk, header, level(func(s *flowcontrolv1.PriorityLevelConfigurationSpec) { s.Limited = nil }), "l", "Limited", "<none>", "<none>", "<none>", "<none>", "<unknown>")
}
