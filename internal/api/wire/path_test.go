package wire_test

import (
	"net/http"
	"testing"
)

// TestWithinANamespace: what stands in no namespace, namespaces included, is not found below one.
func TestWithinANamespace(t *testing.T) {
	s := serve(t)
	for path, want := range map[string]int{
		"/api/v1/namespaces/default":                    http.StatusOK,
		"/api/v1/namespaces/default/status":             http.StatusOK,
		"/api/v1/namespaces/default/namespaces":         http.StatusNotFound,
		"/api/v1/namespaces/default/namespaces/default": http.StatusNotFound,
		"/api/v1/namespaces/default/nodes":              http.StatusNotFound,
		"/api/v1/namespaces/default/pods":               http.StatusOK,
	} {
		resp := s.send(t, "GET "+path+"\n")
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}
