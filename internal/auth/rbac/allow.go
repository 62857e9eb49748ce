package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/floe-k8s/floe/internal/auth"
)

// Allow says whether one of the rules allows what a request wants.
func Allow(rules []rbacv1.PolicyRule, attrs *auth.Attributes) bool {
	for i := range rules {
		if allows(&rules[i], attrs) {
			return true
		}
	}
	return false
}
