package wire_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nested is a value of so many objects in each other.
func nested(depth int, inner string) string {
	return strings.Repeat(`{"a":`, depth) + inner + strings.Repeat("}", depth)
}

func bomb() string {
	var b strings.Builder
	b.WriteString("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: h}\na: &a [" + strings.Repeat("lol,", 9) + "lol]\n")
	for c := 'b'; c <= 'i'; c++ {
		fmt.Fprintf(&b, "%c: &%c [%s*%c]\n", c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 8), c-1)
	}
	return b.String()
}

func operations(n int, op string) string {
	return "[" + strings.Repeat(op+",", n-1) + op + "]"
}

// hostile is a request that asks for too much, and upstream's answer to it.
type hostile struct {
	name, method, path, media, body string

	code    int
	message string // a part of it; "" for what upstream tells nothing of
	most    int    // MiB that serving it may allocate, all together
}

func hostiles() []hostile {
	const (
		post, patch        = http.MethodPost, http.MethodPatch
		all, one           = configMaps + "?dryRun=All", configMaps + "/c?dryRun=All"
		deployments        = "/apis/apps/v1/namespaces/default/deployments?dryRun=All"
		js, yaml           = "application/json", "application/yaml"
		jsonPatch, merge   = "application/json-patch+json", "application/merge-patch+json"
		strategic          = "application/strategic-merge-patch+json"
		head               = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"h"},"data":`
		yamlHead           = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: h}\n"
		unrecognized       = "the object provided is unrecognized (must be of type ConfigMap): "
		tooDeep            = "invalid character '{' exceeded max depth"
		invalid, badPatch  = 422, "error decoding patch: "
		depth, notTooDeep  = 20_000, 9_000
		threeMiB, oneMiB   = 3 << 20, 1 << 20
		large, listTooDeep = "Request entity too large: limit is 3145728", "invalid character '[' exceeded max depth"
	)
	copies := `[{"op":"add","path":"/x","value":{"k":"` + strings.Repeat("x", 1000) + `"}}`
	for i := range 60 {
		copies += fmt.Sprintf(`,{"op":"copy","from":"/x","path":"/x/c%d"}`, i)
	}
	copies += "]"
	return []hostile{
		{"objects in objects", post, all, js, head + nested(depth, "1") + "}", 400, unrecognized + "couldn't get version/kind; json parse error: " + tooDeep, 8},
		{"lists in lists", post, all, js, strings.Repeat("[", threeMiB), 400, listTooDeep, 24},
		{"deep, but not too deep", post, all, js, head + `{},"x":` + strings.Repeat("[", notTooDeep) + strings.Repeat("]", notTooDeep) + "}", 201, "", 16},
		{"a long number", post, deployments, js, `{"metadata":{"name":"n"},"spec":{"replicas":1` + strings.Repeat("0", oneMiB) + "}}", 400, "cannot unmarshal number 1000", 64},
		{"a large exponent", post, deployments, js, `{"metadata":{"name":"n"},"spec":{"replicas":1e999999999}}`, 400, "cannot unmarshal number 1e999999999 into Go struct field DeploymentSpec.spec.replicas of type int32", 1},
		{"a body over the limit", post, all, js, head + `{"k":"` + strings.Repeat("x", threeMiB) + `"}}`, 413, large, 4},
		{"a body of nothing", post, all, js, strings.Repeat(" ", threeMiB), 400, "unexpected end of JSON input", 24},
		{"many fields that there are not", post, all, js, `{"metadata":{"name":"h"}` + manyFields(100_000) + "}", 201, "", 128},
		{"an alias bomb", post, all, yaml, bomb(), 400, unrecognized + "yaml: document contains excessive aliasing", 32},
		{"an anchor in itself", post, all, yaml, yamlHead + "data: &x\n  a: *x\n", 400, unrecognized + "yaml: anchor 'x' value contains itself", 1},
		{"deep YAML", post, all, yaml, yamlHead + "data: " + strings.Repeat("[", depth) + strings.Repeat("]", depth), 400, unrecognized + "yaml: line 4: exceeded max depth of 10000", 32},
		{"an anchor", post, all, yaml, yamlHead + "data:\n  a: &x v\n  b: *x\n", 201, "", 1},
		{"compressed", post, all, js + "\nContent-Encoding: gzip", "\x1f\x8b\x08\x00" + strings.Repeat("\x00", 100), 400, "invalid character '\\x1f' looking for beginning of value", 1},
		{"too many operations", patch, one, jsonPatch, operations(10_001, `{"op":"test","path":"/metadata/name","value":"c"}`), 413, "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001", 64},
		{"copies of the whole", patch, one, jsonPatch, copies, invalid, "", 64},
		{"a deep JSON patch", patch, one, jsonPatch, head + nested(depth, "1") + "}", 400, badPatch + tooDeep, 8},
		{"a deep value", patch, one, jsonPatch, `[{"op":"add","path":"/x","value":` + nested(notTooDeep, `"`+strings.Repeat("x", oneMiB)+`"`) + "}]", 200, "", 64},
		{"a deep merge patch", patch, one, merge, `{"x":` + nested(depth, "1") + "}", 400, badPatch + tooDeep, 8},
		{"a deep and large merge patch", patch, one, merge, `{"x":` + nested(notTooDeep, `"`+strings.Repeat("x", oneMiB)+`"`) + "}", 200, "", 64},
		{"a deep strategic patch", patch, one, strategic, `{"x":` + nested(depth, "1") + "}", 400, tooDeep, 8},
		{"a deep and large strategic patch", patch, one, strategic, `{"x":` + nested(notTooDeep, `"`+strings.Repeat("x", oneMiB)+`"`) + "}", 200, "", 128},
		{"thousands of label selectors", http.MethodGet, configMaps + "?labelSelector=" + terms(3000, "k%d=v"), "", "", 200, "", 16},
		{"parentheses", http.MethodGet, configMaps + "?labelSelector=" + strings.Repeat("(", 30_000), "", "", 400, "found '(', expected: !, identifier, or 'end of string'", 16},
		{"thousands of field selectors", http.MethodGet, configMaps + "?fieldSelector=" + terms(3000, "metadata.name=v%d"), "", "", 200, "", 16},
	}
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"field%d":1`, i)
	}
	return b.String()
}

func terms(n int, format string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(list, ",")
}

// TestHostileRequests sends what asks for too much over real connections: each gets upstream's answer, and takes no more memory than is said.
func TestHostileRequests(t *testing.T) {
	for _, protocol := range protocols {
		d := open(t, nil)
		client := d.client(t, protocol)
		d.create(t, client, "c", 1)
		for _, c := range hostiles() {
			t.Run(protocol+" "+c.name, func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				header := ""
				if c.media != "" {
					header = "Content-Type: " + c.media
				}
				resp := d.ask(t, client, c.method, c.path, header, c.body)
				defer resp.Body.Close()
				data, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				var status metav1.Status
				if resp.StatusCode >= 400 {
					if err := json.Unmarshal(data, &status); err != nil {
						t.Fatalf("%s: %.200s: %v", resp.Status, data, err)
					}
				}
				if resp.StatusCode != c.code || !strings.Contains(status.Message, c.message) {
					t.Errorf("%s %.300s, want %d with %q", resp.Status, status.Message, c.code, c.message)
				}
				if took := int(after.TotalAlloc-before.TotalAlloc) >> 20; took > c.most {
					t.Errorf("%d MiB were allocated, want at most %d", took, c.most)
				}
			})
		}
	}
}

// TestBodiesOfStrangersAreNotRead sends nonsense without the right to: the answer is about the right.
func TestBodiesOfStrangersAreNotRead(t *testing.T) {
	s := serve(t)
	for _, request := range []string{"POST " + configMaps, "PUT " + configMaps + "/a", "PATCH " + configMaps + "/a", "DELETE " + configMaps + "/a", "DELETE " + configMaps} {
		media := "application/json"
		if strings.HasPrefix(request, "PATCH") {
			media = "application/merge-patch+json"
		}
		resp := s.send(t, request+"\nX-User: somebody\nContent-Type: "+media+"\n\n{")
		if text := show(t, resp); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", request, text)
		}
	}
}
