package api

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/kinds"
)

// Extend serves added besides the kinds that are always served, and no longer what an earlier call added and this one does not. Kinds are told apart by
// their pointers: one that is handed in again stays as it is, with its watches; watches of one that another has replaced, or that is gone, end after what has
// happened until then. Objects that are stored already are served at once. It keeps added. It returns an error, and changes nothing, when objects of two
// kinds would be stored in one place.
func (s *Server) Extend(added []*kinds.Kind) error {
	s.extending.Lock()
	defer s.extending.Unlock()
	here := make(map[*kinds.Kind]bool, len(s.added))
	for _, k := range s.added {
		here[k] = true
	}
	var fresh []*kinds.Kind
	stays := map[string]bool{} // prefixes
	for _, k := range added {
		if !here[k] {
			fresh = append(fresh, k)
		}
		delete(here, k)
		stays[k.Prefix()] = true
	}
	var replaced, gone []string
	for k := range here { // what is left of them
		switch {
		case !k.Keeps():
		case stays[k.Prefix()]:
			replaced = append(replaced, k.Prefix())
		default:
			gone = append(gone, k.Prefix())
		}
	}
	if err := s.Store.Adopt(replaced, Collections(fresh)); err != nil {
		return fmt.Errorf("serve more kinds: %w", err)
	}
	s.added = slices.Clone(added)
	s.catalogs.Extend(added)
	if len(gone) == 0 {
		return nil
	}
	return s.Store.Adopt(gone, nil)
}

// Owned says whether a resource is one that is always served, in any version.
func (s *Server) Owned(res schema.GroupResource) bool {
	return slices.ContainsFunc(s.catalogs.Own(), func(k *kinds.Kind) bool { return k.GVR().GroupResource() == res })
}
