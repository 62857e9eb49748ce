package wire

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds/openapi"
)

const (
	openAPI2 = "/openapi/v2"
	openAPI3 = "/openapi/v3"
)

// openAPIProtobuf is the media type of documents in protobuf by their version. Clients also ask for it by an older name, with an @ before its last v1.
var openAPIProtobuf = map[string]string{
	openAPI2: "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
	openAPI3: "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
}

// serveOpenAPI answers /openapi/v2, the index /openapi/v3 and each document below it, for every method, as upstream. What is described at run time,
// besides the kinds that floe is built with, is to be merged where the three ask package openapi: nothing else knows the documents.
func (h *Handler) serveOpenAPI(c *call) {
	below, isDocument := strings.CutPrefix(c.r.URL.Path, openAPI3+"/")
	switch {
	case c.r.URL.Path == openAPI2:
		h.serveOpenAPI2(c)
	case c.r.URL.Path == openAPI3:
		type link struct {
			URL string `json:"serverRelativeURL"`
		}
		index := map[string]link{}
		for path, hash := range openapi.Index() {
			if c.view.discovery.describes(path) {
				index[path] = link{openAPIURL(path, hash)}
			}
		}
		for path, list := range c.view.added {
			if _, own := index[path]; !own {
				index[path] = link{openAPIURL(path, openapi.AddedHash(list))}
			}
		}
		others := c.view.outside.Documents()
		for path, at := range others {
			if _, own := index[path]; !own {
				index[path] = link{at}
			}
		}
		data, tag := mustJSON(map[string]any{"paths": index})
		c.w.Header().Set("Content-Type", "text/plain; charset=utf-8") // upstream lets net/http guess
		since := h.began
		if len(c.view.added)+len(others) > 0 { // it may change within the second that a date is exact to
			since = time.Time{}
			c.w.Header().Set("ETag", `"`+tag+`"`)
		}
		http.ServeContent(c.w, c.r, "", since, bytes.NewReader(data))
	case isDocument && h.outsideDocument(below) != nil:
		if made := c.view.outside.Converted(below); made != nil {
			h.serveConverted(c, below, made)
			return
		}
		h.Aggregate.Serve(c.w, c.r, c.user, h.outsideDocument(below))
	case isDocument:
		h.serveOpenAPI3(c, below)
	default:
		c.notFound()
	}
}

// version2 returns what finds the document of version 2 of what is served, its hash and its text for one reader. That of a part of what there is is made when it is
// first asked for, and kept.
func (d discovery) version2() func(openapi.Form) (hash string, content io.ReadSeeker) {
	whole := sync.OnceValue(func() bool { return d.served2() == nil })
	parts := map[openapi.Form]func() openapi.Part{}
	for _, form := range [...]openapi.Form{openapi.JSON, openapi.Protobuf} {
		parts[form] = sync.OnceValue(func() openapi.Part { return openapi.Version2Of(form, d.hasPath) })
	}
	return func(form openapi.Form) (string, io.ReadSeeker) {
		if whole() {
			doc := openapi.Version2(form)
			return doc.Hash, doc.Content()
		}
		part := parts[form]()
		return part.Hash, part.Content()
	}
}

// hasPath says whether a path in the document of version 2, such as /apis/apps/v1/deployments, is of a group and version that are served.
func (d discovery) hasPath(path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	size := 3
	if parts[0] == "api" {
		size = 2
	}
	return d.describes(strings.Join(parts[:min(size, len(parts))], "/"))
}

// describes says whether a document of version 3 is about what is served: groups and versions can be switched off.
func (d discovery) describes(path string) bool {
	parts := strings.Split(path, "/")
	switch {
	case parts[0] == "api" && len(parts) == 2:
		return d.kinds[schema.GroupVersion{Version: parts[1]}] != nil
	case parts[0] == "apis" && len(parts) == 3:
		return d.kinds[schema.GroupVersion{Group: parts[1], Version: parts[2]}] != nil
	case parts[0] == "apis" && len(parts) == 2:
		return d.serves(parts[1])
	}
	return true
}

func openAPIURL(path, hash string) string {
	return openAPI3 + "/" + path + "?" + url.Values{"hash": {hash}}.Encode()
}

func (h *Handler) serveOpenAPI2(c *call) {
	c.w.Header().Add("Vary", "Accept-Encoding")
	form, media, ok := c.openAPIForm(openAPI2)
	if !ok {
		return
	}
	if c.view.merged != nil {
		h.serveMerged2(c, form, media)
		return
	}
	if len(c.view.added) > 0 {
		h.serveAdded2(c, form, media)
		return
	}
	hash, content := c.view.version2(form)
	c.content2(media, hash, h.began, content)
}

// content2 answers with a document of version 2 that was made at a time; the zero time is none that clients should rely on.
func (c *call) content2(media, hash string, since time.Time, content io.ReadSeeker) {
	c.w.Header().Set("Content-Type", media)
	c.w.Header().Set("ETag", `"`+hash+`"`)
	if !acceptsGzip(c.r) {
		http.ServeContent(c.w, c.r, "", since, content)
		return
	}
	z := gzipped{ResponseWriter: c.w}
	c.r.Header.Del("Range") // of the document's bytes, not of the compressed ones
	http.ServeContent(&z, c.r, "", since, content)
	if z.zip != nil {
		_ = z.zip.Close() // the client is gone when this fails
	}
}

func (h *Handler) serveOpenAPI3(c *call, path string) {
	_, found := openapi.Index()[path]
	if list := c.view.added[path]; !found && list != nil {
		h.serveAdded3(c, path, list)
		return
	}
	if !found || !c.view.discovery.describes(path) {
		c.w.WriteHeader(http.StatusNotFound)
		return
	}
	form, media, ok := c.openAPIForm(openAPI3)
	if !ok {
		return
	}
	doc, _ := openapi.Version3(path, form)
	if h.current(c, path, media, doc.Hash) {
		http.ServeContent(c.w, c.r, "", h.began, doc.Content())
	}
}

// current heads the answer with a document of version 3, or sends a client that asks for another state of it to this one, and returns false.
func (h *Handler) current(c *call, path, media, hash string) bool {
	header := c.w.Header()
	header.Set("Content-Type", media)
	header.Set("ETag", `"`+hash+`"`)
	switch c.r.URL.Query().Get("hash") {
	case "":
	case hash:
		header.Set("Cache-Control", "public, immutable")
		header.Set("Expires", h.Clock.Now().UTC().AddDate(1, 0, 0).Format(time.RFC1123))
	default:
		http.Redirect(c.w, c.r, openAPIURL(path, hash), http.StatusMovedPermanently)
		return false
	}
	return true
}

// openAPIForm chooses how a document of the version is written, or refuses the call.
func (c *call) openAPIForm(version string) (form openapi.Form, media string, ok bool) {
	c.w.Header().Add("Vary", "Accept")
	for _, a := range acceptable(c.r) {
		switch strings.ReplaceAll(a.media, "@", ".") { // the older names of OpenAPI's types have one
		case "*/*", "application/*", "*/json", mediaJSON:
			return openapi.JSON, mediaJSON, true
		case openAPIProtobuf[version]:
			return openapi.Protobuf, openAPIProtobuf[version], true
		}
	}
	if version == openAPI2 || strings.Contains(c.r.Header.Get("Accept"), "/") {
		c.w.WriteHeader(http.StatusNotAcceptable)
	} // else no type was named, of which upstream says nothing at all
	return "", "", false
}

// gzipped compresses a whole answer; others, such as that nothing was modified, pass as they are.
type gzipped struct {
	http.ResponseWriter
	zip *gzip.Writer // nil: nothing is compressed
}

func (g *gzipped) WriteHeader(status int) {
	if status == http.StatusOK {
		g.Header().Del("Content-Length")
		g.Header().Set("Content-Encoding", "gzip")
		g.zip, _ = gzip.NewWriterLevel(g.ResponseWriter, gzipLevel) // the level is a valid one
	}
	g.ResponseWriter.WriteHeader(status)
}

func (g *gzipped) Write(p []byte) (int, error) {
	if g.zip == nil {
		return g.ResponseWriter.Write(p)
	}
	return g.zip.Write(p)
}
