package transcript

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/floe-k8s/floe/test/peers/exchange"
)

// TestRecordedTranscripts reads what is recorded: it is complete, stands as Format writes it, and holds nothing that differs the next time.
func TestRecordedTranscripts(t *testing.T) {
	files, err := filepath.Glob("../recorded/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := Read(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(data), Format(blocks)); diff != "" {
			t.Errorf("%s: Format writes it otherwise (-file +Format):\n%s", file, diff)
		}
		for _, b := range blocks {
			if b.Answer == "" {
				t.Errorf("%s: %s has no answer: run `make compare`", file, exchange.Parse(b.Input))
			}
			sent := strings.ToUpper(b.Input)
			for _, found := range slices.Concat(unique.FindAllString(b.Answer, -1), moment.FindAllString(b.Answer, -1), revision.FindAllString(b.Answer, -1)) {
				if !strings.Contains(sent, strings.ToUpper(found)) {
					t.Errorf("%s: the answer to %s holds %s, which is another each time", file, exchange.Parse(b.Input), found)
				}
			}
		}
	}
}

func TestParse(t *testing.T) {
	const text = "# One.\n\nrequest\nGET /a\n----\n200 x\n\n# Two.\n\nrequest\nPOST /b\nAccept: y\n\n{}\n----\n----\n200 x\n\nz\n----\n----\n\nrequest\nGET /c\n----\n"
	want := []Block{
		{Lead: "# One.\n\n", Input: "GET /a\n", Answer: "200 x\n"},
		{Lead: "# Two.\n\n", Input: "POST /b\nAccept: y\n\n{}\n", Answer: "200 x\n\nz\n"},
		{Input: "GET /c\n"},
	}
	got, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if again := Format(got); again != text {
		t.Errorf("Format(Parse(text)) is\n%q\nwant\n%q", again, text)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"request\nGET /a\n":                          "no ---- follows",
		"request\nGET /a\n----\n----\n200 x\n\nz\n":  "the answer has no end",
		"request\nGET /a\n----\n200 x\n\n# The end.": "no request follows",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) says %v, want %q", text, err, want)
		}
	}
}

func TestAnswer(t *testing.T) {
	const uid = "81855ad8-681d-4d86-91e9-1e00167939cb"
	const fields = `"managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1","fieldsV1":{"f:data":{}}}]`
	for _, c := range []struct{ name, request, media, body, want, token string }{
		{"object", "GET /a", "application/json", `{"metadata":{"uid":"` + uid + `","resourceVersion":"12","creationTimestamp":"2026-01-02T03:04:05Z",` + fields + `},"n":10000000}`,
			"metadata:\n  creationTimestamp: TIME\n  resourceVersion: RV\n  uid: UID\n\"n\": 10000000\n", ""},
		{"managed fields", "GET /a\nX-Show: managedFields", "application/json", `{` + fields + `}`, "managedFields:\n- m Update v1 {\"f:data\":{}}\n", ""},
		{"what the request said stays", "GET /a", "application/json", `{"renewTime":"2020-01-02T03:04:05.000000Z","resourceVersion":"0"}`,
			"renewTime: \"2020-01-02T03:04:05.000000Z\"\nresourceVersion: \"0\"\n", ""},
		{"list", "GET /a", "application/json", `{"metadata":{"continue":"abc"}}`, "metadata:\n  continue: TOKEN\n", "abc"},
		{"generated", "POST /a", "application/json", `{"metadata":{"generateName":"g-","labels":{"name":"g-x1"},"name":"g-x1"}}`,
			"metadata:\n  generateName: g-\n  labels:\n    name: g-SUFFIX\n  name: g-SUFFIX\n", ""},
		{"table", "GET /a", "application/json;as=Table", `{"rows":[{"cells":["5m","x5m","3d2h"]}]}`, "rows:\n- cells:\n  - AGE\n  - x5m\n  - AGE\n", ""},
		{"message", "GET /a", "application/json", `{"message":"Too large resource version: 9, current: 7; uid ` + uid + `"}`, "message: 'Too large resource version: 9, current: RV; uid UID'\n", ""},
		{"object in a message", "PATCH /a", "application/json", `{"message":"{\"resourceVersion\":\"12\"} in record"}`, "message: '{\"resourceVersion\":\"RV\"} in record'\n", ""},
		{"watch", "GET /a?watch=1", "application/json", `{"type":"ADDED"}` + "\n" + `{"type":"DELETED"}`, "- type: ADDED\n- type: DELETED\n", ""},
		{"yaml", "GET /a", "application/yaml", "uid: " + uid + "\n", "uid: UID\n", ""},
		{"text", "GET /a", "text/plain", "ok", "ok\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {c.media}}, Body: io.NopCloser(strings.NewReader(c.body))}
			got, seen, err := Answer(exchange.Parse(c.request), resp)
			if want := "200 " + c.media + "\n" + c.want; err != nil || got != want || seen.Token != c.token {
				t.Errorf("%s is shown as\n%s(token %q, error %v), want\n%s(token %q)", c.body, got, seen.Token, err, want, c.token)
			}
		})
	}
}
