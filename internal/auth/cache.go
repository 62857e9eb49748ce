package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// CacheFor is how long a good token is believed without being checked again, as upstream's, where nothing else is said.
const CacheFor = 10 * time.Second

const (
	maxCached   = 32_768           // tokens that are good, some 600 bytes each, and as many that are nobody's, some 60 bytes each
	sharedLimit = 30 * time.Second // for one check, which several requests may wait for
)

// Cache remembers whose tokens are, and checks a token once for all requests that show it at the same time. It is safe for concurrent use.
type Cache struct {
	check   TokenChecker
	clock   clock.PassiveClock
	metrics *Metrics
	keep    time.Duration     // how long a good token is believed; 0: not at all
	refuse  time.Duration     // how long one that nobody knows is refused; 0: it is checked each time
	secret  [sha256.Size]byte // so that nobody can tell which tokens share a place

	mu    sync.RWMutex
	good  map[[sha256.Size]byte]cached    // guarded by mu; at most maxCached; by the token's hash, so that no secret is kept
	bad   map[[sha256.Size]byte]time.Time // guarded by mu; at most maxCached, apart from the good, so that guesses push out none; until when
	under map[[sha256.Size]byte]*checking // guarded by mu: checks that are under way, at most one for each request in flight
}

type cached struct {
	id    Identity
	until time.Time
}

// checking is one check that others may wait for. Its fields are set before done is closed.
type checking struct {
	done chan struct{}
	id   Identity
	ok   bool
	err  error
}

// NewCache returns a cache before check, which keeps good tokens for CacheFor and no others. Its users are in the group of all who are known. m nil: nothing is
// counted.
func NewCache(check TokenChecker, clk clock.PassiveClock, m *Metrics) *Cache {
	c := NewCacheFor(check, clk, CacheFor, 0)
	c.metrics = m
	return c
}

// NewCacheFor is NewCache for a checker that is dear to ask: good tokens are kept for one time, those that are nobody's for another, 0 or less not at all, and
// errors never. Nothing is counted.
func NewCacheFor(check TokenChecker, clk clock.PassiveClock, good, nobodys time.Duration) *Cache {
	c := &Cache{
		check: check, clock: clk, keep: good, refuse: nobodys,
		good: map[[sha256.Size]byte]cached{}, bad: map[[sha256.Size]byte]time.Time{}, under: map[[sha256.Size]byte]*checking{},
	}
	_, _ = rand.Read(c.secret[:]) // it never fails
	return c
}

// key tells one token for some audiences from all others. Every part is written after its length.
func (c *Cache) key(token string, audiences []string) [sha256.Size]byte {
	data := append(make([]byte, 0, 2048), c.secret[:]...) // most tokens fit, and nothing is allocated
	data = append(binary.BigEndian.AppendUint32(data, uint32(len(token))), token...)
	for _, a := range audiences {
		data = append(binary.BigEndian.AppendUint32(data, uint32(len(a))), a...)
	}
	return sha256.Sum256(data)
}

// Check is a TokenChecker.
func (c *Cache) Check(ctx context.Context, token string, audiences []string) (Identity, bool, error) {
	if len(token) > MaxTokenLength {
		return Identity{}, false, nil
	}
	began := c.clock.Now()
	key := c.key(token, audiences)
	c.mu.RLock()
	known, ok := c.good[key]
	refused := began.Before(c.bad[key])
	c.mu.RUnlock()
	if ok = ok && began.Before(known.until); ok || refused {
		c.metrics.cached("hit", c.clock.Since(began))
		if !ok {
			return Identity{}, false, nil
		}
		return known.id, true, nil
	}
	defer func() { c.metrics.cached("miss", c.clock.Since(began)) }()
	c.metrics.waits("blocked", 1)
	defer c.metrics.waits("blocked", -1)
	c.mu.Lock()
	shared := c.under[key]
	if shared != nil {
		c.mu.Unlock()
		select {
		case <-shared.done:
			return shared.id, shared.ok, shared.err
		case <-ctx.Done():
			return Identity{}, false, ctx.Err()
		}
	}
	shared = &checking{done: make(chan struct{}), err: errors.New("authentication failed unexpectedly")}
	c.under[key] = shared
	c.mu.Unlock()
	c.ask(ctx, key, shared, token, audiences)
	return shared.id, shared.ok, shared.err
}

// ask checks the token for all who wait for shared. The first of them may go; the others still get their answer.
func (c *Cache) ask(ctx context.Context, key [sha256.Size]byte, shared *checking, token string, audiences []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedLimit)
	defer cancel()
	c.metrics.waits("in_flight", 1)
	defer func() { // also when a check breaks a law
		c.metrics.waits("in_flight", -1)
		c.metrics.fetched(shared.err)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.under, key)
		close(shared.done)
	}()
	shared.id, shared.ok, shared.err = c.check(ctx, token, audiences)
	if shared.err != nil || !shared.ok {
		shared.id, shared.ok = Identity{}, false
		if shared.err == nil && c.refuse > 0 {
			c.mu.Lock()
			defer c.mu.Unlock()
			remember(c.bad, key, c.clock.Now().Add(c.refuse))
		}
		return
	}
	shared.id.User = authenticated(shared.id.User)
	if c.keep <= 0 {
		return
	}
	until := c.clock.Now().Add(c.keep)
	if end := shared.id.Until; !end.IsZero() && end.Before(until) {
		until = end
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	remember(c.good, key, cached{shared.id, until})
}

// remember keeps a map bounded.
func remember[V any](in map[[sha256.Size]byte]V, key [sha256.Size]byte, value V) {
	if len(in) >= maxCached {
		clear(in) // those in use come back with their next request
	}
	in[key] = value
}
