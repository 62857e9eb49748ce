package token

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// Keys are those that tokens are checked with. It must be safe for concurrent use.
type Keys interface {
	// Find returns the keys with an id: none when nobody knows it. Tokens of old name no key: for "" it returns all. What it returns is shared and not to be
	// changed. It may ask others, for as long as ctx lasts.
	Find(ctx context.Context, id string) []Key
	// Ring returns all keys as they are now, without asking anybody. Another ring than before means that they have changed.
	Ring() *Ring
	// MaxAge is for how many seconds others may keep what they were told of the keys.
	MaxAge() int
}

// Ring is a set of keys that does not change.
type Ring struct {
	list []Key
	by   map[string][]Key
}

var _ Keys = (*Ring)(nil)

// NewRing returns the ring of a list, which it keeps.
func NewRing(list []Key) *Ring {
	r := &Ring{list, map[string][]Key{}}
	for _, k := range list {
		r.by[k.ID] = append(r.by[k.ID], k)
	}
	return r
}

// Find implements Keys.
func (r *Ring) Find(_ context.Context, id string) []Key {
	if id == "" {
		return r.list
	}
	return r.by[id]
}

// Ring implements Keys.
func (r *Ring) Ring() *Ring { return r }

// MaxAge implements Keys.
func (r *Ring) MaxAge() int { return DiscoveryMaxAge }

// Published are the two documents by which others can check an issuer's tokens, as the keys are. It is safe for concurrent use.
type Published struct {
	issuer, keysURI, host string
	keys                  Keys

	mu               sync.Mutex
	of               *Ring  // guarded by mu: whose the documents are
	document, keySet []byte // guarded by mu
}

// Publish returns the documents of an issuer. The arguments and the error are Discovery's.
func Publish(issuer, keysURI, host string, keys Keys) (*Published, error) {
	p := &Published{issuer: issuer, keysURI: keysURI, host: host, keys: keys, of: keys.Ring()}
	var err error
	p.document, p.keySet, err = p.make(p.of)
	return p, err
}

// make returns the documents of a ring. Upstream publishes none without a key.
func (p *Published) make(ring *Ring) (document, keySet []byte, err error) {
	told := slices.DeleteFunc(slices.Clone(ring.list), func(k Key) bool { return k.Hidden })
	if len(told) == 0 {
		return nil, nil, errors.New("no keys provided for validating keyset")
	}
	return Discovery(p.issuer, p.keysURI, p.host, told)
}

// newest returns both documents. When the keys of now cannot be told, they are those of before, as upstream's.
func (p *Published) newest() (document, keySet []byte) {
	ring := p.keys.Ring()
	p.mu.Lock()
	defer p.mu.Unlock()
	if ring != p.of {
		p.of = ring
		if document, keySet, err := p.make(ring); err == nil {
			p.document, p.keySet = document, keySet
		}
	}
	return p.document, p.keySet
}

// Document returns the discovery document, and for how many seconds it may be kept. It is not to be changed.
func (p *Published) Document() (data []byte, maxAge int) {
	document, _ := p.newest()
	return document, p.keys.MaxAge()
}

// KeySet is Document for the set of keys.
func (p *Published) KeySet() (data []byte, maxAge int) {
	_, keySet := p.newest()
	return keySet, p.keys.MaxAge()
}
