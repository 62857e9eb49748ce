package kinds

import (
	"maps"
	"slices"
)

// SelectorIndex is the index of kinds whose objects select pods of their namespace by labels: one SelectorValue each.
const SelectorIndex = "selector"

// SelectorValue is where an object stands in SelectorIndex that selects pods with all labels of match, and perhaps with more conditions: under the first of
// them, or, when there are none, under the namespace alone.
func SelectorValue(namespace string, match map[string]string) string {
	if len(match) == 0 {
		return namespace
	}
	key := slices.Min(slices.Collect(maps.Keys(match)))
	return labelValue(namespace, key, match[key])
}

// SelectorValues are where the objects stand in SelectorIndex that may select a pod with labels: as many as it has, and one.
func SelectorValues(namespace string, labels map[string]string) []string {
	values := make([]string, 0, len(labels)+1)
	values = append(values, namespace)
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		values = append(values, labelValue(namespace, key, labels[key]))
	}
	return values
}

// labelValue has no two meanings: neither a namespace nor a label's key holds an equals sign, and no namespace a slash.
func labelValue(namespace, key, value string) string { return namespace + "/" + key + "=" + value }

// ServiceIndex is the index of endpoint slices by namespace/name of the service that their label names.
const ServiceIndex = "service"

// SpreadIndex is the index of services whose endpoints are to be spread over zones by their annotation: all under SpreadAuto.
const (
	SpreadIndex = "spread"
	SpreadAuto  = "auto"
)

// Spreads says whether a service's annotations want its endpoints spread over zones.
func Spreads(annotations map[string]string) bool {
	mode, ok := annotations["service.kubernetes.io/topology-aware-hints"] // the older one comes first
	if !ok {
		mode = annotations["service.kubernetes.io/topology-mode"]
	}
	return mode == "Auto" || mode == "auto"
}
