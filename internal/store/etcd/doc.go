// Package etcd keeps the store's log in an etcd v3 cluster, so that several servers share one.
//
// # What lies in etcd
//
//	/registry/...                     objects under their keys as they are given, as upstream's API server keeps them
//	/registry/floe.dev/base           decimal; what is added to every revision. Absent: 0
//	/registry/floe.dev/txn            overwritten by every transaction: who, why, when, and its keys in order; see txnrecord.go
//	/registry/floe.dev/place/registry/...
//	                                  decimal; the place of an object in its transaction when it is not 0
//	/registry/floe.dev/fence          overwritten to shut out what may still be on its way; see below
//	compact_rev_key                   how servers, upstream's too, take turns at compacting
//
// One watched prefix, /registry/, holds all but the last. Keys below /registry/floe.dev/ are never handed to callers, and a
// transaction that names one is refused. So no API group called floe.dev can be served from here.
//
// # Revisions
//
// All keys of an etcd transaction share one ModRevision, and a record wants a revision of its own:
//
//	revision = base + ModRevision x 128 + place
//
// A place key is written beside the object in the same transaction, and counts only when its ModRevision is the object's: a
// stale one is harmless, and most objects, written alone, never have one. A state of etcd, at its revision R, is the log's
// revision base + R x 128 + 127, above every place. Everything below base belongs to another log that this one
// was restored from, and has expired.
//
// A foreign write, such as another program's, overwrites no transaction key. Its records take the order of etcd's events; their
// actor is not known and their time is zero. That several keys share a foreign transaction is seen by the follower only, so their places
// are known to this process alone, and other processes take them as 0: a conflict more, never a lost update. A foreign
// transaction with more changes than there are places ends the follower with ErrExpired, and its table loads again. A foreign
// deletion leaves the object's place key behind, stale.
//
// # Unknown outcomes
//
// A member that dies may take the answer to a transaction with it. Every transaction carries an identity in the transaction key and
// compares the fence key's ModRevision. When an answer is lost, the fence is overwritten: what was still on its way can then
// never be committed, and what was committed stands in the history of the transaction key. So the transaction is either
// acknowledged, or known not to be and tried again; it is never repeated blindly, and does not conflict with itself.
// Other writers that the fence met on their way are refused by it, learn the new one and try again.
//
// # What is sealed
//
// The values of objects, when there is a codec. Keys, actors and causes are in the clear.
//
// # Laws
//
//   - Nothing is acknowledged that a quorum has not made durable.
//   - A follower gets every change once, in order, and transactions whole, over any number of broken connections.
//   - A revision that Sync returns is read from a quorum after the call began.
//
// # Locks
//
// turns.mu, then Log.mu; Log.follow.mu and foreign.mu alone. None is held during a call to etcd or to a caller.
//
// # What it leaves to others
//
// Running etcd's members, and defragmenting them. Keeping the records of minor changes out of history: etcd's
// history is cut by time alone.
package etcd
