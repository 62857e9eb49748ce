package wire

import (
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/api/joint"
	"github.com/floe-k8s/floe/internal/auth"
)

// target is what a request's path and method mean. resource.Resource "" says that the path is no resource.
type target struct {
	method      string
	verb        string // get, list, watch, create, update, patch, delete, deletecollection; "" when the method has none
	resource    schema.GroupVersionResource
	namespace   string
	name        string
	subresource string
	rest        string // after the subresource; only proxies have any
	within      bool   // the path says the namespace of what it is about, be that a namespace
	watching    bool   // the path begins with watch, as old clients ask for one
	follow      bool
	snapshot    bool
	joint       bool
	profile     bool
	upgrades    bool                          // it asks for another protocol; told of what is outside only
	outside     *apiregistrationv1.APIService // who answers in place of this server; nil: nobody
}

// parse reads /api/v1/... and /apis/GROUP/VERSION/... as upstream does:
//
//	[watch/][namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE[/...]]]
//
// where namespaces/NAME, namespaces/NAME/status and namespaces/NAME/finalize are about the namespace itself.
func parse(r *http.Request) target {
	t := target{
		method: r.Method, snapshot: r.URL.Path == SnapshotPath, joint: r.URL.Path == joint.Path, profile: strings.HasPrefix(r.URL.Path, profilePath),
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		t.resource.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		t.resource.Group, t.resource.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return t
	}
	t.watching = parts[0] == "watch" && len(parts) > 1
	if t.watching {
		parts = parts[1:]
	}
	if parts[0] == "namespaces" && len(parts) > 1 {
		t.namespace = parts[1]
		if len(parts) > 2 && (len(parts) > 3 || parts[2] != "status" && parts[2] != "finalize") {
			parts, t.within = parts[2:], true
		}
	}
	t.resource.Resource = parts[0]
	if len(parts) > 1 {
		t.name = parts[1]
	}
	if len(parts) > 2 {
		t.subresource = parts[2]
	}
	if len(parts) > 3 {
		t.rest = strings.Join(parts[3:], "/")
	}
	t.verb = t.verbOf(r)
	t.follow = t.subresource == "log" && isTrue(r.URL.Query()["follow"])
	return t
}

func (t *target) verbOf(r *http.Request) string {
	if t.watching {
		return "watch"
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		switch {
		case t.name != "":
			return "get"
		case isTrue(r.URL.Query()["watch"]):
			return "watch"
		}
		return "list"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if t.name == "" {
			return "deletecollection"
		}
		return "delete"
	}
	return ""
}

// isTrue reads a query parameter as upstream: there, and not "0" or "false".
func isTrue(values []string) bool {
	return len(values) > 0 && values[0] != "0" && !strings.EqualFold(values[0], "false")
}

// long says that the call lasts as long as the client wants.
func (t *target) long() bool {
	return t.verb == "watch" || t.follow || t.snapshot || t.joint || t.profile || t.connects() || t.endless()
}

func (t *target) changes() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, t.verb)
}

func (t *target) attributes() auth.Attributes {
	a := auth.Attributes{
		Verb: t.verb, Group: t.resource.Group, Version: t.resource.Version, Resource: t.resource.Resource, Subresource: t.subresource,
		Namespace: t.namespace, Name: t.name,
	}
	if a.Verb == "" {
		a.Verb = strings.ToLower(t.method)
	}
	return a
}

// queryValue is the first value of a parameter of the query. Most queries do not have it, and are not taken apart.
func queryValue(r *http.Request, name string) string {
	if query := r.URL.RawQuery; !strings.Contains(query, name) && !strings.Contains(query, "%") {
		return ""
	}
	return r.URL.Query().Get(name)
}

// connecting are the subresources that metrics count as connections, as upstream's do: those that somebody else answers.
var connecting = [...]string{"attach", "exec", "log", "portforward", "proxy"}
