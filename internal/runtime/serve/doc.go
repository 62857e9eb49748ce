// Package serve answers CRI v1 over gRPC on a unix socket, so that crictl and other kubelets can use the runtime.
//
// # Story
//
// Listen makes the socket; Serve registers a Runtime's methods as CRI's two services and answers until its context ends. The package is
// thin: a request goes to the method of its name, and that method's error, which has a gRPC code already, goes back. Added here are the
// calls that stream, which have no use within one process: lists cut into pieces, and events.
//
// # Laws
//
//   - Only root connects: the socket has mode 0600 from the moment that its name exists.
//   - Messages of up to MaxMessage bytes go both ways, as kubelets' clients have it. Streamed lists stay below whatever the total is.
//   - Ending Serve ends no container, and no request is cut off that is over within a moment. Streams of events end with Unavailable.
package serve
