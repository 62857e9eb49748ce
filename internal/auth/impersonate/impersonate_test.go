package impersonate_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/auth/impersonate"
)

// rights are what somebody may, a line each: VERB RESOURCE[/SUBRESOURCE][.GROUP] [NAMESPACE/]NAME, where * stands for every name.
type rights []string

func (r rights) authorize(_ context.Context, user auth.User, a auth.Attributes) (auth.Decision, string, error) {
	asked := strings.TrimPrefix(a.Namespace+"/", "/")
	what := a.Resource
	if a.Subresource != "" {
		what += "/" + a.Subresource
	}
	if a.Group != "" {
		what += "." + a.Group
	}
	for _, right := range r {
		if right == a.Verb+" "+what+" "+asked+a.Name || right == a.Verb+" "+what+" "+asked+"*" {
			return auth.Allow, "", nil
		}
	}
	return auth.NoOpinion, "no", nil
}

// read is what the request beneath is about.
var read = auth.Attributes{Verb: "get", Version: "v1", Resource: "pods", Namespace: "default", Name: "web"}

func head(lines ...string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add("Impersonate-"+name, value)
	}
	return h
}

// TestAs: who has which rights may act as whom, and with what.
func TestAs(t *testing.T) {
	const robot = "system:serviceaccount:default:robot"
	everybody := rights{"impersonate users *", "impersonate groups *"}
	info := rights{
		"impersonate-on:user-info:get pods default/web", "impersonate:user-info users.authentication.k8s.io *", "impersonate:user-info groups.authentication.k8s.io *",
	}
	for name, c := range map[string]struct {
		rights rights
		header http.Header
		on     map[string][]string // the requestor's extra values
		want   string              // NAME UID GROUPS EXTRA RIGHT, or a part of the refusal
	}{
		"a user":                       {everybody, head("User: bob"), nil, "bob  [system:authenticated] map[] "},
		"a user and a group":           {everybody, head("User: bob", "Group: ops"), nil, "bob  [ops system:authenticated] map[] "},
		"nobody's authenticated group": {everybody, head("User: bob", "Group: system:unauthenticated"), nil, "bob  [system:unauthenticated] map[] "},
		"nobody":                       {everybody, head("User: system:anonymous"), nil, "system:anonymous  [system:unauthenticated] map[] "},
		"an account":                   {rights{"impersonate serviceaccounts default/robot"}, head("User: " + robot), nil, robot + "  [system:serviceaccounts system:serviceaccounts:default system:authenticated] map[] "},
		"an account as a user":         {everybody, head("User: " + robot), nil, `cannot impersonate-on:serviceaccount:get resource "pods"`},
		"an account elsewhere":         {rights{"impersonate serviceaccounts other/robot"}, head("User: " + robot), nil, `pods "web" is forbidden`},
		"a user without a group's right": {
			rights{"impersonate users bob"}, head("User: bob", "Group: system:masters"), nil, `cannot impersonate-on:user-info:get resource "pods" in API group "" in the namespace "default": no`,
		},
		"a user without an extra's right": {everybody, head("User: bob", "Extra-Scopes: all"), nil, `pods "web" is forbidden`},
		"a user without a UID's right":    {everybody, head("User: bob", "Uid: 1"), nil, `pods "web" is forbidden`},
		"extra values":                    {append(rights{"impersonate userextras/scopes.authentication.k8s.io a"}, everybody...), head("User: bob", "Extra-Scopes: a"), nil, "bob  [system:authenticated] map[scopes:[a]] "},
		"one extra value too many":        {append(rights{"impersonate userextras/scopes.authentication.k8s.io a"}, everybody...), head("User: bob", "Extra-Scopes: a", "Extra-Scopes: b"), nil, `pods "web" is forbidden`},
		"the first of two users":          {rights{"impersonate users bob"}, head("User: bob", "User: admin"), nil, "bob  [system:authenticated] map[] "},
		"masters by the old right":        {everybody, head("User: bob", "Group: system:masters"), nil, "bob  [system:masters system:authenticated] map[] "},
		"masters by the newer right":      {info, head("User: bob", "Group: system:masters"), nil, `groups.authentication.k8s.io "system:masters" is forbidden: User "eve" cannot impersonate:user-info resource "groups" in API group "authentication.k8s.io" at the cluster scope: impersonating the system:masters group is not allowed`},
		"an empty group":                  {info, head("User: bob", "Group: "), nil, "impersonating the empty string group is not allowed"},
		"a user for one request":          {info, head("User: bob"), nil, "bob  [system:authenticated] map[] impersonate:user-info"},
		"a user for another request":      {rights{"impersonate-on:user-info:list pods default/web", "impersonate:user-info users.authentication.k8s.io *"}, head("User: bob"), nil, `pods "web" is forbidden`},
		"a node as a user":                {info, head("User: system:node:one"), nil, "cannot impersonate-on:arbitrary-node:get"},
		"a node": {
			rights{"impersonate-on:arbitrary-node:get pods default/web", "impersonate:arbitrary-node nodes.authentication.k8s.io one"}, head("User: system:node:one"), nil,
			"system:node:one  [system:nodes system:authenticated] map[] impersonate:arbitrary-node",
		},
		"a node and a group": {
			rights{"impersonate-on:arbitrary-node:get pods default/web", "impersonate:arbitrary-node nodes.authentication.k8s.io one"}, head("User: system:node:one", "Group: ops"), nil,
			`users "system:node:one" is forbidden`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := impersonate.Wanted(c.header)
			if err != nil {
				t.Fatal(err)
			}
			i := impersonate.New(impersonate.Config{Authorizer: c.rights.authorize, Clock: clocktesting.NewFakePassiveClock(time.Unix(0, 0)), Constrained: true})
			got := ""
			user, right, err := i.As(t.Context(), auth.User{Name: "eve", Extra: c.on}, *want, read)
			if err == nil {
				got = fmt.Sprintf("%s %s %v %v %s", user.Name, user.UID, user.Groups, user.Extra, right)
			} else {
				got = err.Error()
			}
			if err == nil && got != c.want || err != nil && !strings.Contains(got, c.want) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if impersonate.Asks(c.header) {
				t.Errorf("headers are left: %v", c.header)
			}
		})
	}
}

// TestAssociatedNode: the account of a pod may act as the node that the pod runs on, and as no other.
func TestAssociatedNode(t *testing.T) {
	may := rights{"impersonate-on:associated-node:get pods default/web", "impersonate:associated-node nodes.authentication.k8s.io *"}
	i := impersonate.New(impersonate.Config{Authorizer: may.authorize, Clock: clocktesting.NewFakePassiveClock(time.Unix(0, 0)), Constrained: true})
	agent := auth.User{Name: "system:serviceaccount:kube-system:agent", Extra: map[string][]string{"authentication.kubernetes.io/node-name": {"one"}}}
	user, right, err := i.As(t.Context(), agent, auth.User{Name: "system:node:one"}, read)
	if err != nil || right != "impersonate:associated-node" || !user.In(auth.Nodes) {
		t.Errorf("its own node: %+v, %q, %v", user, right, err)
	}
	for name, requestor := range map[string]auth.User{
		"another node": {Name: agent.Name, Extra: map[string][]string{"authentication.kubernetes.io/node-name": {"two"}}},
		"two nodes":    {Name: agent.Name, Extra: map[string][]string{"authentication.kubernetes.io/node-name": {"one", "two"}}},
		"no node":      {Name: agent.Name},
		"no account":   {Name: "agent", Extra: agent.Extra},
	} {
		if user, _, err := i.As(t.Context(), requestor, auth.User{Name: "system:node:one"}, read); err == nil {
			t.Errorf("%s: may act as %+v", name, user)
		}
	}
}

// TestTakenAway: a right that is gone is gone with the next request.
func TestTakenAway(t *testing.T) {
	may := rights{"impersonate users bob"}
	i := impersonate.New(impersonate.Config{
		Authorizer: func(ctx context.Context, u auth.User, a auth.Attributes) (auth.Decision, string, error) {
			return may.authorize(ctx, u, a)
		},
		Clock: clocktesting.NewFakePassiveClock(time.Unix(0, 0)), Constrained: true,
	})
	if _, _, err := i.As(t.Context(), auth.User{Name: "eve"}, auth.User{Name: "bob"}, read); err != nil {
		t.Fatal(err)
	}
	may = nil
	_, _, err := i.As(t.Context(), auth.User{Name: "eve"}, auth.User{Name: "bob"}, read)
	const want = `users "bob" is forbidden: User "eve" cannot impersonate resource "users" in API group "" at the cluster scope: no` // of the mode that succeeded last
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestWanted: parts of a user without its name are no request, in upstream's words.
func TestWanted(t *testing.T) {
	for header, want := range map[string]string{
		"Group: a":         `requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"a"}, Extra:map[string][]string(nil)} without impersonating a user name`,
		"Uid: 1":           `requested &user.DefaultInfo{Name:"", UID:"1", Groups:[]string(nil), Extra:map[string][]string(nil)} without impersonating a user name`,
		"Extra-A%2fb%2: x": `requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string(nil), Extra:map[string][]string{"a%2fb%2":[]string{"x"}}} without impersonating a user name`,
	} {
		if u, err := impersonate.Wanted(head(header)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, %v, want %s", header, u, err, want)
		}
	}
	if u, err := impersonate.Wanted(head("User: ")); u != nil || err != nil {
		t.Errorf("an empty name: got %v, %v", u, err)
	}
}
