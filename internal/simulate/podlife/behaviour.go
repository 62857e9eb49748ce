package podlife

import (
	"hash/fnv"
	"slices"
	"strconv"
	"time"
)

// Outcome is what becomes of a pod's containers, those of init excepted.
type Outcome string

// The outcomes.
const (
	// Runs: they run for Run, or for ever, and end with ExitCode.
	Runs Outcome = "runs"
	// Crashes: they end after Run with ExitCode, or 1 when that is 0.
	Crashes Outcome = "crashes"
	// OutOfMemory: they end after Run with 137, as the kernel ends those that pass their limit.
	OutOfMemory Outcome = "out-of-memory"
	// NeverReady: they run and never become ready.
	NeverReady Outcome = "never-ready"
	// Unhealthy: those with a liveness probe fail it after Run and are ended by it; the others run.
	Unhealthy Outcome = "unhealthy"
	// NoImage: their images cannot be pulled.
	NoImage Outcome = "no-image"
	// InitFails: the first init container ends with ExitCode, or 1 when that is 0.
	InitFails Outcome = "init-fails"
)

// Outcomes lists them all.
func Outcomes() []Outcome {
	return []Outcome{Runs, Crashes, OutOfMemory, NeverReady, Unhealthy, NoImage, InitFails}
}

// Known says whether o is an outcome; "" is Runs.
func (o Outcome) Known() bool { return o == "" || slices.Contains(Outcomes(), o) }

// Behaviour says how a pod behaves. The zero value is a pod whose containers run at once, are ready at once and stop at once.
type Behaviour struct {
	// Pull is how long the first attempt of each container waits for its image.
	Pull Range `json:"pull,omitzero"`
	// Start is how long a container takes to begin, at each attempt.
	Start Range `json:"start,omitzero"`
	// Ready is how long a container runs until it is ready; with a readiness probe at least the probe's initial delay.
	Ready Range `json:"ready,omitzero"`
	// Init is how long init containers run.
	Init Range `json:"init,omitzero"`
	// Run is how long containers run. nil: for ever, but not at all in pods of Jobs and of outcomes that end.
	Run *Range `json:"run,omitempty"`
	// Stop is how long a container takes to stop when it is told to; after the pod's grace period it is killed.
	Stop Range `json:"stop,omitzero"`
	// ExitCode is what containers end with, 0 to 255.
	ExitCode int32 `json:"exitCode,omitempty"`
	// Outcome is Runs when empty.
	Outcome Outcome `json:"outcome,omitempty"`
	// Failures is how many attempts the outcomes that end take; later ones run for ever. 0: all of them.
	Failures int32 `json:"failures,omitempty"`
}

// draw is a duration of a range, always the same for the same seed, container, attempt and step.
func draw(r Range, seed uint64, container string, attempt int32, step string) time.Duration {
	if r.Most <= r.Least {
		return r.Least
	}
	return r.At(Share(seed, container, strconv.Itoa(int(attempt)), step))
}

// Share is a number from 0 on and below 1 that looks like chance and is always the same for the same seed and words.
func Share(seed uint64, words ...string) float64 {
	h := fnv.New64a()
	var raw [8]byte
	for i := range raw {
		raw[i] = byte(seed >> (8 * i))
	}
	_, _ = h.Write(raw[:]) // a hash takes everything
	for _, w := range words {
		_, _ = h.Write([]byte(w))
		_, _ = h.Write([]byte{0})
	}
	x := h.Sum64()
	x ^= x >> 33 // FNV alone leaves words that differ at their end close to each other
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}
