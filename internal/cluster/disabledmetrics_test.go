package cluster

import (
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestDisabledMetrics: those named are left out, and no other.
func TestDisabledMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	for _, name := range []string{"a_total", "a_total_more", "b"} {
		r.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: name}))
	}
	for _, c := range []struct{ disabled, want []string }{
		{nil, []string{"a_total", "a_total_more", "b"}},
		{[]string{"a_total", "none"}, []string{"a_total_more", "b"}},
	} {
		families, err := without(r, c.disabled).Gather()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range families {
			got = append(got, f.GetName())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("without %v: %v, want %v", c.disabled, got, c.want)
		}
	}
}
