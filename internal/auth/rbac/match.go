package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/floe-k8s/floe/internal/auth"
)

// allows says whether a rule allows what a request wants. "*" stands for every verb, group or resource; a resource may be "pods/log" or "*/scale"; a path may
// end with "*". Resource names, when there are any, narrow to objects with these names.
func allows(r *rbacv1.PolicyRule, a *auth.Attributes) bool {
	if !has(r.Verbs, a.Verb) {
		return false
	}
	if a.Path != "" {
		return matchesPath(r.NonResourceURLs, a.Path)
	}
	return has(r.APIGroups, a.Group) && matchesResource(r.Resources, a) && (len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, a.Name))
}

func has(list []string, s string) bool {
	for _, x := range list {
		if x == "*" || x == s {
			return true
		}
	}
	return false
}

func matchesPath(patterns []string, path string) bool {
	for _, p := range patterns {
		if p == path || strings.HasSuffix(p, "*") && strings.HasPrefix(path, strings.TrimRight(p, "*")) {
			return true
		}
	}
	return false
}

// matchesResource compares without putting a resource and its subresource together.
func matchesResource(patterns []string, a *auth.Attributes) bool {
	for _, p := range patterns {
		if p == "*" || a.Subresource == "" && p == a.Resource {
			return true
		}
		if a.Subresource == "" {
			continue
		}
		if head, sub, ok := strings.Cut(p, "/"); ok && sub == a.Subresource && (head == "*" || head == a.Resource) {
			return true
		}
	}
	return false
}
