package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// Spec is what is particular to one kind.
type Spec struct {
	Resource     string   `json:"resource"`
	Namespaced   bool     `json:"namespaced,omitempty"`
	Verbs        []string `json:"verbs,omitempty"` // nil: all eight
	Subresources []string `json:"subresources,omitempty"`
	// Fields are selectable, with a value that the first object has: "spec.nodeName=a".
	Fields []string `json:"fields,omitempty"`
	// Objects are good. The first is changed in every way; each is created.
	Objects []map[string]any `json:"objects"`
	// Accounts are the service accounts that the objects name, besides default.
	Accounts []string `json:"accounts,omitempty"`
	// Needs are objects without a namespace that the objects name.
	Needs []Need `json:"needs,omitempty"`
	// Alone: what is created of the kind changes what other kinds' requests get, so that it is recorded when they are done.
	Alone bool `json:"alone,omitempty"`
	// Status is one that may be written to the first object through status.
	Status map[string]any `json:"status,omitempty"`
	// Changes are merge patches of the first object, good or bad, besides those that follow from its shape.
	Changes []map[string]any `json:"changes,omitempty"`
	// Bad are merge patches that make the first object one that may not be created.
	Bad []map[string]any `json:"bad,omitempty"`
	// Requests are sent while the objects are there, as exchange.Parse reads them. BASE in a path stands for the collection's.
	Requests []string `json:"requests,omitempty"`
	// Shallow are paths below which few fields are tried, since another kind's corpus has them all.
	Shallow []string `json:"shallow,omitempty"`
	// Fresh is a merge patch that takes from the first object what no other may have, such as an address, where another is made of it.
	Fresh map[string]any `json:"fresh,omitempty"`
	// Limit is how many mutations are tried on create; 0 is 120.
	Limit int `json:"limit,omitempty"`
	// Unsettled: a server changes what is created of the kind by itself at some later moment, so that objects are sent with dryRun only.
	Unsettled bool `json:"unsettled,omitempty"`
}

// Need is an object of another kind that has to be there.
type Need struct {
	Resource string         `json:"resource"`
	Object   map[string]any `json:"object"`
}

// Read reads the specification of one kind. Unknown fields are an error.
func Read(file string) (*Spec, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	text, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	d.DisallowUnknownFields()
	s := &Spec{Limit: 120}
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(s.Objects) == 0 || s.Resource == "" {
		return nil, fmt.Errorf("%s: no resource or no objects", file)
	}
	return s, nil
}

// Files lists the specifications below a folder, in order.
func Files(folder string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*", "*.yaml"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("no specifications in %s", folder)
	}
	return files, err
}

// version is the group and version of the objects: "v1" or "apps/v1".
func (s *Spec) version() string { return versionOf(s.Objects[0]) }

func versionOf(object map[string]any) string {
	version, _ := object["apiVersion"].(string)
	return version
}

// Name is the kind's, as files and tests have it: "pods.v1", "deployments.v1.apps".
func (s *Spec) Name() string {
	group, version, found := strings.Cut(s.version(), "/")
	if !found {
		return s.Resource + "." + group
	}
	return s.Resource + "." + version + "." + group
}

// namespace is where the kind's objects are; "" if it has none.
func (s *Spec) namespace() string {
	if !s.Namespaced {
		return ""
	}
	return "c-" + strings.ReplaceAll(s.Name(), ".", "-")
}

// root is the path of the group and version.
func (s *Spec) root() string { return rootOf(s.version()) }

func rootOf(version string) string {
	if strings.Contains(version, "/") {
		return "/apis/" + version
	}
	return "/api/" + version
}

// collection is the path of the objects.
func (s *Spec) collection() string {
	if s.Namespaced {
		return s.root() + "/namespaces/" + s.namespace() + "/" + s.Resource
	}
	return s.root() + "/" + s.Resource
}

func (s *Spec) has(verb string) bool {
	if s.Verbs == nil {
		return true
	}
	for _, v := range s.Verbs {
		if v == verb {
			return true
		}
	}
	return false
}
