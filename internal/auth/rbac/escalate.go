package rbac

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"github.com/floe-k8s/floe/internal/auth"
)

// Uncovered says which of wanted a user who holds the rules held must not give away, in upstream's words; nil: they hold all. unresolved is what could not be
// found of what they hold; nil: nothing.
func Uncovered(user auth.User, held []rbacv1.PolicyRule, unresolved error, wanted []rbacv1.PolicyRule) error {
	covered, missing := validation.Covers(held, wanted)
	if covered {
		return nil
	}
	var lines []string
	for _, rule := range compact(missing) {
		lines = append(lines, describeRule(rule))
	}
	slices.Sort(lines)
	text := fmt.Sprintf("user %q (groups=%q) is attempting to grant RBAC permissions not currently held:\n%s", user.Name, user.Groups, strings.Join(slices.Compact(lines), "\n"))
	if unresolved != nil {
		text += fmt.Sprintf("; resolution errors: %v", []error{unresolved})
	}
	return errors.New(text)
}

// compact joins rules about one resource, and at most one name, that differ by their verbs only. Covers has taken the rules apart so far that each names one
// group and resource, or one path.
func compact(rules []rbacv1.PolicyRule) (out []rbacv1.PolicyRule) {
	places := map[string]int{}
	for _, r := range rules {
		if len(r.NonResourceURLs) > 0 {
			out = append(out, r)
			continue
		}
		key := fmt.Sprintf("%q %q %q", r.APIGroups, r.Resources, r.ResourceNames)
		if i, ok := places[key]; ok {
			out[i].Verbs = append(out[i].Verbs, r.Verbs...)
			continue
		}
		places[key] = len(out)
		out = append(out, *r.DeepCopy())
	}
	return out
}

// describeRule writes a rule as upstream's refusals do.
func describeRule(r rbacv1.PolicyRule) string {
	var parts []string
	for _, p := range []struct {
		name   string
		values []string
	}{
		{"APIGroups", r.APIGroups}, {"Resources", r.Resources}, {"NonResourceURLs", r.NonResourceURLs}, {"ResourceNames", r.ResourceNames}, {"Verbs", r.Verbs},
	} {
		if len(p.values) > 0 {
			parts = append(parts, fmt.Sprintf("%s:%q", p.name, p.values))
		}
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
