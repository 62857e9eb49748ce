package wire

import (
	"net/http"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// serveRoot lists the paths that are served, whatever the method, as upstream.
func (h *Handler) serveRoot(c *call) {
	data, _ := mustJSON(metav1.RootPaths{Paths: h.rootPaths(c)})
	data, err := indent(data)
	if err != nil {
		c.fail(err)
		return
	}
	send(c.w, mediaJSON, http.StatusOK, data)
}

// rootPaths are the paths that are served, in order.
func (h *Handler) rootPaths(c *call) []string {
	paths := []string{"/api", "/apis", "/apis/", openAPI2, openAPI3, openAPI3 + "/", "/version"}
	if h.Gather != nil {
		paths = append(paths, "/metrics", slisPath)
	}
	if h.Flags != nil {
		paths = append(paths, flagsPage)
	}
	if h.Statusz {
		paths = append(paths, statusPage)
	}
	for _, d := range h.Documents {
		paths = append(paths, d.Path)
	}
	for _, page := range healthPages {
		paths = append(paths, "/"+page)
		for _, k := range h.checks(page) {
			paths = append(paths, "/"+page+"/"+k.name)
		}
	}
	for _, gv := range c.view.discovery.versions {
		if gv.Group == "" {
			paths = append(paths, "/api/"+gv.Version)
			continue
		}
		paths = append(paths, "/apis/"+gv.Group, "/apis/"+gv.String())
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}
