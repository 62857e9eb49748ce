// Package pebble keeps the store's log in one directory on one machine, on cockroachdb/pebble.
//
// # What lies on disk
//
//	VERSION                    "floe log 1\n"; without it a directory that is not empty is refused
//	LOCK, *.log, *.sst, ...    pebble's own files
//
//	"o" key                    the newest record of every key that exists
//	"r" revision (8 bytes BE)  the newest records in order, at most keepRecords or keepBytes of them
//
// Both hold the same bytes, see codec.go. Revisions have no gaps, and the newest record is never pruned, so that
// the last "r" key is the revision of the state.
//
// # How a transaction goes
//
//	Append ── queue ──> commit loop ── group ──> sync loop ──> answers, follower
//	                    conditions, revisions    waits for the disk
//	                    one pebble batch
//
// The commit loop takes everything that waits as one group. While the sync loop waits for the disk, the next
// group gathers, so that the group size follows the disk's speed and a lone writer waits for nobody.
//
// # Laws
//
//   - Groups become durable, are answered and are followed in the order of their revisions.
//   - A transaction lies in one pebble batch, so a crash keeps all or nothing of it.
//   - A record of a format that is not known is refused by the name of its key, never guessed at.
//   - After the first failed write or sync nothing is answered with success any more.
//
// There is one lock, Log.mu; it is held for map and slice operations only.
package pebble
