package audit

import (
	"fmt"
	"slices"
	"strings"

	metavalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/configfile"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	levels = [...]string{string(auditv1.LevelNone), string(auditv1.LevelMetadata), string(auditv1.LevelRequest), string(auditv1.LevelRequestResponse)}
	stages = [...]string{
		string(auditv1.StageRequestReceived), string(auditv1.StageResponseStarted), string(auditv1.StageResponseComplete), string(auditv1.StagePanic),
	}
)

// Policy says how much is told of which request. It is immutable.
type Policy struct {
	rules []auditv1.PolicyRule
	rest  treatment // of what no rule is about
}

// treatment is what a policy says of one request.
type treatment struct {
	level     auditv1.Level
	omit      []auditv1.Stage
	also      []auditv1.Stage // left out besides
	unmanaged bool            // objects are told without managedFields
}

func (t *treatment) omits(stage auditv1.Stage) bool {
	return slices.Contains(t.omit, stage) || slices.Contains(t.also, stage)
}

// at says whether that much is told.
func (t *treatment) at(level auditv1.Level) bool {
	return slices.Index(levels[:], string(t.level)) >= slices.Index(levels[:], string(level))
}

// LoadPolicy reads an audit.k8s.io/v1 Policy. Unlike upstream, which warns and goes on, an unknown field is an error: a rule that is misspelt records less
// than its author wished.
func LoadPolicy(path string) (*Policy, error) {
	var file auditv1.Policy
	wanted := []schema.GroupVersionKind{auditv1.SchemeGroupVersion.WithKind("Policy")}
	if err := configfile.Read(path, wanted, &file, validatePolicy); err != nil {
		return nil, fmt.Errorf("audit policy: %w", err)
	}
	return &Policy{file.Rules, treatment{level: auditv1.LevelNone, omit: file.OmitStages, unmanaged: file.OmitManagedFields}}, nil
}

func validatePolicy(p *auditv1.Policy) field.ErrorList {
	errs := validateStages(p.OmitStages, field.NewPath("omitStages"))
	rules := field.NewPath("rules")
	if len(p.Rules) == 0 {
		errs = append(errs, field.Required(rules, "loaded illegal policy with 0 rules"))
	}
	for i := range p.Rules {
		errs = append(errs, validateRule(&p.Rules[i], rules.Index(i))...)
	}
	return errs
}

func validateRule(r *auditv1.PolicyRule, at *field.Path) (errs field.ErrorList) {
	switch {
	case r.Level == "":
		errs = append(errs, field.Required(at.Child("level"), ""))
	case !slices.Contains(levels[:], string(r.Level)):
		errs = append(errs, field.NotSupported(at.Child("level"), r.Level, levels[:]))
	}
	paths := at.Child("nonResourceURLs")
	for i, url := range r.NonResourceURLs {
		if url == "*" {
			continue
		}
		if !strings.HasPrefix(url, "/") {
			errs = append(errs, field.Invalid(paths.Index(i), url, "non-resource URL rules must begin with a '/' character"))
		}
		if url != "" && strings.Contains(url[:len(url)-1], "*") {
			errs = append(errs, field.Invalid(paths.Index(i), url, "non-resource URL wildcards '*' must be the final character of the rule"))
		}
	}
	for i, g := range r.Resources {
		group := at.Child("resources").Index(i)
		if g.Group != "" && g.Group != "*" {
			if msgs := metavalidation.IsDNS1123Subdomain(g.Group); len(msgs) > 0 {
				errs = append(errs, field.Invalid(group.Child("group"), g.Group, strings.Join(msgs, ",")))
			}
		}
		if len(g.ResourceNames) > 0 && len(g.Resources) == 0 {
			errs = append(errs, field.Invalid(group.Child("resourceNames"), g.ResourceNames, "using resourceNames requires at least one resource"))
		}
	}
	errs = append(errs, validateStages(r.OmitStages, at.Child("omitStages"))...)
	if len(r.NonResourceURLs) > 0 && (len(r.Resources) > 0 || len(r.Namespaces) > 0) {
		errs = append(errs, field.Invalid(paths, r.NonResourceURLs, "rules cannot apply to both regular resources and non-resource URLs"))
	}
	return errs
}

func validateStages(list []auditv1.Stage, at *field.Path) (errs field.ErrorList) {
	for i, s := range list {
		if !slices.Contains(stages[:], string(s)) {
			errs = append(errs, field.Invalid(at.Index(i), string(s), "allowed stages are "+strings.Join(stages[:], ",")))
		}
	}
	return errs
}

// of is what the first rule that is about a request says.
func (p *Policy) of(user auth.User, attrs auth.Attributes) treatment {
	for i := range p.rules {
		r := &p.rules[i]
		if !about(r, user, &attrs) {
			continue
		}
		t := treatment{level: r.Level, omit: r.OmitStages, also: p.rest.omit, unmanaged: p.rest.unmanaged}
		if r.OmitManagedFields != nil {
			t.unmanaged = *r.OmitManagedFields
		}
		return t
	}
	return p.rest
}

func about(r *auditv1.PolicyRule, user auth.User, attrs *auth.Attributes) bool {
	switch {
	case len(r.Users) > 0 && !slices.Contains(r.Users, user.Name),
		len(r.UserGroups) > 0 && !slices.ContainsFunc(user.Groups, func(g string) bool { return slices.Contains(r.UserGroups, g) }),
		len(r.Verbs) > 0 && !slices.Contains(r.Verbs, attrs.Verb):
		return false
	case len(r.Namespaces) > 0 || len(r.Resources) > 0:
		return attrs.Path == "" && aboutResource(r, attrs)
	case len(r.NonResourceURLs) > 0:
		return attrs.Path != "" && slices.ContainsFunc(r.NonResourceURLs, func(spec string) bool { return aboutPath(spec, attrs.Path) })
	}
	return true
}

func aboutPath(spec, path string) bool {
	if spec == "*" || spec == path {
		return true
	}
	begin, open := strings.CutSuffix(spec, "*")
	return open && strings.HasPrefix(path, begin)
}

func aboutResource(r *auditv1.PolicyRule, attrs *auth.Attributes) bool {
	if len(r.Namespaces) > 0 && !slices.Contains(r.Namespaces, attrs.Namespace) { // "" is what has none
		return false
	}
	if len(r.Resources) == 0 {
		return true
	}
	for i := range r.Resources {
		g := &r.Resources[i]
		switch {
		case g.Group != attrs.Group && g.Group != "*":
		case len(g.Resources) == 0:
			return true
		case len(g.ResourceNames) > 0 && !slices.Contains(g.ResourceNames, attrs.Name):
		case slices.ContainsFunc(g.Resources, func(spec string) bool { return namesResource(spec, attrs) }):
			return true
		}
	}
	return false
}

// namesResource says whether a rule's resource, which may be *, RESOURCE/*, or */PART, is that of the request.
func namesResource(spec string, attrs *auth.Attributes) bool {
	if spec == "*" {
		return true
	}
	resource, part, both := strings.Cut(spec, "/")
	switch {
	case !both:
		return attrs.Subresource == "" && resource == attrs.Resource
	case part == "*":
		return resource == attrs.Resource
	case resource == "*":
		return attrs.Subresource != "" && part == attrs.Subresource
	}
	return resource == attrs.Resource && part == attrs.Subresource
}
