package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/rbac"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Table is what relations are read from. Objects are shared and immutable. It is safe for concurrent use.
type Table interface {
	// Get returns nil when there is no such object.
	Get(res schema.GroupVersionResource, namespace, name string) kinds.Object
	// Lookup goes through the objects that have value in the named index.
	Lookup(res schema.GroupVersionResource, index, value string) iter.Seq[kinds.Object]
}

// Authorizer decides for nodes. It is safe for concurrent use.
type Authorizer struct {
	related relations
	rules   []rbacv1.PolicyRule
}

// New returns an authorizer that reads relations from table. rules are what every node may do with what is not bound to a node, shared and unchanged.
func New(table Table, rules []rbacv1.PolicyRule) *Authorizer {
	return &Authorizer{relations{table}, rules}
}

// answer is a reason for which nobody allows, or "" for leave.
type answer struct {
	allowed bool
	reason  string
}

var yes = answer{allowed: true}

func no(format string, args ...any) answer { return answer{reason: fmt.Sprintf(format, args...)} }

// Authorize implements auth.Authorizer.
func (a *Authorizer) Authorize(_ context.Context, user auth.User, attrs auth.Attributes) (auth.Decision, string, error) {
	name, ok := user.Node()
	if !ok {
		return auth.NoOpinion, "", nil
	}
	if name == "" {
		return auth.NoOpinion, fmt.Sprintf("unknown node for user %q", user.Name), nil
	}
	got := a.decide(name, &attrs)
	if got.allowed {
		return auth.Allow, "", nil
	}
	return auth.NoOpinion, got.reason, nil
}

// Rules implements auth.Resolver: what a node may do is no list.
func (a *Authorizer) Rules(user auth.User, _ string) ([]rbacv1.PolicyRule, bool, error) {
	if _, ok := user.Node(); ok {
		return nil, true, errors.New("node authorizer does not support user rule resolution")
	}
	return nil, false, nil
}

func (a *Authorizer) decide(node string, attrs *auth.Attributes) answer {
	if attrs.Path == "" {
		switch attrs.Group {
		case "":
			if got, ok := a.core(node, attrs); ok {
				return got
			}
		case "resource.k8s.io":
			switch attrs.Resource {
			case "resourceclaims":
				return a.get(node, attrs, a.related.resourceClaim)
			case "resourceslices":
				return a.slice(node, attrs)
			}
		case "storage.k8s.io":
			switch attrs.Resource {
			case "volumeattachments":
				return a.get(node, attrs, a.related.attachment)
			case "csinodes":
				return own(node, attrs, "CSINode")
			}
		case "coordination.k8s.io":
			if attrs.Resource == "leases" {
				return lease(node, attrs)
			}
		case "certificates.k8s.io":
			if attrs.Resource == "podcertificaterequests" {
				return answer{} // its feature gate is off
			}
		}
	}
	return answer{allowed: rbac.Allow(a.rules, attrs)}
}

// core decides about the core group; ok false: about its resources that are nobody's in particular.
func (a *Authorizer) core(node string, attrs *auth.Attributes) (got answer, ok bool) {
	switch attrs.Resource {
	case "secrets":
		return a.read(node, attrs, a.related.secret), true
	case "configmaps":
		return a.read(node, attrs, a.related.configMap), true
	case "persistentvolumeclaims":
		if attrs.Subresource != "status" {
			return a.get(node, attrs, a.related.claim), true
		}
		if attrs.Verb != "update" && attrs.Verb != "patch" {
			return no("can only get/update/patch this type"), true
		}
		return relates(node, attrs, a.related.claim), true
	case "persistentvolumes":
		return a.get(node, attrs, a.related.volume), true
	case "serviceaccounts":
		return a.account(node, attrs), true
	case "nodes":
		return itself(node, attrs), true
	case "pods":
		return a.pod(node, attrs), true
	}
	return answer{}, false
}

// relation says whether a node's pods use an object.
type relation func(node, namespace, name string) bool

// relates asks a relation about one object.
func relates(node string, attrs *auth.Attributes, related relation) answer {
	if attrs.Name == "" {
		return no("No Object name found")
	}
	if !related(node, attrs.Namespace, attrs.Name) {
		return no("no relationship found between node '%s' and this object", node)
	}
	return yes
}

func (a *Authorizer) get(node string, attrs *auth.Attributes, related relation) answer {
	switch {
	case attrs.Verb != "get":
		return no("can only get individual resources of this type")
	case attrs.Subresource != "":
		return no("cannot get subresource")
	}
	return relates(node, attrs, related)
}

// read is get for what is listed and watched one by one, too.
func (a *Authorizer) read(node string, attrs *auth.Attributes, related relation) answer {
	switch {
	case !slices.Contains([]string{"get", "list", "watch"}, attrs.Verb):
		return no("can only read resources of this type")
	case attrs.Subresource != "":
		return no("cannot read subresource")
	case attrs.Namespace == "":
		return no("can only read namespaced object of this type")
	}
	return relates(node, attrs, related)
}

func (a *Authorizer) account(node string, attrs *auth.Attributes) answer {
	switch {
	case attrs.Verb == "get" && attrs.Subresource == "":
		return a.read(node, attrs, a.related.account)
	case attrs.Verb != "create" || attrs.Name == "":
		return no("can only create tokens for individual service accounts")
	case attrs.Subresource != "token":
		return no("can only create token subresource of serviceaccount")
	}
	return relates(node, attrs, a.related.account)
}

// lease decides about the leases by which nodes say that they live.
func lease(node string, attrs *auth.Attributes) answer {
	switch {
	case !owned(attrs.Verb):
		return no("can only get, create, update, patch, or delete a node lease")
	case attrs.Namespace != corev1.NamespaceNodeLease:
		return no("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	case attrs.Verb != "create" && attrs.Name != node:
		return no("can only access node lease with the same name as the requesting node")
	}
	return yes
}

// own decides about an object of a kind of which each node has one of its own name. Creation names none: NodeRestriction looks at it.
func own(node string, attrs *auth.Attributes, kind string) answer {
	switch {
	case !owned(attrs.Verb):
		return no("can only get, create, update, patch, or delete a %s", kind)
	case attrs.Subresource != "":
		return no("cannot authorize %s subresources", kind)
	case attrs.Verb != "create" && attrs.Name != node:
		return no("can only access %s with the same name as the requesting node", kind)
	}
	return yes
}

// owned are the verbs that a node may use on what is its own.
func owned(verb string) bool {
	return slices.Contains([]string{"get", "create", "update", "patch", "delete"}, verb)
}

func (a *Authorizer) slice(node string, attrs *auth.Attributes) answer {
	if attrs.Subresource != "" {
		return no("cannot authorize ResourceSlice subresources")
	}
	switch attrs.Verb {
	case "create":
		return yes // NodeRestriction sees whose it is
	case "get", "update", "patch", "delete":
		return relates(node, attrs, a.related.slice)
	case "watch", "list", "deletecollection":
		if selects(attrs, "spec.nodeName", node) {
			return yes
		}
		return no("can only list/watch/deletecollection resourceslices with nodeName field selector")
	}
	return no("only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection")
}

// itself decides about Node objects.
func itself(node string, attrs *auth.Attributes) answer {
	switch attrs.Subresource + " " + attrs.Verb {
	case " create", " update", " patch", "status update", "status patch":
		return yes // NodeRestriction sees whether it is its own
	case " get", " list", " watch":
		switch attrs.Name {
		case node:
			return yes
		case "":
			return no("node '%s' cannot read all nodes, only its own Node object", node)
		}
		return no("node '%s' cannot read '%s', only its own Node object", node, attrs.Name)
	}
	return answer{}
}

func (a *Authorizer) pod(node string, attrs *auth.Attributes) answer {
	switch attrs.Subresource + " " + attrs.Verb {
	case " get":
		return relates(node, attrs, a.related.pod)
	case " list", " watch":
		switch {
		case selects(attrs, "spec.nodeName", node):
			return yes
		case attrs.Name != "":
			return relates(node, attrs, a.related.pod)
		}
		return no("can only list/watch pods with spec.nodeName field selector")
	case " create", " delete", "status update", "status patch", "eviction create":
		return yes // NodeRestriction sees whether they are its own
	}
	return answer{}
}

// selects says whether the request is for no more than the objects whose field has the value.
func selects(attrs *auth.Attributes, name, value string) bool {
	sel, err := fields.ParseSelector(attrs.FieldSelector)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(sel.Requirements(), func(r fields.Requirement) bool {
		return r.Field == name && r.Operator == selection.Equals && r.Value == value
	})
}
