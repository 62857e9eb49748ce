package auth

import (
	"context"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/fields"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

// Attributes are what a request wants. Path "" means a resource; else only Verb and Path count.
type Attributes struct {
	Verb                         string // get, list, watch, create, ... ; for a path the HTTP method in lower case
	Group, Version               string
	Resource, Subresource        string
	Namespace, Name              string
	Path                         string
	FieldSelector, LabelSelector string // as written; "" selects everything, and so does, for an authorizer, what it cannot read
}

// Select adds what a request for many objects selects, list, watch or deletecollection, as the client has written it. A read of the objects of one name
// counts as a read of that name, when it can be one.
func (a *Attributes) Select(byFields, byLabels string) {
	a.FieldSelector, a.LabelSelector = byFields, byLabels
	if a.Name != "" || byFields == "" || a.Verb == "deletecollection" {
		return
	}
	if sel, err := fields.ParseSelector(byFields); err == nil {
		if name, ok := sel.RequiresExactMatch("metadata.name"); ok && len(content.IsPathSegmentName(name)) == 0 {
			a.Name = name
		}
	}
}

// Decision is what an authorizer says.
type Decision uint8

// What authorizers say. Without an opinion the next one is asked; what nobody has allowed is forbidden.
const (
	NoOpinion Decision = iota
	Allow
	Deny
)

// Authorizer says whether user may do what attrs say, and why; the reason may be empty. err says what could not be asked; a decision stands nevertheless.
type Authorizer func(ctx context.Context, user User, attrs Attributes) (decision Decision, reason string, err error)

// Resolver lists the rules that allow a user something in a namespace, those that hold everywhere first. incomplete says that there may be more, and err what
// could not be found. The rules are shared.
type Resolver func(user User, namespace string) (rules []rbacv1.PolicyRule, incomplete bool, err error)

// Chain asks each in turn; the first with an opinion decides. Reasons and errors of those without one are joined.
func Chain(list ...Authorizer) Authorizer {
	return func(ctx context.Context, user User, attrs Attributes) (Decision, string, error) {
		var reasons []string
		var errs []error
		for _, a := range list {
			decision, reason, err := a(ctx, user, attrs)
			if decision != NoOpinion {
				return decision, reason, err
			}
			if reason != "" {
				reasons = append(reasons, reason)
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
		return NoOpinion, strings.Join(reasons, "\n"), utilerrors.NewAggregate(errs)
	}
}

// Resolvers joins what each lists.
func Resolvers(list ...Resolver) Resolver {
	return func(user User, namespace string) (rules []rbacv1.PolicyRule, incomplete bool, _ error) {
		var errs []error
		for _, r := range list {
			more, some, err := r(user, namespace)
			rules, incomplete = append(rules, more...), incomplete || some
			if err != nil {
				errs = append(errs, err)
			}
		}
		return rules, incomplete, utilerrors.NewAggregate(errs)
	}
}

// AllowMasters lets the group system:masters do everything, whatever others say.
func AllowMasters(_ context.Context, user User, _ Attributes) (Decision, string, error) {
	if user.In(Masters) {
		return Allow, "", nil
	}
	return NoOpinion, "", nil
}

// AlwaysAllow lets everybody do everything.
func AlwaysAllow(context.Context, User, Attributes) (Decision, string, error) {
	return Allow, "", nil
}
