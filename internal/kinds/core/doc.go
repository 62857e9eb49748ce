// Package core holds the kinds of the group that has no name: one function each, all that is particular to the kind in its file.
//
// # Laws
//
//   - Every function that returns a kind returns a new value; nothing here is package-level state.
//   - A kind's texts (messages, columns, paths) are upstream's, since clients see them.
//   - Where an update is judged by what was there before, ValidateUpdate does all of it, in upstream's order of errors, and Validate only what is new.
//
// # What it leaves to others
//
// The addresses and ports of services are allocated by who knows which are free. Protected volumes and claims are let go by controllers. Tokens of
// service accounts are made by who holds the keys. The pod specification stands in podspec, since templates have it too. Events are written by client/record.
package core
