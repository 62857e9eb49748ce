package transcript

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/test/peers/exchange"
)

// BrokenOff stands for the answer where upstream's server has panicked: it ends the stream without one. Anything is better.
const BrokenOff = "broken off\n"

// Answer reads a response and returns its text in a transcript, and what later requests may need of it. It closes the response's body.
func Answer(r exchange.Request, resp *http.Response) (text string, seen Seen, err error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", Seen{}, fmt.Errorf("%s: %w", r, err)
	}
	var out strings.Builder
	media := resp.Header.Get("Content-Type")
	fmt.Fprintf(&out, "%d %s\n", resp.StatusCode, media)
	for _, w := range resp.Header.Values("Warning") {
		fmt.Fprintf(&out, "warning: %s\n", w)
	}
	if retry := resp.Header.Get("Retry-After"); retry != "" {
		fmt.Fprintf(&out, "retry after: %s\n", retry)
	}
	body, structured, err := inJSON(media, body)
	if err != nil {
		return "", Seen{}, fmt.Errorf("%s: %w", r, err)
	}
	if !structured {
		out.Write(body)
		return ended(out.String()), Seen{}, nil
	}
	documents, err := decode(body)
	if err != nil {
		return "", Seen{}, fmt.Errorf("%s: %w", r, err)
	}
	c := cleaner{managed: r.Header[Show] == "managedFields", generated: map[string]string{}, sent: r.Body, prefix: prefixIn(r.Body)}
	for _, d := range documents {
		c.see(d)
		readable, err := yaml.Marshal(c.clean("", d))
		if err != nil {
			return "", Seen{}, fmt.Errorf("%s: %w", r, err)
		}
		text := string(readable)
		if strings.Contains(media, "stream=watch") || strings.Contains(r.Path, "watch=") && resp.StatusCode == http.StatusOK {
			text = "- " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
		}
		out.WriteString(text)
	}
	return ended(out.String()), c.seen, nil
}

// inJSON is a body in JSON, if its media type is one of an API's objects.
func inJSON(media string, body []byte) (_ []byte, structured bool, err error) {
	switch {
	case strings.HasPrefix(media, "application/json"):
		return body, true, nil
	case strings.HasPrefix(media, "application/yaml"):
		body, err = yaml.YAMLToJSON(body)
		return body, true, err
	case media == runtime.ContentTypeProtobuf && len(body) > 0: // there is none where a HEAD was asked
		body, err = unpacked(body)
		return body, true, err
	}
	return body, false, nil
}

func ended(text string) string { return strings.TrimRight(text, "\n") + "\n" }

// decode returns the documents of a body: one, or the events of a watch. Numbers keep their digits.
func decode(body []byte) ([]any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var out []any
	for {
		var v any
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		}
		out = append(out, v)
	}
}

// cleaner replaces what differs between two runs.
type cleaner struct {
	managed   bool              // managed fields are shown
	seen      Seen              // what the answer has that later requests may need
	generated map[string]string // names the server made up, and what stands for them
	sent      string            // the request's body: what stands in it is no choice of the server's
	prefix    *regexp.Regexp    // a name that the server made up for the request's object; nil: it has its own
}

var (
	// tokenVolume is the name of the volume that admission gives pods.
	tokenVolume = regexp.MustCompile(`\b(kube-api-access-)[bcdfghjklmnpqrstvwxz2456789]{5}\b`)
	unique      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	moment      = regexp.MustCompile(`\b20(2[5-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	revision    = regexp.MustCompile(`(too old resource version: \d+ \(|[Tt]oo large resource version: \d+, current: |the ResourceVersion in record \(|ResourceVersion in object meta: |"resourceVersion\\*":\\*")\d+`)
	credential  = regexp.MustCompile(`eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+|X509SHA256=[0-9a-f]{64}`)
	service     = regexp.MustCompile(`\b10\.96\.\d+\.\d+\b`)
	age         = regexp.MustCompile(`^(\d+[smhdy])+$`)
)

// clean returns a value as it stands in a transcript; key is the one that holds it.
func (c *cleaner) clean(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		return c.object(v)
	case []any:
		for i := range v {
			v[i] = c.clean(key, v[i])
		}
		return v
	case string:
		return c.text(key, v)
	case json.Number:
		if key == "nodePort" || key == "healthCheckNodePort" {
			return c.port(v)
		}
	}
	return v
}

// see notes what an object or a list has that later requests may need, before it is cleaned.
func (c *cleaner) see(document any) {
	object, _ := document.(map[string]any)
	metadata, _ := object["metadata"].(map[string]any)
	version, _ := metadata["resourceVersion"].(string)
	kind, _ := object["kind"].(string)
	c.seen.Token, _ = metadata["continue"].(string) // a Status, too, may say how a list goes on
	if strings.HasSuffix(kind, "List") || kind == "Table" {
		c.seen.List = version
		return
	}
	c.seen.Version = version
	c.seen.UID, _ = metadata["uid"].(string)
}

// port is a node port, or PORT when the server chose it.
func (c *cleaner) port(n json.Number) any {
	if n == "0" || strings.Contains(c.sent, n.String()) {
		return n
	}
	return "PORT"
}

func (c *cleaner) object(v map[string]any) any {
	c.generate(v)
	for key, value := range v {
		if key != "managedFields" {
			v[key] = c.clean(key, value)
			continue
		}
		delete(v, key)
		if entries, ok := value.([]any); ok && c.managed {
			v[key] = managers(entries)
		}
	}
	return v
}

func (c *cleaner) text(key, s string) string {
	switch {
	case key == "resourceVersion" && s != "" && s != "0":
		return "RV"
	case key == "continue" && s != "":
		return "TOKEN"
	case key == "serverAddress":
		return "ADDRESS"
	case key == "goVersion":
		return "GO"
	case key == "cells" && age.MatchString(s):
		return "AGE"
	}
	if name, found := c.generated[s]; found {
		return name
	}
	s = moment.ReplaceAllString(s, "TIME")
	if c.prefix != nil {
		s = c.prefix.ReplaceAllString(s, "${1}SUFFIX")
	}
	if !strings.Contains(c.sent, "kube-api-access-") {
		s = tokenVolume.ReplaceAllString(s, "${1}SUFFIX")
	}
	s = credential.ReplaceAllString(s, "CREDENTIAL")
	s = service.ReplaceAllStringFunc(s, func(address string) string {
		if strings.Contains(c.sent, address) {
			return address
		}
		return "CLUSTERIP"
	})
	return revision.ReplaceAllString(unique.ReplaceAllString(s, "UID"), "${1}RV")
}

// prefixIn finds the names that a server makes up for an object without one.
func prefixIn(body string) *regexp.Regexp {
	var object struct {
		Metadata struct{ Name, GenerateName string }
	}
	if json.Unmarshal([]byte(body), &object) != nil || object.Metadata.Name != "" || object.Metadata.GenerateName == "" {
		return nil
	}
	return regexp.MustCompile(`(` + regexp.QuoteMeta(object.Metadata.GenerateName) + `)[bcdfghjklmnpqrstvwxz2456789]{5}\b`)
}

// generate notes the name that the server made up, if this is the metadata of an object that has one.
func (c *cleaner) generate(metadata map[string]any) {
	prefix, _ := metadata["generateName"].(string)
	if name, _ := metadata["name"].(string); prefix != "" && strings.HasPrefix(name, prefix) {
		c.generated[name] = prefix + "SUFFIX"
	}
}

// managers is one line for each entry of managed fields: manager, operation, version, subresource and the fields.
func managers(entries []any) []any {
	out := make([]any, 0, len(entries))
	for _, e := range entries {
		entry, _ := e.(map[string]any)
		words := make([]string, 0, 5)
		for _, key := range [...]string{"manager", "operation", "apiVersion", "subresource"} {
			if word, ok := entry[key].(string); ok {
				words = append(words, word)
			}
		}
		fields, err := json.Marshal(entry["fieldsV1"])
		if err != nil {
			fields = []byte(err.Error())
		}
		out = append(out, strings.Join(append(words, string(fields)), " "))
	}
	return out
}
