package impersonate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/auth"
)

// many is from how many groups or extra values on the right to all of them is asked for first.
const many = 4

const (
	// nodeNameKey is the extra value by which an account says on which node its pod runs.
	nodeNameKey = "authentication.kubernetes.io/node-name"
	// nodeKeys lists the keys of a requestor's extra values, whose values do not count in the mode associated-node.
	nodeKeys = "authentication.kubernetes.io/associated-node-keys"
)

// mode is one way in which the right to act as another user is asked for.
type mode struct {
	name  string // "" for the old mode
	verb  string // on the parts of the wanted user
	old   bool
	wants func(wanted, requestor auth.User) bool // whether the mode is for such users
	// generic: the same right is asked for whatever the node and the requestor's pod are.
	generic bool
}

// constrained are the newer modes, in upstream's order.
var constrained = [...]mode{
	{name: "associated-node", verb: "impersonate:associated-node", generic: true, wants: func(wanted, requestor auth.User) bool {
		node, ok := auth.NodeUser(wanted.Name)
		if !ok || !onlyName(wanted) {
			return false
		}
		_, _, ok = auth.ServiceAccount(requestor.Name)
		values := requestor.Extra[nodeNameKey]
		return ok && len(values) == 1 && values[0] == node
	}},
	{name: "arbitrary-node", verb: "impersonate:arbitrary-node", wants: func(wanted, _ auth.User) bool {
		_, ok := auth.NodeUser(wanted.Name)
		return ok && onlyName(wanted)
	}},
	{name: "serviceaccount", verb: "impersonate:serviceaccount", wants: func(wanted, _ auth.User) bool {
		_, _, ok := auth.ServiceAccount(wanted.Name)
		return ok && onlyName(wanted)
	}},
	{name: "user-info", verb: "impersonate:user-info", wants: func(wanted, _ auth.User) bool {
		_, node := auth.NodeUser(wanted.Name)
		_, _, account := auth.ServiceAccount(wanted.Name)
		return !node && !account
	}},
}

func onlyName(u auth.User) bool { return u.UID == "" && len(u.Groups) == 0 && len(u.Extra) == 0 }

func (m *mode) label() string {
	if m.old {
		return "legacy"
	}
	return m.name
}

// check returns the user that the requestor is from here on, or the refusal.
func (m *mode) check(ctx context.Context, ask asker, requestor, wanted auth.User, attrs auth.Attributes) (auth.User, error) {
	c := checker{mode: m, ctx: ctx, ask: ask, requestor: requestor, wanted: wanted}
	if m.generic {
		c.requestor.Extra = map[string][]string{nodeKeys: slices.AppendSeq([]string{}, sorted(requestor.Extra))}
	}
	if !m.old {
		attrs.Verb = "impersonate-on:" + m.name + ":" + attrs.Verb
		if err := c.may(attrs); err != nil {
			return auth.User{}, err
		}
	}
	for _, part := range []func() error{c.name, c.uid, c.groups, c.extra} {
		if err := part(); err != nil {
			return auth.User{}, err
		}
	}
	user := c.wanted
	switch {
	case user.Name == auth.Anonymous:
		user = with(user, auth.Unauthenticated)
	case !user.In(auth.Unauthenticated):
		user = with(user, auth.Authenticated)
	}
	return user, nil
}

func with(u auth.User, group string) auth.User {
	if !u.In(group) {
		u.Groups = append(slices.Clip(u.Groups), group)
	}
	return u
}

// checker asks for the rights to the parts of one wanted user.
type checker struct {
	*mode
	ctx       context.Context
	ask       asker
	requestor auth.User
	wanted    auth.User // name gives it the groups that follow from its name
	follow    bool      // its groups do, and are not asked for
}

func (c *checker) may(attrs auth.Attributes) error {
	return c.ask(c.ctx, c.label(), c.requestor, attrs)
}

// of is the right to a part of a user. Names and groups are in the core group in the old mode.
func (c *checker) of(resource, name string) auth.Attributes {
	a := auth.Attributes{Verb: c.verb, Group: authenticationv1.GroupName, Version: "v1", Resource: resource, Name: name}
	if c.old && (resource == "users" || resource == "groups" || resource == "serviceaccounts") {
		a.Group = ""
	}
	return a
}

func (c *checker) name() error {
	attrs := c.of("users", c.wanted.Name)
	given := c.wanted.Groups
	if node, ok := auth.NodeUser(c.wanted.Name); ok && !c.old {
		attrs.Resource, attrs.Name = "nodes", node
		if c.generic {
			attrs.Name = "*"
		}
		c.wanted.Groups, c.follow = []string{auth.Nodes}, true
	}
	if namespace, name, ok := auth.ServiceAccount(c.wanted.Name); ok {
		attrs = c.of("serviceaccounts", name)
		attrs.Namespace = namespace
		if len(given) == 0 {
			c.wanted.Groups, c.follow = auth.ServiceAccountGroups(namespace), true
		}
	}
	return c.may(attrs)
}

func (c *checker) uid() error {
	if c.wanted.UID == "" {
		return nil
	}
	return c.may(c.of("uids", c.wanted.UID))
}

// groups asks for those that the requestor has named. What follows from a name is not asked for.
func (c *checker) groups() error {
	if c.follow {
		return nil
	}
	attrs := c.of("groups", "")
	if !c.old {
		if slices.Contains(c.wanted.Groups, "") {
			return auth.Forbidden(c.requestor, attrs, "impersonating the empty string group is not allowed")
		}
		if c.wanted.In(auth.Masters) {
			attrs.Name = auth.Masters
			return auth.Forbidden(c.requestor, attrs, "impersonating the system:masters group is not allowed")
		}
		if attrs.Name = "*"; len(c.wanted.Groups) >= many && c.may(attrs) == nil {
			return nil
		}
	}
	for _, group := range c.wanted.Groups {
		attrs.Name = group
		if err := c.may(attrs); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) extra() error {
	attrs := c.of("userextras", "")
	if len(c.wanted.Extra) > 0 && !c.old {
		if err := checkExtra(c.wanted.Extra); err != nil {
			return auth.Forbidden(c.requestor, attrs, err.Error())
		}
		all := attrs
		if all.Subresource, all.Name = "*", "*"; large(c.wanted.Extra) && c.may(all) == nil {
			return nil
		}
	}
	for key := range sorted(c.wanted.Extra) {
		attrs.Subresource = key
		for _, value := range c.wanted.Extra[key] {
			attrs.Name = value
			if err := c.may(attrs); err != nil {
				return err
			}
		}
	}
	return nil
}

func large(extra map[string][]string) bool {
	n := 0
	for _, values := range extra {
		n += len(values)
	}
	return n >= many
}

// checkExtra refuses what the newer modes take for no extra values.
func checkExtra(extra map[string][]string) error {
	for key := range sorted(extra) {
		values := extra[key]
		if key == "" {
			return fmt.Errorf("impersonating the empty string key in extra is not allowed")
		}
		if err := utilvalidation.IsDomainPrefixedPath(field.NewPath("extra", "key"), key).ToAggregate(); err != nil {
			return fmt.Errorf("impersonating an invalid key in extra is not allowed: %w", err)
		}
		if key != strings.ToLower(key) {
			return fmt.Errorf("impersonating a non-lowercase key in extra is not allowed: %q", key)
		}
		if slices.Contains(values, "") {
			return fmt.Errorf("impersonating the empty string value in extra is not allowed")
		}
	}
	return nil
}

func sorted(extra map[string][]string) func(func(string) bool) {
	return slices.Values(slices.Sorted(maps.Keys(extra)))
}
