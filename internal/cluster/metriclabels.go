package cluster

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/yaml"
)

const (
	metricNames = `[a-zA-Z_:][a-zA-Z0-9_:]*`
	labelNames  = `[a-zA-Z_][a-zA-Z0-9_]*`
	unexpected  = "unexpected" // stands for all values that a list does not have
	enforced    = "cardinality_enforcement_unexpected_categorizations_total"
)

// metricLabels are the values that labels of metrics may have: by metric, then by label. A metric or a label that is not there may have all.
type metricLabels map[string]map[string]sets.Set[string]

// readMetricLabels reads lists by "METRIC,LABEL", with commas between the values; manifest is a YAML file of the same form. One of both is given, or none.
func readMetricLabels(lists map[string]string, manifest string) (metricLabels, error) {
	switch {
	case manifest != "" && lists != nil:
		return nil, errors.New("cannot specify both allowListMapping and allowListMappingManifest")
	case manifest != "":
		data, err := os.ReadFile(manifest)
		if err != nil {
			return nil, fmt.Errorf("failed to read allow list manifest: %w", err)
		}
		if err := yaml.UnmarshalStrict(data, &lists); err != nil {
			return nil, fmt.Errorf("failed to parse allow list manifest: %w", err)
		}
	}
	out, form := metricLabels{}, regexp.MustCompile(`^`+metricNames+`,`+labelNames+`$`)
	for _, key := range slices.Sorted(maps.Keys(lists)) {
		if !form.MatchString(key) {
			return nil, fmt.Errorf("%q: must have keys with format `metricName,labelName` where metricName matches %q and labelName matches %q", key, metricNames, labelNames)
		}
		metric, label, _ := strings.Cut(key, ",")
		if out[metric] == nil {
			out[metric] = map[string]sets.Set[string]{}
		}
		out[metric][label] = sets.New(strings.Split(lists[key], ",")...)
	}
	return out, nil
}

// bound puts all values that lists do not have under one, and tells how often that was: upstream does so when something is counted, floe when it is told.
func (l metricLabels) bound(from prometheus.Gatherer) prometheus.Gatherer {
	if len(l) == 0 {
		return from
	}
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		families, err := from.Gather()
		total := 0.0
		for i, f := range families {
			if lists := l[f.GetName()]; lists != nil {
				var n float64
				families[i], n = boundFamily(f, lists)
				total += n
			}
		}
		families = append(families, &dto.MetricFamily{
			Name: proto.String(enforced), Help: proto.String("[ALPHA] The count of unexpected categorizations during cardinality enforcement."),
			Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{{Counter: &dto.Counter{Value: proto.Float64(total)}}},
		})
		slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
		return families, err
	})
}

// boundFamily makes a family of f whose labels have values of lists only, and says how much of it was counted under others.
func boundFamily(f *dto.MetricFamily, lists map[string]sets.Set[string]) (out *dto.MetricFamily, others float64) {
	out = &dto.MetricFamily{Name: f.Name, Help: f.Help, Type: f.Type, Unit: f.Unit}
	known := map[string]*dto.Metric{}
	for _, m := range f.Metric {
		labels, renamed := boundLabels(m.Label, lists)
		others += float64(renamed) * counted(m)
		var key strings.Builder
		for _, label := range labels {
			fmt.Fprintf(&key, "%q=%q,", label.GetName(), label.GetValue())
		}
		if same := known[key.String()]; same != nil {
			join(same, m)
			continue
		}
		own := proto.Clone(m).(*dto.Metric)
		own.Label = labels
		known[key.String()] = own
		out.Metric = append(out.Metric, own)
	}
	return out, others
}

// boundLabels are labels with values of lists only, and how many had others.
func boundLabels(labels []*dto.LabelPair, lists map[string]sets.Set[string]) (out []*dto.LabelPair, renamed int) {
	out = slices.Clone(labels) // those of a metric are shared by all who ask for it
	for i, label := range out {
		if values, ok := lists[label.GetName()]; ok && !values.Has(label.GetValue()) {
			out[i] = &dto.LabelPair{Name: label.Name, Value: proto.String(unexpected)}
			renamed++
		}
	}
	return out, renamed
}

// counted is how often something was counted for a metric.
func counted(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Histogram != nil:
		return float64(m.Histogram.GetSampleCount())
	case m.Summary != nil:
		return float64(m.Summary.GetSampleCount())
	}
	return 1
}

// join adds a metric to another of the same family. Quantiles of two cannot be joined, and are left out.
func join(into, m *dto.Metric) {
	switch {
	case into.Counter != nil:
		into.Counter.Value = proto.Float64(into.Counter.GetValue() + m.GetCounter().GetValue())
	case into.Gauge != nil:
		into.Gauge.Value = proto.Float64(into.Gauge.GetValue() + m.GetGauge().GetValue())
	case into.Untyped != nil:
		into.Untyped.Value = proto.Float64(into.Untyped.GetValue() + m.GetUntyped().GetValue())
	case into.Summary != nil:
		into.Summary.SampleCount = proto.Uint64(into.Summary.GetSampleCount() + m.GetSummary().GetSampleCount())
		into.Summary.SampleSum = proto.Float64(into.Summary.GetSampleSum() + m.GetSummary().GetSampleSum())
		into.Summary.Quantile = nil
	case into.Histogram != nil:
		h, more := into.Histogram, m.GetHistogram()
		h.SampleCount = proto.Uint64(h.GetSampleCount() + more.GetSampleCount())
		h.SampleSum = proto.Float64(h.GetSampleSum() + more.GetSampleSum())
		for i, b := range h.Bucket { // a family's have the same bounds
			b.CumulativeCount = proto.Uint64(b.GetCumulativeCount() + more.Bucket[i].GetCumulativeCount())
		}
	}
}
