// Package shim is what floe and floe-shim agree on: the protocol between them, the files they leave for each other, and the format of
// container logs.
//
// # Story
//
// One floe-shim process stands over one sandbox and outlives any floe. It listens on a unix socket in the sandbox's directory. floe
// connects, says Hello with the protocol's version, and learns the state of every container; from then on it sends requests and is
// told of every change of state. When the connection breaks, whoever still lives goes on: the shim keeps its containers, their logs
// and exit codes, and a new floe connects and says Hello again.
//
// # Wire
//
//	frame   = length body          length: 4 bytes, big endian, of the body; at most MaxFrame
//	body    = JSON of Frame        id 0: an event of the shim; else a request or the answer to the request of that id
//
// An exec or an attach hands descriptors over with its request (SCM_RIGHTS), so what it reads and writes passes neither this protocol nor the
// shim. One of them is its leash: it ends when floe lets go of the other end, or dies.
//
// Answers may come in any order. A frame that is too long, malformed or unexpected ends the connection, nothing else.
//
// # Files
//
// The shim writes c/CONTAINER/state.json (a ContainerState) when a container started and again when it ended, before it tells
// anyone. The file is replaced by rename and not synced: after a power failure nothing runs any more, whatever it says.
//
// # Laws
//
//   - Version 1 is spoken by both or the connection is refused by name. A shim of an older release stays as it is until its pod ends,
//     so floe speaks the versions of the two minor releases before it.
//   - This package imports nothing of Kubernetes and little else: its memory is paid once per pod.
//   - What a container writes is bounded in memory (one line buffer per stream) and never lost because floe is away.
//
// # Left to others
//
// cmd/floe-shim makes the containers; package runtime decides which.
package shim
