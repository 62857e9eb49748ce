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

// NewScaled is for an object of a version whose wanted replicas are spec.replicas.
func NewScaled(version schema.GroupVersion, owners []metav1.ManagedFieldsEntry) Scaled {
	paths := managedfields.ResourcePathMappings{version.String(): fieldpath.MakePathOrDie("spec", "replicas")}
	return Scaled{managedfields.NewScaleHandler(owners, version, paths)}
}

// Scale are the owners that the object's Scale has.
func (s Scaled) Scale() ([]metav1.ManagedFieldsEntry, error) { return s.handler.ToSubresource() }

// Object are the owners that the object has now that its Scale has these.
func (s Scaled) Object(owners []metav1.ManagedFieldsEntry) ([]metav1.ManagedFieldsEntry, error) {
	return s.handler.ToParent(owners)
}
