package kindtest

import (
	"errors"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Powers are those of a user who may do what the function says. They hold no rule but by a wish for "hold" of the rule's first resource.
type Powers func(w kinds.Wish) bool

// Refuse implements kinds.Powers.
func (p Powers) Refuse(w kinds.Wish) error {
	if p(w) {
		return nil
	}
	return errors.New("no")
}

// Uncovered implements kinds.Powers.
func (p Powers) Uncovered(namespace string, rules []rbacv1.PolicyRule) error {
	for _, r := range rules {
		resource := ""
		if len(r.Resources) > 0 {
			resource = r.Resources[0]
		}
		if !p(kinds.Wish{Verb: "hold", Namespace: namespace, Resource: resource}) {
			return errors.New("not held: " + resource)
		}
	}
	return nil
}
