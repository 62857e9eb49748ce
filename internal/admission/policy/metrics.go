package policy

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/observe"
)

// Metrics count what policies decide, by upstream's names. Make one for both plug-ins and register it; it is safe for concurrent use.
type Metrics struct {
	observe.Collectors
	validated, mutated checks
}

// checks are those of one sort of policies.
type checks struct {
	total *prometheus.CounterVec
	took  *prometheus.HistogramVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that nothing has been counted in.
func NewMetrics() *Metrics {
	of := func(sort string) checks {
		by := []string{"policy", "policy_binding", "error_type", "enforcement_action"}
		prefix := "apiserver_" + sort + "_admission_policy_check_"
		return checks{
			total: prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + "total", Help: "Checks of " + sort + " admission policies, by what was done then."}, by),
			took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
				Name: prefix + "duration_seconds", Help: "Time of checks of " + sort + " admission policies.", Buckets: []float64{0.0000005, 0.001, 0.01, 0.1, 1},
			}, by),
		}
	}
	m := &Metrics{validated: of("validating"), mutated: of("mutating")}
	m.Collectors = observe.Collectors{m.validated.total, m.validated.took, m.mutated.total, m.mutated.took}
	return m
}
