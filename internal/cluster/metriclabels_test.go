package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// TestMetricLabels: values that no list has are told under one, and the sums stay what they are.
func TestMetricLabels(t *testing.T) {
	r := prometheus.NewRegistry()
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "calls_total", Help: "h"}, []string{"verb", "code"})
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "took", Help: "h", Buckets: []float64{1, 2}}, []string{"verb"})
	now := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "now", Help: "h"}, []string{"verb"})
	sums := prometheus.NewSummaryVec(prometheus.SummaryOpts{Name: "sums", Help: "h"}, []string{"verb"})
	r.MustRegister(calls, took, now, sums)
	for i, verb := range []string{"GET", "FOO", "BAR"} {
		calls.WithLabelValues(verb, "200").Add(float64(i + 1))
		took.WithLabelValues(verb).Observe(float64(i))
		now.WithLabelValues(verb).Set(float64(i))
		sums.WithLabelValues(verb).Observe(float64(i))
	}
	lists, err := readMetricLabels(map[string]string{"calls_total,verb": "GET,PUT", "took,verb": "GET", "now,verb": "GET", "sums,verb": "GET"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // what is told does not change what is counted
		if got := told(t, lists.bound(r)); got != strings.TrimSpace(`
calls_total{code="200",verb="unexpected"} 5
calls_total{code="200",verb="GET"} 1
cardinality_enforcement_unexpected_categorizations_total 11
now{verb="unexpected"} 3
now{verb="GET"} 0
sums_sum{verb="unexpected"} 3
sums_count{verb="unexpected"} 2
sums_sum{verb="GET"} 0
sums_count{verb="GET"} 1
took_bucket{verb="unexpected",le="1"} 1
took_bucket{verb="unexpected",le="2"} 2
took_bucket{verb="unexpected",le="+Inf"} 2
took_sum{verb="unexpected"} 3
took_count{verb="unexpected"} 2
took_bucket{verb="GET",le="1"} 1
took_bucket{verb="GET",le="2"} 1
took_bucket{verb="GET",le="+Inf"} 1
took_sum{verb="GET"} 0
took_count{verb="GET"} 1`) {
			t.Errorf("got\n%s", got)
		}
	}
}

func told(t *testing.T, from prometheus.Gatherer) string {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
	}
	var lines []string
	for line := range strings.Lines(text.String()) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return strings.Join(lines, "\n")
}

func TestMetricLabelsAreRead(t *testing.T) {
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "manifest.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	lists, err := readMetricLabels(nil, write("\"a,b\": \"x,y\"\n\"a,c\": \"\"\n"))
	if err != nil || !lists["a"]["b"].HasAll("x", "y") || lists["a"]["c"].Len() != 1 || len(lists) != 1 {
		t.Errorf("got %v, %v", lists, err)
	}
	for want, c := range map[string]struct {
		lists    map[string]string
		manifest string
	}{
		`"a": must have keys with format`:            {map[string]string{"a": "x"}, ""},
		`"a,b,c": must have keys with format`:        {map[string]string{"a,b,c": "x"}, ""},
		"cannot specify both allowListMapping and a": {map[string]string{"a,b": "x"}, "/nowhere"},
		"failed to read allow list manifest":         {nil, "/nowhere"},
		"failed to parse allow list manifest":        {nil, write("allowListMapping: {\"a,b\": x}")},
		`"-,b": must have keys`:                      {nil, write("\"-,b\": x")},
	} {
		if _, err := readMetricLabels(c.lists, c.manifest); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
