// Package authorize asks another server who may do what, by a SubjectAccessReview over HTTPS, as upstream's webhook authorizer.
//
// # Vocabulary
//
// A question is the specification of a review. Conditions, in CEL, say which questions are asked at all. The failure policy is the decision for what could
// not be asked: NoOpinion or Deny.
//
// # Laws
//
//   - What is not answered is never allowed: an error, a refused status, an answer that is no review, or one that says yes and no at once (a Deny).
//   - An answer is remembered for the time that was set for yes or for no, at most 8,192 of them, and not when the client could blow up the question.
//   - A question takes no longer than its request. Each attempt has the timeout; there are at most five, half a second apart and then half as long again each
//     time, and only for what may pass: broken connections, 429, 500, 504, and answers that name a delay. Silence is not asked again.
//   - No answer takes more than 1 MiB of memory.
//
// # What it leaves to others
//
// The file that names the server, and whom else to ask, belong to package authorization. An Authorizer is safe for concurrent use.
package authorize
