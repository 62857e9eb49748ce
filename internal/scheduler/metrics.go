package scheduler

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/floe-k8s/floe/internal/observe"
	"github.com/floe-k8s/floe/internal/scheduler/claims"
	"github.com/floe-k8s/floe/internal/scheduler/place"
	"github.com/floe-k8s/floe/internal/scheduler/queue"
)

// Metrics tell of a scheduler by upstream's names and with its buckets. They are a prometheus.Collector and safe for concurrent use.
type Metrics struct {
	observe.Collectors

	attempts                   *prometheus.CounterVec
	attempt, sli               *prometheus.HistogramVec
	algorithm, attemptsOfPod   prometheus.Histogram
	pending, goroutines, cache *prometheus.GaugeVec
	incoming                   *prometheus.CounterVec

	preemptions    prometheus.Counter
	victims        prometheus.Histogram
	evicting       *prometheus.HistogramVec
	evicted        *prometheus.CounterVec
	claimsCreated  *prometheus.CounterVec
	devicesAwaited *prometheus.CounterVec
	deviceWait     *prometheus.HistogramVec
}

// NewMetrics returns metrics that tell nothing until a scheduler that was given them runs.
func NewMetrics() *Metrics {
	const subsystem = "scheduler"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: subsystem, Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Subsystem: subsystem, Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Subsystem: subsystem, Name: name, Help: help, Buckets: buckets}
	}
	fine := prometheus.ExponentialBuckets(0.001, 2, 15)
	m := &Metrics{
		attempts: counter("schedule_attempts_total", "Tries to schedule pods, by their result.", "result", "profile"),
		attempt: prometheus.NewHistogramVec(histogram("scheduling_attempt_duration_seconds", "How long a try takes, with its binding, in seconds.", fine),
			[]string{"result", "profile"}),
		sli: prometheus.NewHistogramVec(histogram("pod_scheduling_sli_duration_seconds",
			"How long a pod takes from its first try until it is bound, in seconds.", prometheus.ExponentialBuckets(0.01, 2, 20)), []string{"attempts"}),
		algorithm:     prometheus.NewHistogram(histogram("scheduling_algorithm_duration_seconds", "How long a decision takes, in seconds.", fine)),
		attemptsOfPod: prometheus.NewHistogram(histogram("pod_scheduling_attempts", "How many tries a pod takes until it is bound.", prometheus.ExponentialBuckets(1, 2, 5))),
		pending:       gauge("pending_pods", "Pods that wait, by the part of the queue that they are in.", "queue"),
		goroutines:    gauge("goroutines", "Goroutines at work, by what they do.", "operation"),
		cache:         gauge("cache_size", "Nodes and pods in the table, and pods that are assumed to be on a node.", "type"),
		incoming:      counter("queue_incoming_pods_total", "Pods that entered a part of the queue, by the event that made them.", "queue", "event"),

		preemptions: prometheus.NewCounter(prometheus.CounterOpts{Subsystem: subsystem, Name: "preemption_attempts_total",
			Help: "Searches for pods that could be put out."}),
		victims: prometheus.NewHistogram(histogram("preemption_victims", "How many pods are put out for one.", prometheus.ExponentialBuckets(1, 2, 7))),
		evicting: prometheus.NewHistogramVec(histogram("preemption_goroutines_duration_seconds", "How long it takes to tell the victims of a pod to go, in seconds.",
			prometheus.ExponentialBuckets(0.01, 2, 20)), []string{"result"}),
		evicted:       counter("preemption_goroutines_execution_total", "Pods whose victims were told to go, or could not be.", "result"),
		claimsCreated: counter("resourceclaim_creates_total", "Resource claims that were created for extended resources, or could not be.", "status"),
		devicesAwaited: counter("dra_bindingconditions_allocations_total", "Devices with binding conditions that pods waited for, by how that ended.",
			"profile", "driver", "status"),
		deviceWait: prometheus.NewHistogramVec(histogram("dra_bindingconditions_wait_duration_seconds", "How long pods waited for devices to get ready, in seconds.",
			prometheus.ExponentialBuckets(0.1, 2, 14)), []string{"profile", "driver", "status"}),
	}
	m.Collectors = observe.Collectors{m.attempts, m.attempt, m.sli, m.algorithm, m.attemptsOfPod, m.pending, m.goroutines, m.cache, m.incoming,
		m.preemptions, m.victims, m.evicting, m.evicted, m.claimsCreated, m.devicesAwaited, m.deviceWait}
	return m
}

func (m *Metrics) entered(queue, event string)  { m.incoming.WithLabelValues(queue, event).Inc() }
func (m *Metrics) decided(lasted time.Duration) { m.algorithm.Observe(lasted.Seconds()) }

func (m *Metrics) attempted(result, profile string, lasted time.Duration) {
	m.attempts.WithLabelValues(result, profile).Inc()
	m.attempt.WithLabelValues(result, profile).Observe(lasted.Seconds())
}

// preempted tells how it ended to put out the victims of a pod.
func (m *Metrics) preempted(result string, lasted time.Duration) {
	m.evicted.WithLabelValues(result).Inc()
	m.evicting.WithLabelValues(result).Observe(lasted.Seconds())
}

// created tells of a claim that was created, or could not be.
func (m *Metrics) created(err error) {
	status := "success"
	if err != nil {
		status = "failure"
	}
	m.claimsCreated.WithLabelValues(status).Inc()
}

// waited tells how a pod's wait for its devices ended.
func (m *Metrics) waited(profile string, devices []claims.Device, status string, lasted time.Duration) {
	for _, d := range devices {
		m.deviceWait.WithLabelValues(profile, d.Driver, status).Observe(lasted.Seconds())
		if d.Conditional {
			m.devicesAwaited.WithLabelValues(profile, d.Driver, status).Inc()
		}
	}
}

// scheduled tells of a pod that was bound; upstream names no more than 15 tries.
func (m *Metrics) scheduled(tries int, lasted time.Duration) {
	label := "15+"
	if tries < 15 {
		label = strconv.Itoa(tries)
	}
	m.attemptsOfPod.Observe(float64(tries))
	m.sli.WithLabelValues(label).Observe(lasted.Seconds())
}

// look reads what table and queue hold. Only the loop may call it.
func (m *Metrics) look(q *queue.Queue, t *place.Table, flying int) {
	for name, w := range map[string]queue.Where{"active": queue.Active, "backoff": queue.Backoff, "unschedulable": queue.Parked, "gated": queue.Gated} {
		m.pending.WithLabelValues(name).Set(float64(q.Counts(w)))
	}
	m.goroutines.WithLabelValues("binding").Set(float64(flying))
	m.cache.WithLabelValues("nodes").Set(float64(t.Nodes()))
	m.cache.WithLabelValues("pods").Set(float64(t.Pods()))
	m.cache.WithLabelValues("assumed_pods").Set(float64(q.Counts(queue.Planned)))
}
