package wire_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestAccept holds the choice of an answer's media type against upstream's, which was asked the same.
func TestAccept(t *testing.T) {
	const (
		one        = configMaps + "/c"
		follow     = configMaps + "?watch=1&timeoutSeconds=1&resourceVersion=0"
		available  = `"message": "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf"`
		streams    = `application/vnd.kubernetes.protobuf, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"`
		onlyThese  = `"message": "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"`
		json, yaml = "application/json", "application/yaml"
		compact    = `{"kind":"ConfigMap","apiVersion":"v1"`
		indented   = "{\n  \"kind\": \"ConfigMap\","
		asYAML     = "apiVersion: v1\n"
	)
	s := serve(t)
	s.send(t, "POST "+configMaps+"\n\n"+configMap("c", 1)).Body.Close()
	for _, c := range []struct {
		path, accept string
		code         int
		media, want  string
	}{
		{one, "", 200, json, compact},
		{one + "?pretty=1", "", 200, json, indented},
		{one + "?pretty=xyz", "", 200, json, compact},
		{one + "?%70retty=true", "", 200, json, indented},
		{one + "?pretty=true", yaml, 200, yaml, asYAML},
		{one, "application/json;pretty=1", 200, json, indented},
		{one, "application/yaml;pretty=1", 200, yaml, asYAML},
		{one, "application/json;stream=watch", 200, json, compact},
		{one, "application/json;stream=nope", 406, json, onlyThese},
		{one, "application/json;sv=v1", 200, json, compact},
		{one, "application/json;sv=v2", 406, json, onlyThese},
		{one, "application/json;charset=utf-8", 200, json, compact},
		{one, "application/json;as=Table;g=meta.k8s.io", 406, json, onlyThese},
		{one, "application/json;g=meta.k8s.io;v=v1", 406, json, onlyThese},
		{one, "application/json;q=0", 200, json, compact},
		{one, "application/json;q=0,application/yaml", 200, yaml, asYAML},
		{one, "application/json;q=0.1,application/yaml;q=0.9", 200, yaml, asYAML},
		{one, "application/json;q=abc,application/yaml;q=0.9", 200, yaml, asYAML},
		{one, "*/*;q=0.5,application/yaml;q=0.4", 200, yaml, asYAML},
		{one, "text/html,*/*;q=0.9", 200, json, compact},
		{one, "text/html,application/*;q=0.9", 406, json, `"message":"406: Not Acceptable\n\nAvailable`},
		{one, "text/*", 406, json, available},
		{one, "APPLICATION/JSON", 406, json, available},
		{one, ",,", 406, json, available},
		{one, "/", 406, json, available},
		{one, strings.Repeat("a/b,", 100_000) + json, 406, json, onlyThese}, // upstream reads it all
		{follow, yaml, 406, yaml, "only the following media types are accepted: application/json;stream=watch,\n  application/vnd.kubernetes.protobuf;stream=watch"},
		{follow, "text/plain", 406, json, streams},
		{follow, "application/json;stream=nope", 406, json, onlyThese},
		{follow, "application/cbor-seq", 406, json, streams},
		{one, "application/cbor", 406, json, available},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.accept != "" {
			req.Header.Set("Accept", c.accept)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != c.code || got != c.media || !strings.Contains(string(body), c.want) {
			t.Errorf("%s, Accept %.60q: %d %s %.300s\nwant %d %s with %q", c.path, c.accept, resp.StatusCode, got, body, c.code, c.media, c.want)
		}
	}
}

// TestAuditID asks with a name for the call, and without.
func TestAuditID(t *testing.T) {
	s := serve(t)
	seen := map[string]bool{}
	for _, request := range []string{"GET /version", "GET /version", "GET /api/v1/nothing", "GET /version\nX-User: system:anonymous", "GET /version?timeout=x"} {
		resp := s.send(t, request)
		resp.Body.Close()
		id := resp.Header.Get("Audit-Id")
		if len(id) != 36 || seen[id] {
			t.Errorf("%s: Audit-Id %q", request, id)
		}
		seen[id] = true
	}
	resp := s.send(t, "GET /version\nAudit-ID: mine")
	resp.Body.Close()
	if got := resp.Header.Values("Audit-Id"); len(got) != 1 || got[0] != "mine" {
		t.Errorf("Audit-Id %q, want the client's own", got)
	}
}

// TestIndentedAnswers end as upstream's do: without a line's end, which others have.
func TestIndentedAnswers(t *testing.T) {
	d := open(t, nil)
	client := d.client(t, "HTTP/1.1")
	for path, want := range map[string]string{configMaps + "?pretty=true": "\n}", configMaps + "/none?pretty=true": "\n}", "/version": "\n}", "/": "\n}", configMaps: "}\n"} {
		if _, body, _ := d.told(t, client, path); !strings.HasSuffix(body, want) {
			t.Errorf("%s ends with %q, want %q", path, body[max(0, len(body)-5):], want)
		}
	}
}
