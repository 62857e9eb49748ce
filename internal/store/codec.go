package store

import "context"

// Codec is encryption at rest: an engine seals values before they leave the process and opens what it reads. Tables
// and records handed to callers hold plain values. It is safe for concurrent use.
type Codec interface {
	// Seal returns what is stored for a key's value; it may not keep or change plain, and returns plain itself when that is stored as it is.
	Seal(key string, plain []byte) (sealed []byte, err error)
	// Open returns the plain value of what Seal made for the same key, by this codec or an older one that it knows.
	Open(key string, sealed []byte) (plain []byte, err error)
}

// Ager is a Codec whose sealed values grow old.
type Ager interface {
	// Stale says that the key's stored value should be sealed anew: not with the newest key, or not at all where it should be.
	Stale(key string, sealed []byte) bool
}

// Aged is a Log that knows how its values are stored.
type Aged interface {
	// Stale says whether the newest value of key should be written anew though it is the same; see Ager. Without a Codec, or of an absent key, it is false.
	Stale(ctx context.Context, key string) (bool, error)
}

// Stale says whether what a key's value is stored as should be written anew though the value is the same. What cannot be read is not stale.
func (s *Store) Stale(ctx context.Context, key string) bool {
	log, ok := s.log.(Aged)
	if !ok {
		return false
	}
	stale, err := log.Stale(ctx, key)
	return err == nil && stale
}
