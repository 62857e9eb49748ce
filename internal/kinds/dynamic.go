package kinds

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
)

// Dynamic is what is particular to a kind whose objects have no Go type, such as one that a CustomResourceDefinition defines. They are
// *unstructured.Unstructured, say their own type, and are stored as JSON.
//
// A resource with several versions is one Kind for each, of the same Storage. Unlike a view's, the functions of each are called with objects in its own
// version: what a version's schema says is asked of what its clients write. One of them, the hub, is that in which objects are stored; the table
// holds its objects, and the others are made from them.
//
// The functions are safe for concurrent use. Other than those of a Kind they may do I/O: a conversion may be somebody else's to make.
type Dynamic struct {
	ListKind string // of lists: "CronTabList"
	// Load reads a stored document in any version and returns it as the hub's. It is set for the hub alone.
	Load func(doc []byte) (Object, error)
	// Show returns an object of the hub, which it does not change, in the kind's version. nil: the kind is the hub.
	Show func(hub Object) (Object, error)
	// Save returns what is stored of an object of the kind's version, which it does not change.
	Save func(obj Object) ([]byte, error)
	// Convert returns an object of the kind's version, which it does not change, in another; version is one of Versions.
	Convert func(obj Object, version string) (Object, error)
	// Versions are all that objects can be converted to, with the path of the wanted replicas in each: nil where it has none.
	Versions map[string][]string
	// Coerce takes from obj, in place, what the schema does not know, as a Go type would when it is read, and returns the paths of it when tell is set.
	// An error says what cannot be metadata.
	Coerce func(obj Object, tell bool) (unknown []string, err error)
	// Types are the types of all versions, for who owns which field.
	Types func() (managedfields.TypeConverter, error)
	// Model returns what the kind says of itself in a document of OpenAPI.
	Model func() Model
	// Identity changes whenever Model may return something else.
	Identity string
	// Warning is told to everyone who uses the kind; "" is nothing.
	Warning string
	// Place numbers the kind among the versions; 0 is the hub. Encodings are cached by it.
	Place int
}

// Model is a kind in OpenAPI: JSON of the schemas of its objects, in version 3 and version 2 of OpenAPI.
type Model struct {
	Name     string // in documents: "com.example.v1.CronTab"
	V3, V2   []byte
	ListDocs string // what the list's items are
}

// Unstructured is a new object of a dynamic kind.
func Unstructured(gvk schema.GroupVersionKind) Object {
	obj := &unstructured.Unstructured{}
	obj.SetGroupVersionKind(gvk)
	return obj
}

// ListGVK is the type of a kind's lists.
func (k *Kind) ListGVK() schema.GroupVersionKind {
	gvk := k.GVK
	gvk.Kind += "List"
	if k.Dynamic != nil {
		gvk.Kind = k.Dynamic.ListKind
	}
	return gvk
}
