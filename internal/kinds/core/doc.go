// Package core holds the kinds of the group that has no name: one function each, all that is particular to the kind in its file.
//
// # Laws
//
//   - Every function that returns a kind returns a new value; nothing here is package-level state.
//   - A kind's texts (messages, columns, paths) are upstream's, since clients see them.
//
// # What it leaves to others
//
// The pod specification stands in podspec, since templates have it too. Events are written by client/record.
package core
