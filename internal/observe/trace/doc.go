// Package trace tells a collector where the time of single requests goes: spans, by OpenTelemetry, sent by OTLP over gRPC as upstream's
// TracingConfiguration (apiserver.config.k8s.io) says.
//
// # Vocabulary
//
// A span is a step of a request, with a name, attributes, events and a beginning and an end; the spans of a request make a tree, its trace. A request is
// sampled when its spans are told. A provider samples, keeps what has ended and sends it. What a request's context carries from one process to the next is in
// the headers traceparent, tracestate and baggage (W3C Trace Context).
//
// # Laws
//
//   - A span begins only below one that is recorded: where there is no provider, or the request is not sampled, Start costs one look into the context and
//     nothing is allocated. Nothing is made when the program starts, and nothing global is set.
//   - Who may not be trusted begins a trace of their own: what their headers say is kept as a link. Nobody makes the server record by asking for it, but its
//     administrators and monitors.
//   - At most maxWaiting spans wait to be sent. More are dropped and counted; nobody waits for the collector.
//   - Names and attributes are kube-apiserver's where both have the step.
//
// # What it leaves to others
//
// Which steps there are: wire has the request's and its verb's, api admission's and authorization's, store the commit's, admission/webhook its calls'.
package trace
