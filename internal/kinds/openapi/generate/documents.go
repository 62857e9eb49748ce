package generate

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/floe-k8s/floe/internal/kinds"
)

// source is what all documents are made from.
type source struct {
	kinds       []*kinds.Kind
	definitions common.GetOpenAPIDefinitions
	scheme      *runtime.Scheme
	names       func(string) (string, spec.Extensions)
}

// services are all routes, a service for each document of version 3.
func (s source) services() ([]*service, error) {
	list := []*service{
		{root: "/version"}, {root: "/api"}, {root: "/apis"},
	}
	list[0].add(discovers("getCodeVersion", "get the version information for this server", version.Info{}, "application/json"))
	list[1].add(discovers("getAPIVersions", "get available API versions", metav1.APIVersions{}, mediaTypes...))
	list[2].add(discovers("getAPIVersions", "get available API versions", metav1.APIGroupList{}, mediaTypes...))
	below := func(root string) *service {
		i := slices.IndexFunc(list, func(s *service) bool { return s.root == root })
		if i < 0 {
			list, i = append(list, &service{root: root}), len(list)
		}
		return list[i]
	}
	for _, k := range s.kinds {
		if group := below(groupPath(k.GVK.Group)); len(group.routes) == 0 {
			group.add(discovers("getAPIGroup", "get information of a group", metav1.APIGroup{}, mediaTypes...))
		}
		gv := below(rootOf(k.GVK.GroupVersion()))
		if len(gv.routes) == 0 {
			gv.add(discovers("getAPIResources", "get available resources", metav1.APIResourceList{}, mediaTypes...))
		}
		resources, err := resourcesOf(k, s.scheme)
		if err != nil {
			return nil, fmt.Errorf("routes of %s: %w", k.GVK, err)
		}
		for _, r := range resources {
			gv.add(r.routes()...)
		}
	}
	return list, nil
}

// discovers is a route that says what is there.
func discovers(operation, description string, model any, media ...string) route {
	return route{method: "GET", operation: operation, description: description, consumes: media, produces: media, answers: ok(model)}
}

func groupPath(group string) string {
	if group == "" {
		return "/api"
	}
	return "/apis/" + group
}

func rootOf(gv schema.GroupVersion) string { return groupPath(gv.Group) + "/" + gv.Version }

const (
	unauthorized = "Unauthorized"
	tokenText    = "Bearer Token authentication"
	token        = "BearerToken"
)

func info() *spec.Info {
	return &spec.Info{InfoProps: spec.InfoProps{Title: "Kubernetes", Version: "1.36"}}
}

// version3 is the document of one service.
func (s source) version3(of *service) (*spec3.OpenAPI, error) {
	doc, err := builder3.BuildOpenAPISpecFromRoutes([]common.RouteContainer{of}, &common.OpenAPIV3Config{
		Info: info(), GetDefinitions: s.definitions, GetDefinitionName: s.names, GetOperationIDAndTagsFromRoute: operationID,
		CommonResponses: map[int]*spec3.Response{http.StatusUnauthorized: {ResponseProps: spec3.ResponseProps{Description: unauthorized}}},
		SecuritySchemes: spec3.SecuritySchemes{token: {SecuritySchemeProps: spec3.SecuritySchemeProps{
			Type: "apiKey", Name: "authorization", In: "header", Description: tokenText,
		}}},
	})
	if err != nil {
		return nil, err
	}
	for _, definition := range doc.Components.Schemas {
		own(definition, of.root)
	}
	return doc, nil
}

// own leaves of the kinds that every group has, in the document of one group and version, those that it is about.
func own(definition *spec.Schema, root string) {
	list, _ := definition.Extensions[gvkExtension].([]any)
	if len(list) < 2 {
		return
	}
	if kind := list[0].(map[string]any)["kind"]; kind != "DeleteOptions" && kind != "WatchEvent" {
		return
	}
	definition.Extensions[gvkExtension] = slices.DeleteFunc(slices.Clone(list), func(v any) bool {
		gv := schema.GroupVersion{Group: v.(map[string]any)["group"].(string), Version: v.(map[string]any)["version"].(string)}
		return gv != metav1.Unversioned && rootOf(gv) != root
	})
}

// version2 is the document of all services.
func (s source) version2(list []*service) (*spec.Swagger, error) {
	var containers []common.RouteContainer
	for _, one := range list {
		containers = append(containers, one)
	}
	doc, err := builder.BuildOpenAPISpecFromRoutes(containers, &common.Config{
		ProtocolList: []string{"https"},
		Info:         info(), GetDefinitions: s.definitions, GetDefinitionName: s.names, GetOperationIDAndTagsFromRoute: operationID,
		CommonResponses: map[int]spec.Response{http.StatusUnauthorized: {ResponseProps: spec.ResponseProps{Description: unauthorized}}},
		DefaultSecurity: []map[string][]string{{token: {}}},
		SecurityDefinitions: &spec.SecurityDefinitions{token: {SecuritySchemeProps: spec.SecuritySchemeProps{
			Type: "apiKey", Name: "authorization", In: "header", Description: tokenText,
		}}},
	})
	if err != nil {
		return nil, err
	}
	doc.Definitions = handler.PruneDefaults(doc.Definitions)
	return doc, nil
}

// documents are all documents in JSON, by name: "v2", and "v3/" with the path of each service.
func (s source) documents() (map[string][]byte, error) {
	services, err := s.services()
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	whole, err := s.version2(services)
	if err == nil {
		out["v2"], err = json.Marshal(whole)
	}
	if err != nil {
		return nil, fmt.Errorf("the document of version 2: %w", err)
	}
	for _, one := range services {
		name := "v3" + one.root
		doc, err := s.version3(one)
		if err == nil {
			out[name], err = json.Marshal(doc)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.TrimPrefix(name, "v3"), err)
		}
	}
	return out, nil
}
