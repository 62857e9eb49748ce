package remote

import (
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/kinds"
)

// Selection is what a client views and watches of one resource: all of it, or what all fields that are set select. An object that begins to match
// is created for the client, and one that ceases to is deleted.
type Selection struct {
	Resource  client.Resource
	Namespace string // "": all
	Labels    string // a label selector; "": any
	Fields    string // a field selector, such as spec.nodeName=one; "": any
}

// Everything selects all of each resource.
func Everything(resources ...client.Resource) []Selection {
	out := make([]Selection, len(resources))
	for i, res := range resources {
		out[i].Resource = res
	}
	return out
}

// check refuses a selection that no server would take.
func (s Selection) check(k *kinds.Kind) error {
	switch {
	case k == nil:
		return fmt.Errorf("view of %s: there is no such kind", s.Resource)
	case s.Namespace != "" && !k.Namespaced:
		return fmt.Errorf("view of %s in namespace %s: the kind has none", s.Resource, s.Namespace)
	}
	if _, err := labels.Parse(s.Labels); err != nil {
		return fmt.Errorf("view of %s: labels %q: %w", s.Resource, s.Labels, err)
	}
	if _, err := fields.ParseSelector(s.Fields); err != nil {
		return fmt.Errorf("view of %s: fields %q: %w", s.Resource, s.Fields, err)
	}
	return nil
}

// path is what an ordinary watch of the selection would ask for.
func (s Selection) path() string {
	query := url.Values{}
	if s.Labels != "" {
		query.Set("labelSelector", s.Labels)
	}
	if s.Fields != "" {
		query.Set("fieldSelector", s.Fields)
	}
	p := collectionPath(s.Resource, s.Namespace)
	if len(query) > 0 {
		p += "?" + query.Encode()
	}
	return p
}

// collectionPath is where upstream serves a resource.
func collectionPath(res client.Resource, namespace string) string {
	var b strings.Builder
	if res.Group == "" {
		b.WriteString("/api/")
	} else {
		b.WriteString("/apis/" + url.PathEscape(res.Group) + "/")
	}
	b.WriteString(url.PathEscape(res.Version) + "/")
	if namespace != "" {
		b.WriteString("namespaces/" + url.PathEscape(namespace) + "/")
	}
	b.WriteString(url.PathEscape(res.Resource))
	return b.String()
}
