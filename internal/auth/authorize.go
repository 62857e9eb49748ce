package auth

import (
	"slices"
	"strings"
)

// Attributes are what a request wants. Path "" means a resource; else only Verb and Path count.
type Attributes struct {
	Verb                         string // get, list, watch, create, ... ; for a path the HTTP method in lower case
	Group, Version               string
	Resource, Subresource        string
	Namespace, Name              string
	Path                         string
	FieldSelector, LabelSelector string
}

// Authorizer says whether user may do what attrs say, and when not, why; the reason may be empty.
type Authorizer func(user User, attrs Attributes) (allowed bool, reason string)

// Rule allows Verbs on Resources of Groups, or on Paths. "*" stands for all; a resource may be "pods/log" or "*/scale"; a path may end
// with "*". Names, when there are any, narrow to objects with these names.
type Rule struct {
	Verbs     []string
	Groups    []string
	Resources []string
	Names     []string
	Paths     []string
}

// Grant gives rules to users and groups.
type Grant struct {
	Users, Groups []string
	Rules         []Rule
}

// Grants allows what any of the grants allows.
func Grants(grants []Grant) Authorizer {
	return func(user User, attrs Attributes) (bool, string) {
		for _, g := range grants {
			if g.to(user) && slices.ContainsFunc(g.Rules, func(r Rule) bool { return r.allows(attrs) }) {
				return true, ""
			}
		}
		return false, ""
	}
}

func (g Grant) to(user User) bool {
	return slices.Contains(g.Users, user.Name) || slices.ContainsFunc(g.Groups, user.In)
}

func (r Rule) allows(a Attributes) bool {
	if !has(r.Verbs, a.Verb) {
		return false
	}
	if a.Path != "" {
		return slices.ContainsFunc(r.Paths, func(p string) bool { return pathMatches(p, a.Path) })
	}
	return has(r.Groups, a.Group) && slices.ContainsFunc(r.Resources, func(s string) bool { return resourceMatches(s, a) }) &&
		(len(r.Names) == 0 || slices.Contains(r.Names, a.Name))
}

func has(list []string, s string) bool { return slices.Contains(list, "*") || slices.Contains(list, s) }

func pathMatches(pattern, path string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return pattern == path
}

func resourceMatches(pattern string, a Attributes) bool {
	if pattern == "*" {
		return true
	}
	want := a.Resource
	if a.Subresource != "" {
		want += "/" + a.Subresource
	}
	return pattern == want || a.Subresource != "" && pattern == "*/"+a.Subresource
}
