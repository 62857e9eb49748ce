package auth

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
)

// What the names of accounts and nodes begin with, and the groups of accounts.
const (
	accountPrefix   = "system:serviceaccount:"
	nodePrefix      = "system:node:"
	ServiceAccounts = "system:serviceaccounts"
)

// ServiceAccount returns the account whose name as a user is given; ok false: it is no such name.
func ServiceAccount(user string) (namespace, name string, ok bool) {
	rest, ok := strings.CutPrefix(user, accountPrefix)
	if !ok {
		return "", "", false
	}
	namespace, name, ok = strings.Cut(rest, ":")
	if !ok || len(validation.ValidateNamespaceName(namespace, false)) > 0 || len(validation.ValidateServiceAccountName(name, false)) > 0 {
		return "", "", false
	}
	return namespace, name, true
}

// ServiceAccountGroups are the groups of each account of a namespace. The caller owns them.
func ServiceAccountGroups(namespace string) []string {
	return []string{ServiceAccounts, ServiceAccounts + ":" + namespace}
}

// NodeUser returns the node whose name as a user is given; ok false: it is no such name.
func NodeUser(user string) (node string, ok bool) {
	node, ok = strings.CutPrefix(user, nodePrefix)
	if !ok || len(validation.NameIsDNSSubdomain(node, false)) > 0 {
		return "", false
	}
	return node, true
}

// Node says whether the user acts for a node: by its name and the group system:nodes. The name is "" when it is nothing but the prefix.
func (u User) Node() (name string, ok bool) {
	if name, ok = strings.CutPrefix(u.Name, nodePrefix); !ok || !u.In(Nodes) {
		return "", false
	}
	return name, true
}
