package wire

import (
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/api/aggregate"
	"github.com/floe-k8s/floe/internal/auth"
)

// outside is who else answers for a path below /apis/GROUP/VERSION, which this server itself does not answer for; nil: nobody.
func (h *Handler) outside(r *http.Request) *apiregistrationv1.APIService {
	return h.outsideAt(r.URL.Path)
}

// outsideDocument is who else has the OpenAPI document of a path such as apis/GROUP/VERSION; nil: nobody.
func (h *Handler) outsideDocument(path string) *apiregistrationv1.APIService {
	if strings.Count(path, "/") != 2 || !aggregate.Plain(path) {
		return nil
	}
	return h.outsideAt("/" + path)
}

func (h *Handler) outsideAt(path string) *apiregistrationv1.APIService {
	if h.Aggregate == nil {
		return nil
	}
	path, below := strings.CutPrefix(path, "/apis/")
	group, path, versioned := strings.Cut(path, "/")
	version, _, _ := strings.Cut(path, "/")
	gv := schema.GroupVersion{Group: group, Version: version}
	if !below || !versioned || group == "" || version == "" || h.seen().discovery.kinds[gv] != nil {
		return nil
	}
	return h.Aggregate.Find(gv)
}

// serveOutside lets somebody else answer, if the user may do there what they ask for.
func (h *Handler) serveOutside(c *call) {
	attrs := c.path.attributes()
	if c.path.resource.Resource == "" {
		attrs = auth.Attributes{Verb: strings.ToLower(c.r.Method), Path: c.r.URL.Path}
	}
	if !h.may(c, attrs) {
		return
	}
	if !aggregate.Plain(c.r.URL.Path) {
		c.notFound()
		return
	}
	through := func(w http.ResponseWriter, r *http.Request) { h.Aggregate.Serve(w, r, c.user, c.path.outside) }
	if c.path.long() {
		h.carry(c, through)
		return
	}
	through(c.w, c.r)
}

// endless says that what somebody else answers may last: upgraded connections, and the subresources that are known to.
func (t *target) endless() bool {
	return t.outside != nil && (t.upgrades || slices.Contains(connecting[:], t.subresource))
}
