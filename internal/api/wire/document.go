package wire

import (
	"net/http"
	"strconv"
	"strings"
)

// Document is a page that the rest of the API says nothing of. It is immutable.
type Document struct {
	Path      string // without a / at its end
	MediaType string
	// Read returns the page as it is now, which is not changed, and for how many seconds anybody may keep it, or unsaid. It is called concurrently.
	Read func() (data []byte, maxAge int)
}

// unsaid is a maxAge of which the answer says nothing.
const unsaid = -1

// document is the one at path, which has no / at its end, or above it; nil: there is none.
func (h *Handler) document(path string) *Document {
	for i := range h.Documents {
		if d := &h.Documents[i]; strings.HasPrefix(path, d.Path) && (len(path) == len(d.Path) || path[len(d.Path)] == '/') {
			return d
		}
	}
	return nil
}

// serve answers what was asked of path, and refuses what is below the document, as upstream's router.
func (d *Document) serve(c *call, path string) {
	spoken := languages{d.MediaType}
	switch {
	case path != d.Path:
		c.noResource()
	case c.r.Method != http.MethodGet:
		c.methodNotAllowed()
	case !spoken.understand(c.r):
		c.fail(notProduced(spoken))
	default:
		data, maxAge := d.Read()
		if maxAge != unsaid {
			c.w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(maxAge))
		}
		send(c.w, d.MediaType, http.StatusOK, data)
	}
}
