package rbac

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"slices"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/kinds"
)

// mostGrants bounds how many pairs of a user and a namespace are remembered.
const mostGrants = 4096

var (
	roles               = rbacv1.SchemeGroupVersion.WithResource("roles")
	clusterRoles        = rbacv1.SchemeGroupVersion.WithResource("clusterroles")
	roleBindings        = rbacv1.SchemeGroupVersion.WithResource("rolebindings")
	clusterRoleBindings = rbacv1.SchemeGroupVersion.WithResource("clusterrolebindings")
)

// Table is what roles and bindings are read from. Objects are shared and immutable. It is safe for concurrent use.
type Table interface {
	// Get returns nil when there is no such object.
	Get(res schema.GroupVersionResource, namespace, name string) kinds.Object
	// Lookup goes through the objects that have value in the named index.
	Lookup(res schema.GroupVersionResource, index, value string) iter.Seq[kinds.Object]
	// Changed rises with every change of an object of res. What is read after it was asked is at least as new.
	Changed(res schema.GroupVersionResource) uint64
}

// Authorizer decides by the roles and bindings in a table. It is safe for concurrent use.
type Authorizer struct {
	table Table
	seed  maphash.Seed

	mu    sync.RWMutex
	known map[uint64]*grants // by the hash of whom they are for
}

// New returns an authorizer that remembers nothing yet.
func New(table Table) *Authorizer {
	return &Authorizer{table: table, seed: maphash.MakeSeed(), known: map[uint64]*grants{}}
}

// grants are what one user may do in one namespace, or with "" what they may do everywhere. They are immutable.
type grants struct {
	name       string
	groups     []string
	namespace  string
	generation uint64
	list       []grant
	missing    []error // roles that are bound and not there
	unresolved string  // the reason that tells of them
}

// grant is one rule and the reason that is given when it allows something.
type grant struct {
	rule   *rbacv1.PolicyRule
	reason string
}

// Authorize implements auth.Authorizer.
func (a *Authorizer) Authorize(_ context.Context, user auth.User, attrs auth.Attributes) (auth.Decision, string, error) {
	namespace := attrs.Namespace
	if attrs.Path != "" {
		namespace = ""
	}
	g := a.grants(user, namespace)
	for i := range g.list {
		if allows(g.list[i].rule, &attrs) {
			return auth.Allow, g.list[i].reason, nil
		}
	}
	return auth.NoOpinion, g.unresolved, nil
}

// Rules implements auth.Resolver.
func (a *Authorizer) Rules(user auth.User, namespace string) (rules []rbacv1.PolicyRule, incomplete bool, err error) {
	g := a.grants(user, namespace)
	for _, one := range g.list {
		rules = append(rules, *one.rule)
	}
	return rules, false, errors.Join(g.missing...)
}

// grants returns what holds for a user in a namespace.
func (a *Authorizer) grants(user auth.User, namespace string) *grants {
	generation := a.generation()
	hash := a.hash(user, namespace)
	a.mu.RLock()
	g := a.known[hash]
	a.mu.RUnlock()
	if g != nil && g.generation == generation && g.are(user, namespace) {
		return g
	}
	g = a.compile(user, namespace, generation)
	a.mu.Lock()
	if len(a.known) >= mostGrants {
		clear(a.known)
	}
	a.known[hash] = g
	a.mu.Unlock()
	return g
}

func (g *grants) are(user auth.User, namespace string) bool {
	return g.name == user.Name && g.namespace == namespace && slices.Equal(g.groups, user.Groups)
}

// generation is the sum of four numbers that only rise.
func (a *Authorizer) generation() uint64 {
	return a.table.Changed(roles) + a.table.Changed(clusterRoles) + a.table.Changed(roleBindings) + a.table.Changed(clusterRoleBindings)
}

func (a *Authorizer) hash(user auth.User, namespace string) uint64 {
	var h maphash.Hash
	h.SetSeed(a.seed)
	h.WriteString(user.Name)
	for _, g := range user.Groups {
		h.WriteByte(0)
		h.WriteString(g)
	}
	h.WriteByte(1)
	h.WriteString(namespace)
	return h.Sum64()
}
