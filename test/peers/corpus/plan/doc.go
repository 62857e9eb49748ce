// Package plan makes the requests of the differential corpus: some hundred of each kind, good and bad, from a few good objects.
//
// A file in ../objects says of one kind what is particular to it: good objects, written by hand with every field that matters, what its status may
// be, and by which fields it is selected. All else follows from the objects' own shape, the same each time: each field in turn is removed, emptied, given a value
// of a wrong type or out of range, repeated, and so on (mutate.go), and around them stand the requests that every kind answers: reads in each form, lists,
// pages and watches, each way to change and to delete.
//
// # Laws
//
//   - The same file gives the same requests, byte for byte.
//   - The requests of one kind do not depend on those of another: each makes its own namespace, or objects with names of their own.
//   - Bad objects are sent with dryRun, so that nothing piles up, and at the end the kind's own objects are gone.
//   - A request has a name of its own among those of its kind, which says what is tried: lists of differences name it.
//
// # What it leaves to others
//
// Package transcript says how a request stands in a file, and what of an answer is compared.
package plan
