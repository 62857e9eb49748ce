package encryption

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/floe-k8s/floe/internal/store"
)

// Codec seals values as a file says. It is safe for concurrent use.
type Codec struct {
	rules      atomic.Pointer[rules]
	resourceOf ResourceOf
	metrics    *Metrics
}

var (
	_ store.Codec = (*Codec)(nil)
	_ store.Ager  = (*Codec)(nil)
)

// ResourceOf says of which resource the object at a key of the store is; ok false: it is no object.
type ResourceOf func(key string) (res schema.GroupResource, ok bool)

// rules are the chains of one file. They are immutable.
type rules struct {
	chains map[schema.GroupResource]chain
	kms    []*plugin
}

// chain is the providers of a resource, each with the prefix of what it has sealed; the first seals.
type chain []link

type link struct {
	prefix string // "": identity
	kind   string // as metrics name it
	provider
}

// everything is what no rule names.
var everything = schema.GroupResource{Group: "*", Resource: "*"}

// plainly is the chain of what no rule names.
func plainly() chain { return chain{{"", "identity", identity{}}} }

// of is the chain of an object.
func (c *Codec) of(key string) (chain, string) {
	res, ok := c.resourceOf(key)
	if !ok {
		return plainly(), ""
	}
	r := c.rules.Load()
	for _, at := range []schema.GroupResource{res, {Group: res.Group, Resource: "*"}, everything} {
		if found, ok := r.chains[at]; ok {
			return found, res.String()
		}
	}
	return plainly(), res.String()
}

// Seal implements store.Codec.
func (c *Codec) Seal(key string, plain []byte) ([]byte, error) {
	use, res := c.of(key)
	first := use[0]
	sealed, err := first.seal(key, plain)
	c.metrics.transformed("to_storage", first.prefix, res, err)
	if err != nil || first.prefix == "" {
		return sealed, err
	}
	out := make([]byte, 0, len(first.prefix)+len(sealed))
	return append(append(out, first.prefix...), sealed...), nil
}

// Open implements store.Codec.
func (c *Codec) Open(key string, stored []byte) ([]byte, error) {
	plain, _, err := c.open(key, stored)
	return plain, err
}

// Stale implements store.Ager.
func (c *Codec) Stale(key string, stored []byte) bool {
	_, stale, err := c.open(key, stored)
	return err == nil && stale
}

var errNoPrefix = errors.New("no matching prefix found")

func (c *Codec) open(key string, stored []byte) (plain []byte, stale bool, err error) {
	use, res := c.of(key)
	var errs []error
	for i, l := range use {
		if !bytes.HasPrefix(stored, []byte(l.prefix)) {
			continue
		}
		plain, stale, err := l.open(key, stored[len(l.prefix):])
		if err == nil {
			c.metrics.transformed("from_storage", l.prefix, res, nil)
			return plain, stale || i > 0, nil
		}
		if l.prefix != "" || len(use) == 1 { // what identity cannot read others may
			c.metrics.transformed("from_storage", l.prefix, res, err)
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		c.metrics.transformed("from_storage", "unknown", res, errNoPrefix)
		errs = append(errs, errNoPrefix)
	}
	return nil, false, fmt.Errorf("unable to decrypt: %w", errors.Join(errs...))
}
