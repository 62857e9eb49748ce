// Package exchange reads the requests of a script of the API's answers, and says what of an answer must be the same on every server.
//
// The scripts are those of internal/api/wire/testdata/scripts. `make compare` sends their requests to upstream's kube-apiserver and records what it
// said; a test sends them to floe and holds the two against each other.
package exchange

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
)

// Request is one request of a script.
type Request struct {
	Method, Path string
	Header       map[string]string
	Body         string
}

// String names the request in a list of answers.
func (r Request) String() string { return strings.TrimSpace(r.Method + " " + r.Path + " " + r.Body) }

// Answer is what must be the same: the status, the media type, and of a Status its reason and message.
type Answer struct {
	Request string `json:"request"`
	Status  int    `json:"status"`
	Media   string `json:"media"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

var block = regexp.MustCompile(`(?ms)^request\n(.*?)^----$`)

// Read returns the requests of a script, in order.
func Read(file string) ([]Request, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []Request
	for _, m := range block.FindAllStringSubmatch(string(data), -1) {
		out = append(out, Parse(m[1]))
	}
	return out, nil
}

// Parse reads one request: a line of method and path, header lines, an empty line, the body. A body without a type is JSON.
func Parse(text string) Request {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	r := Request{Header: map[string]string{}, Body: strings.TrimSuffix(body, "\n")}
	r.Method, r.Path, _ = strings.Cut(lines[0], " ")
	if r.Body != "" {
		r.Header["Content-Type"] = "application/json"
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		r.Header[name] = strings.TrimSpace(value)
	}
	return r
}

// unstable is what differs between two runs on the same server.
var unstable = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// Of reads an answer. It closes the response's body.
func Of(r Request, resp *http.Response) (Answer, error) {
	defer resp.Body.Close()
	a := Answer{Request: r.String(), Status: resp.StatusCode, Media: resp.Header.Get("Content-Type")}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, fmt.Errorf("%s: %w", r, err)
	}
	var status struct{ Kind, Reason, Message string }
	if json.Unmarshal(data, &status) == nil && status.Kind == "Status" {
		a.Reason, a.Message = status.Reason, unstable.ReplaceAllString(status.Message, "UID")
	}
	return a, nil
}
