package wire

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// asAggregated is what a client wishes that wants everything at once.
const asAggregated = "APIGroupDiscoveryList"

// serveDiscovery answers /api, /apis and what stands directly below them, and refuses what is not there.
//
// Upstream has two kinds of paths here. Lists of versions and of resources stand behind a router, which looks at the method and at the media type before
// all else. The list of groups and each single group answer every method.
func (h *Handler) serveDiscovery(c *call) {
	path := c.r.URL.Path
	parts := strings.Split(strings.Trim(path, "/"), "/")
	empty := slices.Contains(parts, "") || strings.HasPrefix(path, "//") || len(parts) < 3 && strings.HasSuffix(path, "//")
	obj := c.view.discovery.legacy(parts, cmp.Or(h.ExternalAddress, c.r.Host))
	routed := parts[0] == "api" || len(parts) == 3
	switch {
	case empty, obj == nil && !c.view.discovery.answers(parts), obj == nil && c.view.defined(parts):
		c.notFound()
	case obj == nil:
		c.noResource()
	case routed && c.r.Method != http.MethodGet:
		c.methodNotAllowed()
	case routed && !c.speaks.understand(c.r):
		c.fail(notProduced(c.speaks))
	case path == "/apis":
		c.discovered(obj, c.view.discovery.named)
	case len(parts) == 1 && routed:
		c.discovered(obj, c.view.discovery.core)
	default:
		c.discovered(obj, nil)
	}
}

// discovered answers with obj or, when the client wishes that first and it is there, with everything at once.
func (c *call) discovered(obj runtime.Object, all func() aggregated) {
	for _, a := range acceptable(c.r) {
		media, ok := a.spokenIn(c.speaks)
		f := format{media: media, pretty: media == mediaJSON && wantsPretty(c.r)}
		switch {
		case !ok:
		case a.params["as"] == "":
			c.encoded(f, media, obj)
			return
		case all != nil && a.params["as"] == asAggregated && a.params["g"] == "apidiscovery.k8s.io" && a.params["v"] == "v2":
			everything := all()
			c.w.Header().Set("Vary", "Accept")
			c.w.Header().Set("ETag", `"`+everything.tag+`"`)
			if c.r.Header.Get("If-None-Match") == `"`+everything.tag+`"` {
				c.w.WriteHeader(http.StatusNotModified)
				return
			}
			c.encoded(f, media+";g=apidiscovery.k8s.io;v=v2;as="+asAggregated, everything.list)
			return
		}
	}
	c.fail(onlyAccepted(c.speaks))
}

// encoded sends an object that knows its own type.
func (c *call) encoded(f format, contentType string, obj runtime.Object) {
	data, err := encode(f, obj, schema.GroupVersionKind{})
	if err != nil {
		c.fail(encodingFailed(err))
		return
	}
	send(c.w, contentType, http.StatusOK, data)
}

// defined says whether a path is below a group of which all that is served is defined by objects: upstream has no router there that would answer.
func (v *view) defined(parts []string) bool {
	if parts[0] != "apis" || len(parts) < 2 {
		return false
	}
	found := false
	for _, k := range v.catalog.All() {
		if k.GVK.Group == parts[1] {
			if found = k.Dynamic != nil; !found {
				return false
			}
		}
	}
	return found
}
