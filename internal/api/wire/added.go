package wire

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"time"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	openapi_v3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

// This file answers with OpenAPI documents of kinds that were added while the server runs. They are made for each answer whose client does not have
// them: their hashes are known without making them.

// serveAdded3 answers with the document of a group and version of which floe is built with nothing.
func (h *Handler) serveAdded3(c *call, path string, list []*kinds.Kind) {
	form, media, ok := c.openAPIForm(openAPI3)
	if !ok || !h.current(c, path, media, openapi.AddedHash(list)) {
		return
	}
	doc, err := openapi.Added3(list)
	if err == nil && form == openapi.Protobuf {
		doc, err = inProtobuf(openapi_v3.ParseDocument, doc)
	}
	if err != nil {
		c.fail(apierrors.NewInternalError(fmt.Errorf("the OpenAPI document of %s: %w", path, err)))
		return
	}
	http.ServeContent(c.w, c.r, "", time.Time{}, bytes.NewReader(doc))
}

// serveAdded2 answers with the one document of version 2.
func (h *Handler) serveAdded2(c *call, form openapi.Form, media string) {
	list := c.view.dynamic()
	hash := openapi.AddedHash(list)
	if slices.Contains(c.r.Header.Values("If-None-Match"), `"`+hash+`"`) {
		c.w.Header().Set("ETag", `"`+hash+`"`)
		c.w.WriteHeader(http.StatusNotModified)
		return
	}
	doc, err := openapi.Added2(list, c.view.discovery.served2())
	if err == nil && form == openapi.Protobuf {
		doc, err = inProtobuf(openapi_v2.ParseDocument, doc)
	}
	if err != nil {
		c.fail(apierrors.NewInternalError(fmt.Errorf("the OpenAPI document: %w", err)))
		return
	}
	c.content2(media, hash, time.Time{}, bytes.NewReader(doc))
}

// inProtobuf is a document in protobuf.
func inProtobuf[T proto.Message](parse func([]byte) (T, error), doc []byte) ([]byte, error) {
	message, err := parse(doc)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(message)
}
