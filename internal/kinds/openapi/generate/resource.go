package generate

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/common"

	"github.com/floe-k8s/floe/internal/kinds"
)

// The media types of bodies and answers, in upstream's order.
var (
	mediaTypes  = []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"}
	streamTypes = append(slices.Clip(mediaTypes), "application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch")
	patchTypes  = []string{
		"application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml",
	}
	anyType = []string{"*/*"}
)

// resource is what the routes of a kind, or of one of its subresources, are made from.
type resource struct {
	owner      string                  // the kind's name, also of a subresource
	part       string                  // the subresource's name; "" is the kind itself
	gvk        schema.GroupVersionKind // of bodies
	namespaced bool
	verbs      []string
	all, one   string             // paths of the collection and of one object; a subresource has both the same
	anywhere   string             // path of the objects of all namespaces; "": it has none
	place      []common.Parameter // of the collection's path
	named      []common.Parameter // of an object's
	body, list any
	deleted    any  // what a deletion answers
	options    any  // query of the calls that a node answers; nil: it answers none
	connects   bool // these calls are connections
	under      bool // and there are paths below
}

// resourcesOf are the kind and its subresources. Scheme has the options of what nodes answer.
func resourcesOf(k *kinds.Kind, scheme *runtime.Scheme) ([]resource, error) {
	r := resource{
		owner: k.GVK.Kind, gvk: k.GVK, namespaced: k.Namespaced, verbs: verbsOf(k), all: k.Resource, body: value(k.New()), deleted: metav1.Status{},
	}
	if k.NewList != nil {
		r.list = value(k.NewList())
	}
	if k.ReturnDeleted {
		r.deleted = r.body
	}
	if k.Namespaced {
		r.all, r.anywhere = "namespaces/{namespace}/"+k.Resource, k.Resource
		r.place = []common.Parameter{inPath("namespace", "object name and auth scope, such as for teams and projects")}
	}
	r.one = r.all + "/{name}"
	r.named = append(slices.Clip(r.place), inPath("name", "name of the "+k.GVK.Kind))
	list := []resource{r}
	for i := range k.Subresources {
		part, err := r.of(&k.Subresources[i], scheme)
		if err != nil {
			return nil, err
		}
		list = append(list, part)
	}
	return list, nil
}

func verbsOf(k *kinds.Kind) []string {
	if k.Verbs != nil {
		return k.Verbs
	}
	return []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
}

func value(obj runtime.Object) any { return reflect.ValueOf(obj).Elem().Interface() }

// of is a subresource of the kind.
func (r resource) of(sub *kinds.Subresource, scheme *runtime.Scheme) (resource, error) {
	r.part, r.gvk, r.verbs, r.one, r.anywhere = sub.Name, sub.GVK, sub.Verbs, r.one+"/"+sub.Name, ""
	r.named = append(slices.Clip(r.place), inPath("name", "name of the "+sub.GVK.Kind))
	r.all, r.place = r.one, r.named
	if sub.New != nil {
		r.body = value(sub.New())
	}
	gvk := sub.GVK
	r.connects = strings.HasSuffix(gvk.Kind, "Options")
	switch {
	case r.connects:
	case sub.Name == "log":
		gvk.Kind = "PodLogOptions" // what is read is no object: it bears the pod's kind
	default:
		return r, nil
	}
	options, err := scheme.New(gvk)
	if err != nil {
		return r, err
	}
	r.options, r.body, r.under = value(options), "", sub.Name == "proxy"
	return r, nil
}

// routes are what the resource's verbs are.
func (r resource) routes() (routes []route) {
	if r.connects {
		return r.connections()
	}
	for _, verb := range r.verbs {
		switch verb {
		case "list":
			routes = append(routes, r.lists()...)
		case "watch":
			routes = append(routes, r.watches()...)
		default:
			routes = append(routes, r.single(verb))
		}
	}
	return routes
}

// made completes a route: action is upstream's word for what it does.
func (r resource) made(action string, made route) route {
	if made.produces == nil {
		made.produces = mediaTypes
	}
	if made.consumes == nil {
		made.consumes = anyType
	}
	made.metadata = map[string]any{
		"x-kubernetes-action": action,
		gvkExtension:          metav1.GroupVersionKind{Group: r.gvk.Group, Version: r.gvk.Version, Kind: r.gvk.Kind},
	}
	return made
}

// id is the name of an operation on objects in their place.
func (r resource) id(verb string) string {
	if r.namespaced {
		verb += "Namespaced"
	}
	return verb + r.owner + title(r.part)
}

func title(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// says is the description of what is done to an object, or to the part of it that the resource is.
func (r resource) says(does, object string) string {
	if r.part != "" {
		does += " " + r.part + " of"
	}
	return does + " " + object
}

// article is the kind's name with "a" or "an"; names in the plural have none.
func article(noun string) string {
	switch {
	case strings.HasSuffix(noun, "s") && !strings.HasSuffix(noun, "ss"):
		return noun
	case strings.ContainsRune("AEIOU", rune(noun[0])):
		return "an " + noun
	}
	return "a " + noun
}

// single is the route of a verb that is neither list nor watch.
func (r resource) single(verb string) route {
	created := append(ok(r.body), answer{201, "Created", r.body})
	switch verb {
	case "create":
		return r.made("post", route{
			method: "POST", path: r.all, operation: r.id("create"), description: r.says("create", article(r.owner)), reads: r.body,
			answers: append(created, answer{202, "Accepted", r.body}), parameters: parameters(r.place, metav1.CreateOptions{}, inBody(true)),
		})
	case "update":
		return r.made("put", route{
			method: "PUT", path: r.one, operation: r.id("replace"), description: r.says("replace", "the specified "+r.owner), reads: r.body,
			answers: created, parameters: parameters(r.named, metav1.UpdateOptions{}, inBody(true)),
		})
	case "patch":
		return r.made("patch", route{
			method: "PATCH", path: r.one, operation: r.id("patch"), description: r.says("partially update", "the specified "+r.owner),
			reads: metav1.Patch{}, consumes: patchTypes, answers: created, parameters: parameters(r.named, metav1.PatchOptions{}, inBody(true)),
		})
	case "delete":
		return r.made("delete", route{
			method: "DELETE", path: r.one, operation: r.id("delete"), description: r.says("delete", article(r.owner)), reads: metav1.DeleteOptions{},
			answers:    append(ok(r.deleted), answer{202, "Accepted", r.deleted}),
			parameters: parameters(r.named, metav1.DeleteOptions{}, inBody(false)),
		})
	case "deletecollection":
		list := slices.DeleteFunc(query(metav1.ListOptions{}), func(p common.Parameter) bool {
			return p.Name() == "watch" || p.Name() == "allowWatchBookmarks"
		})
		return r.made("deletecollection", route{
			method: "DELETE", path: r.all, operation: r.id("deletecollection"), description: "delete collection of " + r.owner, reads: metav1.DeleteOptions{},
			answers: ok(metav1.Status{}), parameters: append(parameters(r.place, metav1.DeleteOptions{}, inBody(false)), list...),
		})
	}
	read := route{
		method: "GET", path: r.one, operation: r.id("read"), description: r.says("read", "the specified "+r.owner), answers: ok(r.body),
		parameters: parameters(r.named, r.options),
	}
	if r.options != nil {
		read.produces = append([]string{"text/plain"}, mediaTypes...)
	}
	return r.made("get", read)
}

// places are the paths of lists: of the namespace, and of all.
func (r resource) places(make func(path, scope, suffix string, place []common.Parameter) route) []route {
	scope := strings.TrimSuffix(r.id(""), r.owner)
	routes := []route{make(r.all, scope, "", r.place)}
	if r.anywhere != "" {
		routes = append(routes, make(r.anywhere, "", "ForAllNamespaces", nil))
	}
	return routes
}

func (r resource) lists() []route {
	does := "list"
	if slices.Contains(r.verbs, "watch") {
		does = "list or watch"
	}
	return r.places(func(path, scope, suffix string, place []common.Parameter) route {
		return r.made("list", route{
			method: "GET", path: path, operation: "list" + scope + r.owner + suffix, description: does + " objects of kind " + r.owner,
			produces: streamTypes, answers: ok(r.list), parameters: parameters(place, metav1.ListOptions{}),
		})
	})
}

// watches are the routes below watch/, by which old clients ask.
func (r resource) watches() []route {
	const instead = ". deprecated: use the 'watch' parameter with a list operation instead"
	event := ok(metav1.WatchEvent{})
	routes := r.places(func(path, scope, suffix string, place []common.Parameter) route {
		return r.made("watchlist", route{
			method: "GET", path: "watch/" + path, operation: "watch" + scope + r.owner + "List" + suffix, produces: streamTypes, answers: event,
			description: "watch individual changes to a list of " + r.owner + instead + ".", parameters: parameters(place, metav1.ListOptions{}),
		})
	})
	return append(routes, r.made("watch", route{
		method: "GET", path: "watch/" + r.one, operation: r.id("watch"), produces: streamTypes, answers: event,
		description: "watch changes to an object of kind " + r.owner + instead + ", filtered to a single item with the 'fieldSelector' parameter.",
		parameters:  parameters(r.named, metav1.ListOptions{}),
	}))
}

// connections are the routes that are handed to a node, or to what it runs. Only a proxy takes more than GET and POST, and paths below its own.
func (r resource) connections() (routes []route) {
	methods := []string{"GET", "POST"}
	if r.under {
		methods = append(methods, "DELETE", "HEAD", "OPTIONS", "PATCH", "PUT")
	}
	for _, method := range methods {
		made := r.made("connect", route{
			method: method, path: r.one, operation: r.id("connect" + title(strings.ToLower(method))), consumes: anyType, produces: anyType,
			description: "connect " + method + " requests to " + r.part + " of " + r.owner, answers: ok(""),
			parameters: slices.DeleteFunc(parameters(r.named, r.options), func(p common.Parameter) bool { return p.Name() == "pretty" }),
		})
		routes = append(routes, made)
		if r.under {
			made.path, made.operation = made.path+"/{path:*}", made.operation+"WithPath"
			made.parameters = append(slices.Clip(made.parameters), inPath("path", "path to the resource"))
			made.metadata = maps.Clone(made.metadata)
			routes = append(routes, made)
		}
	}
	return routes
}
