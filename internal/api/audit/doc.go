// Package audit keeps the audit trail: who asked what of the API, when, and what came of it, as kube-apiserver writes it (audit.k8s.io/v1).
//
// # Vocabulary
//
// A policy says by rules how much is told of a request: its level, and the stages that are left out. A record is one request while it is
// served; at each stage it becomes an event. A sink takes events; a backend is a sink that somebody runs. A trail is a policy with its sinks.
//
// # Stages
//
//	RequestReceived ──► ResponseStarted (long requests only) ──► ResponseComplete
//	       └──────────────────────┴────────────────────────────► Panic
//
// # Laws
//
//   - Without a policy there is no Trail, and a nil Trail and a nil Record cost nothing: no memory, no lock.
//   - An event that a sink was given never changes.
//   - With the mode blocking-strict no request is served whose RequestReceived was not taken. Otherwise an event that is lost is counted, never waited for.
//   - What waits is bounded: a batch's buffer and how many batches are under way.
//
// A record's lock is taken under no other one; sinks are called under it, so that the stages of a request keep their order.
//
// # What it leaves to others
//
// Who calls it: package wire for requests over HTTP, client/inprocess for floe's own parts, api for decisions of authorization, admission plug-ins for
// their annotations.
package audit
