package kinds

import (
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Catalog is what is served at one time: kinds that floe is built with, and those that users have added. It never changes; when something is added or
// taken away there is a newer one. Who works with one catalog throughout a task sees one state of the API.
type Catalog struct {
	list    []*Kind
	byName  map[schema.GroupVersionResource]*Kind
	changed chan struct{} // closed by the Catalogs when there is a newer one
}

func newCatalog(list []*Kind) *Catalog {
	c := &Catalog{list: list, byName: make(map[schema.GroupVersionResource]*Kind, len(list)), changed: make(chan struct{})}
	for _, k := range list {
		if gvr := k.GVR(); c.byName[gvr] == nil {
			c.byName[gvr] = k
		}
	}
	return c
}

// All are the kinds in the order in which discovery shows them. The slice is shared.
func (c *Catalog) All() []*Kind { return c.list }

// Find returns the kind that is served under a name; nil when there is none. Of two with one name it is the first.
func (c *Catalog) Find(res schema.GroupVersionResource) *Kind { return c.byName[res] }

// Changed is closed when there is a newer catalog.
func (c *Catalog) Changed() <-chan struct{} { return c.changed }

// Catalogs hold the catalog of now. They are safe for concurrent use; reading takes no lock.
type Catalogs struct {
	own     []*Kind // come first, and stay
	current atomic.Pointer[Catalog]
	mu      sync.Mutex // orders changes
}

// NewCatalogs begin with a catalog of the kinds that are always served.
func NewCatalogs(own []*Kind) *Catalogs {
	s := &Catalogs{own: own}
	s.current.Store(newCatalog(own))
	return s
}

// Now is the newest catalog.
func (s *Catalogs) Now() *Catalog { return s.current.Load() }

// Own are the kinds that are always served. The slice is shared.
func (s *Catalogs) Own() []*Kind { return s.own }

// Extend makes the catalog that has added besides the kinds that are always served, and nothing else. It keeps added.
func (s *Catalogs) Extend(added []*Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Kind, 0, len(s.own)+len(added))
	next := newCatalog(append(append(list, s.own...), added...))
	close(s.current.Swap(next).changed)
}
