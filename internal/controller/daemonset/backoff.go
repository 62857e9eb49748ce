package daemonset

import (
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// How long a failed pod is left as it is, upstream's: after the first that was replaced, and at most. What was quiet for twice the most begins anew.
const (
	heldFirst = time.Second
	heldMost  = 15 * time.Minute
)

// spot is where pods fail: a node, for a set as it was specified. A new specification is tried at once.
type spot struct {
	set        types.UID
	generation int64
	node       string
}

// failure is when a spot's pod was replaced last, and how long the next is left.
type failure struct {
	at   time.Time
	hold time.Duration
}

// memory knows where pods have failed. It is safe for concurrent use.
type memory struct {
	mu    sync.Mutex // guards all below
	list  map[spot]failure
	swept time.Time
}

func newMemory() *memory { return &memory{list: map[spot]failure{}} }

// held is how long a failed pod is to be left yet; 0: not at all.
func (m *memory) held(s spot, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, known := m.list[s]
	if !known {
		return 0
	}
	return max(0, f.at.Add(f.hold).Sub(now))
}

// note remembers that a failed pod is replaced now, and sweeps out what is old at most once a minute.
func (m *memory) note(s spot, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(m.swept) >= time.Minute {
		maps.DeleteFunc(m.list, func(_ spot, f failure) bool { return now.Sub(f.at) > 2*heldMost })
		m.swept = now
	}
	f, known := m.list[s]
	switch {
	case !known || now.Sub(f.at) > 2*heldMost:
		f.hold = heldFirst
	default:
		f.hold = min(2*f.hold, heldMost)
	}
	f.at = now
	m.list[s] = f
}
