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
//   - How often and how long is asked, and how much of an answer is read, are the laws of package webhook.
//
// # What it leaves to others
//
// The file that names the server, and whom else to ask, belong to package authorization. An Authorizer is safe for concurrent use.
package authorize
