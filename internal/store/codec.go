package store

// Codec is encryption at rest: an engine seals values before they leave the process and opens what it reads. Tables
// and records handed to callers hold plain values. It is safe for concurrent use.
type Codec interface {
	// Seal returns what is stored for a key's value; it may not keep or change plain.
	Seal(key string, plain []byte) (sealed []byte, err error)
	// Open returns the plain value of what Seal made for the same key, by this codec or an older one that it knows.
	Open(key string, sealed []byte) (plain []byte, err error)
}
