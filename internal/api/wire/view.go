package wire

import (
	"io"
	"slices"

	"github.com/floe-k8s/floe/internal/api/aggregate"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

// view is what the handler makes of one catalog. It never changes; a call keeps the one that it began with.
type view struct {
	catalog   *kinds.Catalog
	outside   *aggregate.Added // nil: nobody else answers
	discovery discovery
	version2  func(openapi.Form) (hash string, content io.ReadSeeker)
	codecs    map[*kinds.Kind]*codec
	merged    func() merged2           // the document of version 2 with those of others; nil: there are none
	added     map[string][]*kinds.Kind // those that OpenAPI's built-in documents do not describe, by the path of theirs
}

// seen is the view of the newest catalog. The first call after a change makes it; those that come at the same time may make it twice.
func (h *Handler) seen() *view {
	now, was := h.API.Catalog(), h.view.Load()
	var outside *aggregate.Added
	if h.Aggregate != nil {
		outside = h.Aggregate.Added()
	}
	if was != nil && was.catalog == now {
		if was.outside == outside {
			return was
		}
		next := *was
		next.outside, next.discovery = outside, was.discovery.with(outside)
		next.merged = mergedOf(&next)
		h.view.CompareAndSwap(was, &next)
		return &next
	}
	var known map[*kinds.Kind]*codec
	if was != nil {
		known = was.codecs
	}
	next := &view{catalog: now, codecs: codecsOf(now.All(), known)}
	next.discovery = newDiscovery(slices.DeleteFunc(slices.Clone(now.All()), func(k *kinds.Kind) bool { return !h.Serves(k.GVR()) }))
	next.outside, next.discovery = outside, next.discovery.with(outside)
	next.version2 = next.discovery.version2()
	next.added = openapi.Added(now.All())
	next.merged = mergedOf(next)
	h.view.CompareAndSwap(was, next)
	return next
}
