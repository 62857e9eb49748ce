package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
)

// Item is one object at one revision. It is immutable, and may be copied; copies share their cached forms.
type Item struct {
	Key      string
	Revision Revision

	value []byte // the stored bytes, or what they were packed into; shared, never written
	whole int    // the length of the stored bytes where value is packed; 0: it is not
	cell  *cell  // nil in an Item that no Store made
}

// NewItem returns an item that is in no store: it has no decoder, and caches nothing. It keeps value, which must not be changed any more.
func NewItem(key string, value []byte, rev Revision) *Item {
	return &Item{Key: key, Revision: rev, value: value}
}

// Value returns the stored bytes, which must not be changed: they are shared where they are held whole, and made for the caller where they are held
// packed, in some 40 µs for each 100 KiB. Who reads many items or one several times uses a Scratch or keeps the answer.
func (i *Item) Value() []byte { return (*Scratch)(nil).Value(i) }

// Size is the length of Value, in bytes. It costs nothing.
func (i *Item) Size() int {
	if i.whole > 0 {
		return i.whole
	}
	return len(i.value)
}

// Held is how many bytes the value takes as it is held.
func (i *Item) Held() int { return len(i.value) }

// Is says whether value is the item's.
func (i *Item) Is(value []byte) bool { return len(value) == i.Size() && bytes.Equal(value, i.Value()) }

// FormID names one encoding of an item. Callers number theirs from zero; negative ones belong to the store.
type FormID int

// objectForm is the decoded object.
const objectForm FormID = -1

var errNoDecoder = errors.New("store has no decoder for the key's collection")

// Object returns the item's decoded object, made by the collection's Decode at most once while the bounded cache holds
// it. It is shared and must not be changed. Errors are not cached.
func (i *Item) Object() (any, error) {
	if f := i.cell.find(objectForm); f != nil {
		return f.value, nil
	}
	if i.cell == nil || i.cell.collection.Decode == nil {
		return nil, fmt.Errorf("decode %s: %w", i.Key, errNoDecoder)
	}
	object, size, err := i.cell.collection.Decode(i)
	if err != nil {
		return nil, fmt.Errorf("decode %s at revision %d: %w", i.Key, i.Revision, err)
	}
	return i.cell.keep(&form{id: objectForm, value: object, size: int64(size)}).value, nil
}

// Form returns the item's form id, made by make at most once while the bounded cache holds it; when several callers miss at
// the same time each makes it and one result is kept. The bytes are shared and must not be changed. Errors are not cached.
func (i *Item) Form(id FormID, make func(*Item) ([]byte, error)) ([]byte, error) {
	if f := i.cell.find(id); f != nil {
		return f.bytes, nil
	}
	b, err := make(i)
	if err != nil {
		return nil, fmt.Errorf("encode %s at revision %d: %w", i.Key, i.Revision, err)
	}
	if i.cell == nil {
		return b, nil
	}
	return i.cell.keep(&form{id: id, bytes: b, size: int64(len(b))}).bytes, nil
}

// Cached returns the item's form id when the bounded cache holds it; nil when it does not. The bytes are shared and must not be changed.
func (i *Item) Cached(id FormID) []byte {
	if f := i.cell.find(id); f != nil {
		return f.bytes
	}
	return nil
}

// cell is what changes about an item: the forms that are cached now. It is apart from the item, so that a form in the
// cache does not keep the bytes of an item that is gone.
type cell struct {
	collection *collection
	places     []string // the keys in the tree of indexes that the item stands under
	forms      atomic.Pointer[form]
}

// index finds out what the item stands under. It is called once, before others see the item.
//
// The item's key becomes a part of its first place, so that the table keeps its bytes once.
func (i *Item) index() {
	c := i.cell
	if c == nil {
		return
	}
	for _, index := range c.collection.Indexes {
		for _, v := range index.Values(i) {
			if strings.Contains(v, "\x00") {
				continue
			}
			if place := indexKey(c.collection.Prefix, index.Name, v, i.Key); !slices.Contains(c.places, place) {
				c.places = append(c.places, place)
			}
		}
	}
	if len(c.places) > 0 {
		i.Key = c.places[0][len(c.places[0])-len(i.Key):]
	}
}

// topic returns the index and the value that one of the places stands for.
func (c *cell) topic(place string) topic {
	index, rest, _ := strings.Cut(place[len(c.collection.Prefix)+1:], "\x00")
	value, _, _ := strings.Cut(rest, "\x00")
	return topic{index: index, value: value}
}

// find returns a cached form and marks it as used, without a lock; nil when it is not cached.
func (c *cell) find(id FormID) *form {
	if c == nil {
		return nil
	}
	for f := c.forms.Load(); f != nil; f = f.next {
		if f.id == id {
			// Written only when it changes, so that readers of a hot item do not fight for its cache line.
			if !f.used.Load() {
				f.used.Store(true)
			}
			return f
		}
	}
	return nil
}

// keep caches f, or returns the form that another caller has cached meanwhile.
func (c *cell) keep(f *form) *form { return c.collection.cache.add(c, f) }
