package runtime

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/observe"
)

// PullMetrics count pulls of images, under kubelet's and containerd's names. They are safe for concurrent use.
type PullMetrics struct {
	observe.Collectors
	took       *prometheus.HistogramVec
	ended      *prometheus.CounterVec
	underWay   prometheus.Gauge
	throughput prometheus.Histogram
}

var _ prometheus.Collector = (*PullMetrics)(nil)

// NewPullMetrics returns metrics of no pull.
func NewPullMetrics() *PullMetrics {
	const containerd = "containerd_cri_sandboxed_"
	m := &PullMetrics{
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kubelet_image_pull_duration_seconds", Help: "Duration in seconds to pull an image.",
			Buckets: []float64{1, 5, 10, 20, 30, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800, 2700, 3600},
		}, []string{"image_size_in_bytes"}),
		ended:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: containerd + "image_pulls_total", Help: "Pulls that ended, with success or failure."}, []string{"status"}),
		underWay: prometheus.NewGauge(prometheus.GaugeOpts{Name: containerd + "in_progress_image_pulls_total", Help: "Pulls under way."}),
		throughput: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: containerd + "image_pulling_throughput_mibps", Help: "MiB that came from a registry, by the second of the whole pull; pulls that fetched nothing are left out.",
			Buckets: []float64{0.1, 1, 10, 25, 75, 150, 300, 500, 1000, 2000, 4000},
		}),
	}
	m.Collectors = observe.Collectors{m.took, m.ended, m.underWay, m.throughput}
	return m
}

// begin counts a pull as under way until the function is called that it returns: with the image's bytes, those that were fetched, and what went wrong.
func (m *PullMetrics) begin() func(took time.Duration, size, fetched int64, err error) {
	m.underWay.Inc()
	return func(took time.Duration, size, fetched int64, err error) {
		m.underWay.Dec()
		if err != nil {
			m.ended.WithLabelValues("failure").Inc()
			return
		}
		m.ended.WithLabelValues("success").Inc()
		m.took.WithLabelValues(sizeClass(size)).Observe(took.Seconds())
		if fetched > 0 && took > 0 {
			m.throughput.Observe(float64(fetched) / (1 << 20) / took.Seconds())
		}
	}
}

// sizeClasses are the kubelet's, each with the size that its images exceed.
var sizeClasses = [...]struct {
	above int64 // bytes
	label string
}{
	{100 << 30, "GT100GB"}, {60 << 30, "60GB-100GB"}, {40 << 30, "40GB-60GB"}, {30 << 30, "30GB-40GB"}, {20 << 30, "20GB-30GB"}, {10 << 30, "10GB-20GB"},
	{5 << 30, "5GB-10GB"}, {1 << 30, "1GB-5GB"}, {500 << 20, "500MB-1GB"}, {100 << 20, "100MB-500MB"}, {10 << 20, "10MB-100MB"}, {0, "0-10MB"},
}

func sizeClass(bytes int64) string {
	for _, c := range sizeClasses {
		if bytes > c.above {
			return c.label
		}
	}
	return "N/A"
}
