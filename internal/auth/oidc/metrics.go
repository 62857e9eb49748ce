package oidc

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	jose "gopkg.in/go-jose/go-jose.v2"
)

// Metrics tell of issuers and of the configuration file, under upstream's names. A nil *Metrics counts nothing. It is safe for concurrent use.
type Metrics struct {
	server string // the hash of the server's name

	latency           *prometheus.HistogramVec
	fetched, reloaded *prometheus.GaugeVec
	reloads           *prometheus.CounterVec
	config, keys      *prometheus.Desc

	mu         sync.Mutex
	configHash string            // guarded by mu; "": there is no file
	keysHash   map[string]string // guarded by mu: of the last key set, by the issuer's hash
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics of a server of that name, which have counted nothing.
func NewMetrics(server string) *Metrics {
	const issuers, file = "apiserver_authentication_jwt_authenticator_", "apiserver_authentication_config_controller_"
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	return &Metrics{
		server: hash(server), keysHash: map[string]string{},
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: issuers + "latency_seconds", Help: "How long checking a token took that was not remembered.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"result", "jwt_issuer_hash"}),
		fetched:  gauge(issuers+"jwks_fetch_last_timestamp_seconds", "When an issuer's keys were fetched last.", "result", "jwt_issuer_hash", "apiserver_id_hash"),
		reloaded: gauge(file+"automatic_reload_last_timestamp_seconds", "When the authentication configuration was read again last.", "status", "apiserver_id_hash"),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: file + "automatic_reloads_total", Help: "Times that the authentication configuration was read again."},
			[]string{"status", "apiserver_id_hash"}),
		config: prometheus.NewDesc(file+"last_config_info", "Hash of the authentication configuration that holds.", []string{"apiserver_id_hash", "hash"}, nil),
		keys:   prometheus.NewDesc(issuers+"jwks_fetch_last_key_set_info", "Hash of an issuer's keys that were fetched last.", []string{"jwt_issuer_hash", "apiserver_id_hash", "hash"}, nil),
	}
}

func (m *Metrics) vectors() []prometheus.Collector {
	return []prometheus.Collector{m.latency, m.fetched, m.reloaded, m.reloads}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(out chan<- *prometheus.Desc) {
	for _, c := range m.vectors() {
		c.Describe(out)
	}
	out <- m.config
	out <- m.keys
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	for _, c := range m.vectors() {
		c.Collect(out)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.configHash != "" {
		out <- prometheus.MustNewConstMetric(m.config, prometheus.GaugeValue, 1, m.server, m.configHash)
	}
	for issuer, keys := range m.keysHash {
		out <- prometheus.MustNewConstMetric(m.keys, prometheus.GaugeValue, 1, issuer, m.server, keys)
	}
}

func hash(text string) string {
	if text == "" {
		return ""
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
}

func resultOf(err error) string {
	if err != nil {
		return "failure"
	}
	return "success"
}

func (m *Metrics) checked(issuer string, err error, took time.Duration) {
	if m != nil {
		m.latency.WithLabelValues(resultOf(err), hash(issuer)).Observe(took.Seconds())
	}
}

// holds is told of the configuration that holds now.
func (m *Metrics) holds(config string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.configHash = hash(config)
}

// again is told that the file was read again.
func (m *Metrics) again(err error, at time.Time) {
	if m != nil {
		m.reloads.WithLabelValues(resultOf(err), m.server).Inc()
		m.reloaded.WithLabelValues(resultOf(err), m.server).Set(seconds(at))
	}
}

func (m *Metrics) fetch(issuer, keys string, err error, at time.Time) {
	if m == nil {
		return
	}
	m.fetched.WithLabelValues(resultOf(err), hash(issuer), m.server).Set(seconds(at))
	if err == nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.keysHash[hash(issuer)] = hash(keys)
	}
}

// forget takes away what is told of an issuer that is no longer configured.
func (m *Metrics) forget(issuer string) {
	if m == nil {
		return
	}
	for _, result := range []string{"success", "failure"} {
		m.fetched.DeleteLabelValues(result, hash(issuer), m.server)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keysHash, hash(issuer))
}

func seconds(at time.Time) float64 { return float64(at.UnixNano()) / 1e9 }

// watched tells metrics how fetching keys from a URL goes.
type watched struct {
	http.RoundTripper
	url, name string
	issuer    *issuer
}

// RoundTrip implements http.RoundTripper.
func (w watched) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.RoundTripper.RoundTrip(r)
	if r.URL.String() != w.url || r.Context().Err() != nil {
		return answer, err
	}
	tell := func(keys string, err error) { w.issuer.Metrics.fetch(w.name, keys, err, w.issuer.Clock.Now()) }
	if err != nil {
		tell("", err)
		return answer, err
	}
	if answer.StatusCode != http.StatusOK {
		tell("", fmt.Errorf("status %s", answer.Status))
		return answer, nil
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		tell("", err)
		return nil, fmt.Errorf("error reading JWKS response: %w", err)
	}
	var set jose.JSONWebKeySet
	tell(string(data), json.Unmarshal(data, &set))
	answer.Body = io.NopCloser(bytes.NewReader(data))
	return answer, nil
}
