// Package jsonpatch changes JSON documents by JSON patches (RFC 6902) and JSON merge patches (RFC 7386), as the library that upstream
// uses for them does, in memory proportional to what comes in.
//
// # Why it is here
//
// That library reads a document level by level and copies at each level what lies below. A merge patch of 1 MiB inside 9,000 objects takes it
// 9 GB, and copies of copies know no end at all: one request stops a server. Here a document is scanned once, which notes where each object and
// list ends; a level is read when it is needed, without copying, and what is not needed is skipped.
//
// # Laws
//
//   - The result is the library's, byte for byte: what was read is written with its names in order, the rest as it came. So are the texts of
//     errors, which clients are told. The tests hold this against the library itself. Where it fails by a panic (null in a list that is compared, a replacement of the whole by nothing), an
//     error is returned.
//   - The operations of one patch copy at most maxCopied bytes and make a document at most maxGrown bytes larger by that, which is measured whenever they have
//     copied as much; a document is at most maxDepth deep.
//
// # What it leaves to others
//
// How a patch is decoded and how many operations it may have: package api. Documents handed in are valid JSON; they are not changed.
package jsonpatch
