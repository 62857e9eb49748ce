// Package review answers the kinds that ask who somebody is and what somebody may: those of authentication.k8s.io and authorization.k8s.io, and how the parts
// of the control plane are.
//
// # Vocabulary
//
// A review is an object of which nothing is stored: the client sends a question, and the answer is the same object with a status.
//
// # Laws
//
//   - A review asks the same authenticator and the same authorizer as every request, so that what it says is what happens.
//   - That something is not allowed is an answer, never an error.
//
// # What it leaves to others
//
// What is wrong with a question is said by kinds/authorization; who may ask is decided by api before a question comes here.
package review
