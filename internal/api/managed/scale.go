package managed

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Scaled maps the owners of an object's wanted replicas to those of its Scale, and back. What it does with times is upstream's: who takes
// the replicas through a Scale has none.
type Scaled struct {
	handler *managedfields.ScaleHandler
}

// NewScaled is for an object of a version. replicas is where the wanted replicas stand in each of its versions, nil where they do not; a nil map: in
// spec.replicas of the only one.
func NewScaled(version schema.GroupVersion, replicas map[string][]string, owners []metav1.ManagedFieldsEntry) Scaled {
	if replicas == nil {
		replicas = map[string][]string{version.String(): {"spec", "replicas"}}
	}
	paths := managedfields.ResourcePathMappings{}
	for version, names := range replicas {
		var path fieldpath.Path
		for _, name := range names {
			path = append(path, fieldpath.PathElement{FieldName: &name})
		}
		paths[version] = path
	}
	return Scaled{managedfields.NewScaleHandler(owners, version, paths)}
}

// Scale are the owners that the object's Scale has.
func (s Scaled) Scale() ([]metav1.ManagedFieldsEntry, error) { return s.handler.ToSubresource() }

// Object are the owners that the object has now that its Scale has these.
func (s Scaled) Object(owners []metav1.ManagedFieldsEntry) ([]metav1.ManagedFieldsEntry, error) {
	return s.handler.ToParent(owners)
}
