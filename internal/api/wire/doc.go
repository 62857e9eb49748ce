// Package wire serves the API over HTTP: it reads requests, asks package api, and writes answers.
//
// # Vocabulary
//
// A call is one HTTP request, past authentication, with what its path means. A format is how an answer is to be written: a media type
// and, when the client wishes, a transformation (a Table, an object's metadata only). A frame is one event of a watch;
// a piece is all the frames that are there when a watcher looks, which go out in one write and one flush (outlet.go). A round is when the watchers of a
// crowd look, all together (rounds.go).
//
// # Laws
//
//   - The path of a call: limits → authenticate → what the path means → authorize → decode → verb → encode.
//   - Every refusal is a metav1.Status with upstream's reason and message, in the format that the client asked for; plain text
//     only where upstream answers plain text.
//   - An answer is made from an object's stored bytes, which are not decoded for it. The JSON that many ask for, frames and small lists, is made
//     once while the table's cache holds it; what is asked for once leaves nothing there.
//   - Nothing that a client sends or leaves unread holds more than a bounded amount of memory: bodies, headers and calls in flight
//     have limits, a watch holds a cursor only and each write to a connection has a deadline. Metrics have series for what is served only.
//
// # Health
//
// The pages have upstream's checks, by the names that monitoring asks for: ping, log, etcd and etcd-readiness (the log, whatever it is),
// informer-sync (the table), shutdown, and under poststarthook/ what Config.Hooks names. startHooks says what stands behind those. What the pages found is
// counted at /metrics/slis.
//
// # What it leaves to others
//
// What verbs do to objects: api. What kinds are: kinds. Who a client is and what it may: auth.
package wire
