package fairness

import (
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/floe-k8s/floe/internal/auth"
)

// flow is a flow schema that requests are held against. It does not change.
type flow struct {
	schema *flowcontrolv1.FlowSchema
	level  *level
	tally  *tally // of the schema at the level
	// What answers say of the two: their UIDs, as values of headers. Shared.
	schemaUID, levelUID []string
}

func newFlow(schema *flowcontrolv1.FlowSchema, l *level) *flow {
	return &flow{
		schema: schema, level: l, tally: l.tallyOf(schema.Name),
		schemaUID: []string{string(schema.UID)}, levelUID: []string{string(l.object.Load().UID)},
	}
}

// distinguisher is what tells flows of the schema apart.
func (f *flow) distinguisher(user *auth.User, a *auth.Attributes) string {
	switch by := f.schema.Spec.DistinguisherMethod; {
	case by == nil:
		return ""
	case by.Type == flowcontrolv1.FlowDistinguisherMethodByNamespaceType:
		return a.Namespace
	}
	return user.Name
}

// matches says whether a request is the schema's.
func matches(spec *flowcontrolv1.FlowSchemaSpec, user *auth.User, a *auth.Attributes) bool {
	for i := range spec.Rules {
		rule := &spec.Rules[i]
		if !matchesSubject(rule.Subjects, user) {
			continue
		}
		if a.Resource == "" && matchesPath(rule.NonResourceRules, a) || a.Resource != "" && matchesResource(rule.ResourceRules, a) {
			return true
		}
	}
	return false
}

const accountPrefix = "system:serviceaccount:"

func matchesSubject(subjects []flowcontrolv1.Subject, user *auth.User) bool {
	for i := range subjects {
		switch s := &subjects[i]; {
		case s.Kind == flowcontrolv1.SubjectKindUser && s.User != nil:
			if s.User.Name == flowcontrolv1.NameAll || s.User.Name == user.Name {
				return true
			}
		case s.Kind == flowcontrolv1.SubjectKindGroup && s.Group != nil:
			if s.Group.Name == flowcontrolv1.NameAll || user.In(s.Group.Name) {
				return true
			}
		case s.Kind == flowcontrolv1.SubjectKindServiceAccount && s.ServiceAccount != nil:
			rest, is := strings.CutPrefix(user.Name, accountPrefix)
			namespace, name, full := strings.Cut(rest, ":")
			if is && full && namespace == s.ServiceAccount.Namespace && (s.ServiceAccount.Name == flowcontrolv1.NameAll || s.ServiceAccount.Name == name) {
				return true
			}
		}
	}
	return false
}

func matchesResource(rules []flowcontrolv1.ResourcePolicyRule, a *auth.Attributes) bool {
	for i := range rules {
		r := &rules[i]
		if !has(r.Verbs, a.Verb) || !hasResource(r.Resources, a) || !has(r.APIGroups, a.Group) {
			continue
		}
		if a.Namespace == "" && r.ClusterScope || a.Namespace != "" && has(r.Namespaces, a.Namespace) {
			return true
		}
	}
	return false
}

// hasResource looks for RESOURCE or RESOURCE/SUBRESOURCE.
func hasResource(list []string, a *auth.Attributes) bool {
	return slices.ContainsFunc(list, func(want string) bool {
		if a.Subresource == "" {
			return want == a.Resource
		}
		resource, part, _ := strings.Cut(want, "/")
		return resource == a.Resource && part == a.Subresource
	}) || all(list)
}

func matchesPath(rules []flowcontrolv1.NonResourcePolicyRule, a *auth.Attributes) bool {
	for i := range rules {
		if r := &rules[i]; has(r.Verbs, a.Verb) && slices.ContainsFunc(r.NonResourceURLs, func(url string) bool { return coversPath(url, a.Path) }) {
			return true
		}
	}
	return false
}

// coversPath: a path is covered by itself, and by what stands above it, with a * at the end or without, as upstream takes it.
func coversPath(url, path string) bool {
	if url == flowcontrolv1.NonResourceAll || url == path {
		return true
	}
	rest, below := strings.CutPrefix(path, strings.TrimSuffix(strings.TrimSuffix(url, "*"), "/"))
	return below && strings.HasPrefix(rest, "/")
}

// has looks for an entry; a list of * alone has all.
func has(list []string, x string) bool { return all(list) || slices.Contains(list, x) }

func all(list []string) bool { return len(list) == 1 && list[0] == flowcontrolv1.APIGroupAll }
