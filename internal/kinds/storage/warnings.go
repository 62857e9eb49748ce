package storage

import (
	"fmt"
	"maps"
	"slices"

	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/podspec"
)

// This file is what who writes an object is told of labels of nodes that have had their time, and of tokens.

func classWarnings(obj, _ kinds.Object) (list []string) {
	for i, t := range obj.(*storagev1.StorageClass).AllowedTopologies {
		for j, e := range t.MatchLabelExpressions {
			if msg := podspec.OldNodeLabel(e.Key); msg != "" {
				list = append(list, fmt.Sprintf("%s: %s", field.NewPath("allowedTopologies").Index(i).Child("matchLabelExpressions").Index(j).Child("key"), msg))
			}
		}
	}
	return list
}

func capacityWarnings(obj, _ kinds.Object) (list []string) {
	s, path := obj.(*storagev1.CSIStorageCapacity).NodeTopology, field.NewPath("nodeTopology")
	if s == nil {
		return nil
	}
	for i, e := range s.MatchExpressions {
		if msg := podspec.OldNodeLabel(e.Key); msg != "" {
			list = append(list, fmt.Sprintf("%s: %s is %s", path.Child("matchExpressions").Index(i).Child("key"), e.Key, msg))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		if msg := podspec.OldNodeLabel(k); msg != "" {
			list = append(list, fmt.Sprintf("%s: %s", path.Child("matchLabels").Child(k), msg))
		}
	}
	return list
}

func driverWarnings(obj, old kinds.Object) []string {
	s := &obj.(*storagev1.CSIDriver).Spec
	if len(s.TokenRequests) == 0 || s.ServiceAccountTokenInSecrets != nil ||
		old != nil && equality.Semantic.DeepEqual(s.TokenRequests, old.(*storagev1.CSIDriver).Spec.TokenRequests) {
		return nil
	}
	return []string{"spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes"}
}
