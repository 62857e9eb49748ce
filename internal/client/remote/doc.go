// Package remote is the client of floe's own parts when the API runs in another process: HTTPS, protobuf, and a table of its own.
//
// # Vocabulary
//
// A selection is what a component views and watches of one resource. The joint watch is the one request that follows all selections
// together, see package joint. A mark is the server's word in it that everything up to a revision has been said. The source is what the
// client's table is fed from.
//
// # Why one watch and not one for each resource
//
// Revisions are of one log, and a view must show each transaction whole. With a watch for each resource a change could be shown only once every
// other watch had passed its revision, and a watch says so only when it has something to say: either all of them speak after every
// transaction in the cluster, which makes each write wake every client, or the views lag by the time between bookmarks. One
// watch of all selections knows it at once and costs nothing but its own changes; its frames are upstream's. So the server has this one addition,
// and Get and all writes are upstream's paths and bodies.
//
// # Laws
//
//   - The table moves from mark to mark: views stand at a mark, and a mark stands at the end of a transaction.
//   - What the server says is checked before any of it reaches the table: frames, types, names, revisions, and that each object can be
//     read. What does not hold ends the watch, and the next one begins at the last mark.
//   - A watch that breaks, or is silent for too long, is begun again after a rest that doubles up to a bound, for ever. Only a server that
//     has no longer what comes next (410) makes the state be loaded anew, and the table takes the difference.
//   - A request is sent once. Of a write that may have arrived and has no answer the outcome is unknown: a Timeout that says so.
//     One that cannot have arrived is ServiceUnavailable.
//
// # Locks and goroutines
//
// Run owns the one goroutine that feeds the table, and, while a watch is open, the one that listens for silence. All other calls run on
// their callers' goroutines; Bind has some of its own and waits for them. The only lock is around the last failure to load, and is
// held for no call.
//
// # What it leaves to others
//
// Who the client is: the transport that it is given carries the credentials. What stored objects are like is api's, the
// table is store's, and the contract client's.
package remote
