package wire

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	openapi_v3 "github.com/google/gnostic-models/openapiv3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/api/aggregate"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

// This file answers with OpenAPI documents of others: in the one document of version 2, and in version 3 for servers that know nothing of it.

// own2 is the document of version 2 of what this server itself has, in JSON.
func (v *view) own2() ([]byte, error) {
	if len(v.added) == 0 {
		_, content := v.version2(openapi.JSON)
		return io.ReadAll(content)
	}
	return openapi.Added2(v.dynamic(), v.discovery.served2())
}

// dynamic are the kinds that were added while the server runs.
func (v *view) dynamic() (list []*kinds.Kind) {
	for _, k := range v.catalog.All() {
		if k.Dynamic != nil {
			list = append(list, k)
		}
	}
	return list
}

// served2 says which paths of the document of version 2 are served; nil: all are.
func (d discovery) served2() func(path string) bool {
	for path := range openapi.Index() {
		if !d.describes(path) {
			return d.hasPath
		}
	}
	return nil
}

// foreign says whether a group and version is shown as somebody else's.
func (d discovery) foreign(gv schema.GroupVersion) bool {
	_, ok := d.added[gv]
	return ok
}

// merged2 is a document with those of others.
type merged2 struct {
	data []byte
	hash string
	err  error
}

// mergedOf makes what makes the document of a view with those of others, once; nil: there are none.
func mergedOf(v *view) func() merged2 {
	if !v.outside.Described(v.discovery.foreign) {
		return nil
	}
	own, outside, shown := v.own2, v.outside, v.discovery.foreign
	return sync.OnceValue(func() (m merged2) {
		data, err := own()
		if err != nil {
			return merged2{err: err}
		}
		m.data, m.hash, m.err = outside.Merge(data, shown)
		return m
	})
}

// serveMerged2 answers with the one document of version 2.
func (h *Handler) serveMerged2(c *call, form openapi.Form, media string) {
	m := c.view.merged()
	doc, err := m.data, m.err
	if err == nil && form == openapi.Protobuf {
		doc, err = inProtobuf(openapi_v2.ParseDocument, doc)
	}
	if err != nil {
		c.fail(apierrors.NewInternalError(fmt.Errorf("the OpenAPI document: %w", err)))
		return
	}
	c.content2(media, m.hash, time.Time{}, bytes.NewReader(doc))
}

// serveConverted answers with the document of version 3 that was made for a server that has none.
func (h *Handler) serveConverted(c *call, path string, d *aggregate.Described) {
	form, media, ok := c.openAPIForm(openAPI3)
	if !ok || !h.current(c, path, media, d.Hash) {
		return
	}
	doc, err := d.Converted, error(nil)
	if form == openapi.Protobuf {
		if doc, err = inProtobuf(openapi_v3.ParseDocument, doc); err != nil {
			c.fail(apierrors.NewInternalError(fmt.Errorf("the OpenAPI document of %s: %w", path, err)))
			return
		}
	}
	http.ServeContent(c.w, c.r, "", time.Time{}, bytes.NewReader(doc))
}
