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

	"sigs.k8s.io/yaml"

	"github.com/floe-k8s/floe/test/peers/exchange"
)

// Show is what a request may have in the header X-Show to see what is left out otherwise.
const Show = "X-Show"

// Answer reads a response and returns its text in a transcript, and the token that continues the list, if it has one. It closes the response's body.
func Answer(r exchange.Request, resp *http.Response) (text, token string, err error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", r, err)
	}
	var out strings.Builder
	media := resp.Header.Get("Content-Type")
	fmt.Fprintf(&out, "%d %s\n", resp.StatusCode, media)
	for _, w := range resp.Header.Values("Warning") {
		fmt.Fprintf(&out, "warning: %s\n", w)
	}
	switch {
	case strings.HasPrefix(media, "application/yaml"):
		if body, err = yaml.YAMLToJSON(body); err != nil {
			return "", "", fmt.Errorf("%s: %w", r, err)
		}
	case !strings.HasPrefix(media, "application/json"):
		out.Write(body)
		return ended(out.String()), "", nil
	}
	c := cleaner{managed: r.Header[Show] == "managedFields", generated: map[string]string{}}
	documents, err := decode(body)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", r, err)
	}
	for _, d := range documents {
		readable, err := yaml.Marshal(c.clean("", d))
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", r, err)
		}
		text := string(readable)
		if strings.Contains(media, "stream=watch") || strings.Contains(r.Path, "watch=") && resp.StatusCode == http.StatusOK {
			text = "- " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
		}
		out.WriteString(text)
	}
	return ended(out.String()), c.token, nil
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
	token     string            // the last that was seen
	generated map[string]string // names the server made up, and what stands for them
}

var (
	unique   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	moment   = regexp.MustCompile(`\b20(2[5-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	revision = regexp.MustCompile(`(too old resource version: \d+ \(|[Tt]oo large resource version: \d+, current: |the ResourceVersion in record \(|"resourceVersion":")\d+`)
	age      = regexp.MustCompile(`^(\d+[smhdy])+$`)
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
	}
	return v
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
		c.token = s
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
	return revision.ReplaceAllString(unique.ReplaceAllString(s, "UID"), "${1}RV")
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
