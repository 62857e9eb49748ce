package pebble

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// comparer orders database keys by their bytes, as pebble's default does, and tells it which part of a version's key names
// the object: filters are built on that part, so that asking for a key that is absent reads no block.
func comparer() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = "floe.versions.1"
	c.Split = func(k []byte) int {
		if len(k) > 0 && k[0] == versionPrefix {
			if n := bytes.IndexByte(k, 0); n >= 0 {
				return n
			}
		}
		return len(k)
	}
	// The least name above a. Names hold no zero byte.
	c.ImmediateSuccessor = func(dst, a []byte) []byte { return append(append(dst, a...), 1) }
	return &c
}
