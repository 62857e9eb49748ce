package cluster

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// without leaves metrics out of what is told, by their full names.
func without(from prometheus.Gatherer, names []string) prometheus.Gatherer {
	if len(names) == 0 {
		return from
	}
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := from.Gather()
		return slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return slices.Contains(names, f.GetName()) }), err
	})
}
