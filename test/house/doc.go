// Package house holds the rules of floe's own source as tests that explain themselves: which way imports run, that every
// package opens with its story, how large a file and a function may be, and which names and calls are refused.
//
// Each rule reads the source as it stands in the work tree, without building it. An exception stands in one list,
// with its reason; an entry that is no longer needed fails too, so that the lists only shrink by themselves.
package house
