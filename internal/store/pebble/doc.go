// Package pebble keeps the store's log in one directory on one machine, on cockroachdb/pebble.
//
// # What lies on disk
//
//	VERSION                    "floe log 2\n"; without it a directory that is not empty is refused
//	REACHED                    a revision that the log is known to hold; a log that ends before it has lost a file's end
//	RESERVE                    empty space, given back when the disk is full so that deleting still works
//	LOCK, *.log, *.sst, ...    pebble's own files
//
//	"o" key 00 ^revision (8 bytes BE)  one version of a key, the newest first, see codec.go
//	"r" revision (8 bytes BE)          one row per record: whose version it is, and what it replaced
//	"m" name                           numbers: base, floor, recent
//
// A value lies on disk once, in its version. The state is the first version of every key; a past state is, for every key, the first
// version at or below its revision. Revisions have no gaps, and the newest row is never taken away, so that the last
// "r" key is the revision of the state; base is where a restored log begins.
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
// # How history goes
//
// Rows are also the queue of the pruner, a third goroutine. It walks them twice, in order:
//
//	0 ............ floor .................. recent .................. head
//	  versions       replaced versions        everything: rows are
//	  replaced here  are there, but the       complete and can be
//	  are gone       minor ones               followed
//
// A version that was minor and is gone leaves its mark in the version that follows it, see version.gap, so that a read that would
// need it is refused and never answered wrongly.
//
// # Laws
//
//   - Groups become durable, are answered and are followed in the order of their revisions.
//   - A transaction lies in one pebble batch, so a crash keeps all or nothing of it.
//   - A record of a format that is not known is refused by the name of its key, never guessed at.
//   - After the first failed write or sync nothing is answered with success any more.
//   - floor <= recent <= the follower's place <= durable. floor and recent are raised before anything below them is
//     taken away, so that a reader who finds them low enough after it has taken its iterator reads everything.
//
// There is one lock, Log.mu; it is held for map and slice operations only.
package pebble
