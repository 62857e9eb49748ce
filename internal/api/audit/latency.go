package audit

import (
	"time"
)

// slow is how long a request takes, beyond which its record says where the time went, as upstream's.
const slow = 500 * time.Millisecond

// Part is a piece of the way of a request.
type Part uint8

// The parts that are told of slow requests.
const (
	Authentication Part = iota
	Impersonation
	Queue // the wait for a turn
	Authorization
	MutatingWebhooks
	ValidatingWebhooks
	Storage // until what is written is durable and visible
	ResponseWrite
	Decoding      // of what is stored, where it is not answered as it is stored
	Transforming  // into what the client wants to see: tables, metadata alone
	Serialization // of the answer, and writing it
	parts
)

const latencyDomain = "apiserver.latency.k8s.io/"

// partNames are upstream's, below latencyDomain.
var partNames = [parts]string{
	"authentication", "impersonation", "apf-queue-wait", "authorization", "mutating-webhook", "validating-webhook", "etcd", "response-write",
	"decode-response-object", "transform-response-object", "serialize-response-object",
}

// together says of a part that is done several times whether its times add up; else the longest counts, as they are done at once or again.
func (p Part) together() bool {
	return p != Queue && p != Authorization && p != ValidatingWebhooks
}

// Took notes how long a part of the request took.
func (r *Record) Took(p Part, d time.Duration) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.together() {
		r.took[p] += d
	} else {
		r.took[p] = max(r.took[p], d)
	}
}

// Timed begins to measure a part of the request, which the function that it returns ends.
func (r *Record) Timed(p Part) (end func()) {
	if r == nil {
		return func() {}
	}
	begun := r.trail.clock.Now()
	return func() { r.Took(p, r.trail.clock.Since(begun)) }
}

// Between begins to measure a part that interrupts another, whose time it is not.
func (r *Record) Between(p, of Part) (end func()) {
	if r == nil {
		return func() {}
	}
	begun := r.trail.clock.Now()
	return func() {
		d := r.trail.clock.Since(begun)
		r.Took(p, d)
		r.Took(of, -d)
	}
}

// tellLatency notes where the time of a slow request went, all of it at last.
func (r *Record) tellLatency(now time.Time) {
	total := now.Sub(r.event.RequestReceivedTimestamp.Time) // never changed
	if total <= slow {
		return
	}
	r.mu.Lock()
	took := r.took
	r.mu.Unlock()
	told := false
	for p, d := range took {
		if d != 0 {
			r.Annotate(latencyDomain+partNames[p], d.String())
			told = true
		}
	}
	if told {
		r.Annotate(latencyDomain+"total", total.String())
	}
}
