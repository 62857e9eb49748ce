package generate

import (
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
)

// service is the routes that one document of version 3 describes, as kube-openapi asks for them.
type service struct {
	root   string // "/apis/apps/v1"
	routes []common.Route
}

var _ common.RouteContainer = (*service)(nil)

func (s *service) RootPath() string                   { return s.root }
func (s *service) PathParameters() []common.Parameter { return nil }
func (s *service) Routes() []common.Route             { return s.routes }

// add puts routes below the service's path.
func (s *service) add(routes ...route) {
	for _, r := range routes {
		r.path = s.root + "/" + r.path
		s.routes = append(s.routes, &r)
	}
}

// route is one method of one path.
type route struct {
	method, path string
	operation    string // upstream's name of it without the group: "readNamespacedPod"
	description  string
	consumes     []string
	produces     []string
	parameters   []common.Parameter
	metadata     map[string]any
	reads        any // a body; nil: there is none
	answers      []common.StatusCodeResponse
}

var _ common.Route = (*route)(nil)

func (r *route) Method() string                                   { return r.method }
func (r *route) Path() string                                     { return r.path }
func (r *route) OperationName() string                            { return r.operation }
func (r *route) Description() string                              { return r.description }
func (r *route) Consumes() []string                               { return r.consumes }
func (r *route) Produces() []string                               { return r.produces }
func (r *route) Parameters() []common.Parameter                   { return r.parameters }
func (r *route) Metadata() map[string]any                         { return r.metadata }
func (r *route) RequestPayloadSample() any                        { return r.reads }
func (r *route) ResponsePayloadSample() any                       { return nil }
func (r *route) StatusCodeResponses() []common.StatusCodeResponse { return r.answers }

// parameter is one value that a route takes.
type parameter struct {
	name, description string
	kind              common.ParameterKind
	dataType          string // as JSON names it
	required          bool
}

var _ common.Parameter = parameter{}

func (p parameter) Name() string               { return p.name }
func (p parameter) Description() string        { return p.description }
func (p parameter) Kind() common.ParameterKind { return p.kind }
func (p parameter) DataType() string           { return p.dataType }
func (p parameter) Required() bool             { return p.required }
func (p parameter) AllowMultiple() bool        { return false }

func inPath(name, description string) common.Parameter {
	return parameter{name, description, common.PathParameterKind, "string", true}
}

func inQuery(name, description, dataType string) common.Parameter {
	return parameter{name, description, common.QueryParameterKind, dataType, false}
}

func inBody(required bool) common.Parameter {
	return parameter{"body", "", common.BodyParameterKind, "", required}
}

// answer is one code of success and what its body is.
type answer struct {
	code    int
	message string
	model   any
}

var _ common.StatusCodeResponse = answer{}

func (a answer) Code() int       { return a.code }
func (a answer) Message() string { return a.message }
func (a answer) Model() any      { return a.model }

func ok(model any) []common.StatusCodeResponse {
	return []common.StatusCodeResponse{answer{200, "OK", model}}
}

// operationVerbs begin the names of operations; the group and version stand behind them in an operation's id.
var operationVerbs = [...]string{"get", "log", "read", "replace", "patch", "delete", "watch", "connect", "proxy", "list", "create"}

// operationID returns a route's id, from which generated clients name their methods, and its tag.
func operationID(r common.Route) (string, []string, error) {
	verbs := util.NewTrie(operationVerbs[:])
	name := r.OperationName()
	verb, found := verbs.GetPrefix(name)
	parts := strings.Split(strings.Trim(r.Path(), "/"), "/")
	if parts[0] == "api" {
		parts = append([]string{"apis", "core"}, parts[1:]...)
	}
	if !found {
		return name, []string{identifier(parts[0], false)}, nil
	}
	id, tag := verb, identifier(parts[0], false)
	if len(parts) > 1 && parts[0] == "apis" {
		group := strings.TrimSuffix(parts[1], ".k8s.io")
		id, tag = id+identifier(group, true), identifier(group, false)
		if len(parts) > 2 {
			id, tag = id+identifier(parts[2], true), tag+"_"+identifier(parts[2], false)
		}
	}
	return id + identifier(name[len(verb):], true), []string{tag}, nil
}

// identifier leaves out what no identifier may have, and begins the word behind it with a capital.
func identifier(s string, capital bool) string {
	var out strings.Builder
	for i, r := range s {
		switch {
		case r >= '0' && r <= '9' && i == 0, r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z'):
			capital = true
		case capital:
			out.WriteString(strings.ToUpper(string(r)))
			capital = false
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}
