// Package history is how what an object has been is told: by the API as lines of JSON, by the command line as text.
//
// A version is what one record of the log made of an object. Between two versions stands their difference: the fields that were added,
// removed or changed, by their paths. What the server keeps of history, and for how long, is the store's matter.
package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Path is where the API answers with an object's versions, one Version a line, the newest first. Query parameter key names the object: a key of the
// store ("/registry/pods/default/web"), or RESOURCE[.GROUP]/[NAMESPACE/]NAME ("pods/default/web", "deployments.apps/default/web", "nodes/n1").
const Path = "/floe.dev/v1/history"

// Version is one version of an object.
type Version struct {
	Revision uint64    `json:"revision,string"`
	Time     time.Time `json:"time,omitzero"`
	Actor    string    `json:"actor,omitempty"` // who made it; "": not known
	Cause    string    `json:"cause,omitempty"` // why; "": a direct request
	Previous uint64    `json:"previous,string,omitempty"`
	Deleted  bool      `json:"deleted,omitempty"`
	// Object is the version as the API shows it; nil when it is deleted, or of no kind that is served.
	Object json.RawMessage `json:"object,omitempty"`
}

// Read reads versions until r ends.
func Read(r io.Reader) (list []Version, err error) {
	for d := json.NewDecoder(r); ; {
		var v Version
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, fmt.Errorf("read history: %w", err)
		}
		list = append(list, v)
	}
}

// WriteJSON writes versions as Read reads them.
func WriteJSON(w io.Writer, versions []Version) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i := range versions {
		if err := e.Encode(&versions[i]); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
	}
	return nil
}

// Write tells versions, given from the newest to the oldest, in the order in which they came, each with what it changed.
func Write(w io.Writer, versions []Version) error {
	var out strings.Builder
	var was *Version
	for i := len(versions) - 1; i >= 0; i-- {
		v := &versions[i]
		fmt.Fprintf(&out, "revision %d  %s  %s%s\n", v.Revision, when(v.Time), orUnknown(v.Actor), because(v.Cause))
		lines, err := changes(was, v)
		if err != nil {
			return err
		}
		for _, line := range lines {
			fmt.Fprintf(&out, "    %s\n", line)
		}
		was = v
	}
	_, err := io.WriteString(w, out.String())
	return err
}

func when(t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000 MST")
}

func orUnknown(actor string) string {
	if actor == "" {
		return "unknown"
	}
	return actor
}

func because(cause string) string {
	if cause == "" {
		return ""
	}
	return "  because of " + cause
}

// changes says what v is after was; nil: nothing is known from before it.
func changes(was, v *Version) ([]string, error) {
	switch {
	case v.Deleted:
		return []string{"deleted"}, nil
	case v.Previous == 0:
		return []string{"created"}, nil
	case was == nil:
		return []string{"what it was before is not kept"}, nil
	}
	var head []string
	if was.Revision != v.Previous {
		head = append(head, fmt.Sprintf("versions up to %d are not kept; since revision %d:", v.Previous, was.Revision))
	}
	lines, err := Difference(was.Object, v.Object)
	if err == nil && len(lines) == 0 {
		lines = []string{"no field changed"}
	}
	return append(head, lines...), err
}
