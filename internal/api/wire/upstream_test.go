package wire_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/test/peers/exchange"
)

// otherwise names the requests that floe answers otherwise than upstream, each with its reason. One that is not needed fails.
var otherwise = map[string]string{}

// TestAnswersAreUpstreams sends what upstream's server was asked, and holds status, media type, reason and message against its answers.
func TestAnswersAreUpstreams(t *testing.T) {
	used := map[string]bool{}
	for _, name := range []string{"objects", "pods", "refusals"} {
		data, err := os.ReadFile(filepath.Join("../../../test/peers/recorded/answers", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var want []exchange.Answer
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		requests, err := exchange.Read("testdata/scripts/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if len(requests) != len(want) {
			t.Fatalf("%s: %d requests, %d recorded answers: run `make compare`", name, len(requests), len(want))
		}
		s := serve(t)
		for i, r := range requests {
			req, err := http.NewRequestWithContext(t.Context(), r.Method, s.URL+r.Path, strings.NewReader(r.Body))
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range r.Header {
				req.Header.Set(name, value)
			}
			resp, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := exchange.Of(r, resp)
			if err != nil {
				t.Fatal(err)
			}
			_, excused := otherwise[r.String()]
			used[r.String()] = excused && got != want[i]
			if got != want[i] && !excused {
				t.Errorf("%s: floe answers\n%+v\nupstream\n%+v", name, got, want[i])
			}
		}
	}
	for request, reason := range otherwise {
		if !used[request] {
			t.Errorf("the exception for %q (%s) is not needed: remove it", request, reason)
		}
	}
}
