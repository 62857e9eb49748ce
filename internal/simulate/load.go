package simulate

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/configfile"
	"github.com/floe-k8s/floe/internal/simulate/stage"
)

// Stages are the rules of kwok's that are played. Where there are none of a kind, profiles say how objects of that kind behave.
type Stages struct {
	Nodes, Pods []*stage.Rule
}

// add takes one in.
func (s *Stages) add(r *stage.Rule) {
	if r.Kind == "Node" {
		s.Nodes = append(s.Nodes, r)
	} else {
		s.Pods = append(s.Pods, r)
	}
}

// LoadFile reads a file with a profile, or stages, or both, as YAML documents. Errors name file, line and field. Without a profile
// there is the zero one. The profile's defaults are left to Validate.
func LoadFile(path string) (p Profile, stages Stages, err error) {
	docs, err := configfile.Documents(path)
	if err != nil {
		return p, stages, err
	}
	profile := schema.FromAPIVersionAndKind(ProfileAPIVersion, ProfileKind)
	var errs []error
	found := false
	for _, doc := range docs {
		if configfile.TypeOf(doc) == stage.Wanted()[0] {
			rule, err := stage.Read(path, doc)
			if err == nil {
				stages.add(rule)
			}
			errs = append(errs, err)
			continue
		}
		if configfile.TypeOf(doc) == profile && found {
			errs = append(errs, fmt.Errorf("%s: more than one %s", path, ProfileKind))
			continue
		}
		found = true
		errs = append(errs, configfile.Decode(path, doc, append(stage.Wanted(), profile), &p, (*Profile).Validate))
	}
	return p, stages, errors.Join(errs...)
}
