package storage

import (
	"fmt"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// maxNodeID bounds what a driver calls a node, in bytes.
const maxNodeID = 256

// CSINode is storage.k8s.io/v1 CSINode: which drivers there are on the node of this name.
func CSINode() *kinds.Kind {
	return &kinds.Kind{
		GVK: storagev1.SchemeGroupVersion.WithKind("CSINode"), Resource: "csinodes", Singular: "csinode", RequireVersion: true,
		MetaAgain:     kinds.MetaObject,
		ReturnDeleted: true,
		New:           func() kinds.Object { return &storagev1.CSINode{} },
		NewList:       func() runtime.Object { return &storagev1.CSINodeList{} },
		Validate: func(obj kinds.Object) (errs field.ErrorList) {
			seen := sets.New[string]()
			for i, d := range obj.(*storagev1.CSINode).Spec.Drivers {
				errs = append(errs, validateDriverOfNode(d, seen, field.NewPath("spec", "drivers").Index(i))...)
			}
			return errs
		},
		ValidateUpdate: func(obj, old kinds.Object) (errs field.ErrorList) {
			for _, was := range old.(*storagev1.CSINode).Spec.Drivers {
				for _, d := range obj.(*storagev1.CSINode).Spec.Drivers {
					errs = append(errs, sameDriver(d, was)...)
				}
			}
			return errs
		},
		Columns: []kinds.Column{
			kinds.NameColumn(),
			column("Drivers", "integer", "Drivers indicates the number of CSI drivers registered on the node", func(n *storagev1.CSINode) any { return int64(len(n.Spec.Drivers)) }),
			kinds.AgeColumn(),
		},
	}
}

// sameDriver lets a driver come and go, and say anew how many volumes it can attach, but nothing else.
func sameDriver(d, was storagev1.CSINodeDriver) field.ErrorList {
	d.Allocatable, was.Allocatable = nil, nil
	if d.Name != was.Name || !changed(d, was) {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec", "drivers"), untagged.Value(d), "field is immutable")}
}

func validateDriverOfNode(d storagev1.CSINodeDriver, seen sets.Set[string], path *field.Path) field.ErrorList {
	errs := validateCSIName(d.Name, path.Child("name"))
	if d.NodeID == "" {
		errs = append(errs, field.Required(path.Child("nodeID"), ""))
	}
	if len(d.NodeID) > maxNodeID {
		errs = append(errs, field.Invalid(path.Child("nodeID"), d.NodeID, fmt.Sprintf("must be %d characters or less", maxNodeID)))
	}
	if a := d.Allocatable; a != nil && a.Count != nil {
		errs = append(errs, validation.ValidateNonnegativeField(int64(*a.Count), path.Child("allocatable", "count"))...)
	}
	if seen.Has(d.Name) {
		errs = append(errs, field.Duplicate(path.Child("name"), d.Name))
	}
	seen.Insert(d.Name)
	keys := sets.New[string]()
	for _, key := range d.TopologyKeys {
		if key == "" {
			errs = append(errs, field.Required(path, ""))
		}
		if keys.Has(key) {
			errs = append(errs, field.Duplicate(path, key))
		}
		keys.Insert(key)
		errs = append(errs, invalid(path, key, utilvalidation.IsQualifiedName(key))...)
	}
	return errs
}
