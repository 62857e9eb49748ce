// Package webhook asks another server by reviews over HTTPS, as kube-apiserver does: who has a token (authenticate below), who may do what (authorize below), and
// which images pods may run (package admission/imagepolicy). Here is what they share: whom to ask, asking, and asking again.
//
// # Vocabulary
//
// A peer is the other server, as a kubeconfig file names it. A question is a review with a specification, an answer the same review with a status.
//
// # Laws
//
//   - What is no answer is an error: another status than 2xx, something that is no JSON, another kind, no status. What follows from an error is the asker's to say.
//   - A question takes no longer than its request. Each attempt has the client's timeout; there are at most five, half a second apart, if nobody says else, and then half as
//     long again each time, and only for what may pass: broken connections, 429, 500, 504, and answers that name a delay. Silence is not asked again.
//   - No answer takes more than 1 MiB of memory, and no redirect leads to another server.
//
// # What it leaves to others
//
// Remembering answers, and what they mean.
package webhook
