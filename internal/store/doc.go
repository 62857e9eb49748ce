// Package store is where objects live: one totally ordered, durable log of changes, and one in-memory
// table of the objects that the log adds up to.
//
// # Vocabulary
//
// A record is one change of one key. A transaction is one or more records, each key once, that stand or
// fall together. Every record has a revision of its own; revisions only rise. The head is the newest
// state, records that are not yet synced included; the table is the newest durable state. An item is one
// object in the table: its stored bytes at one revision, immutable; large ones are held packed (compressed), and expanded for
// who reads them. A form is something made from the
// bytes, a decoded object or another encoding, kept in one bounded cache. An index maps a value read
// from the bytes to the items that have it. A cursor is a reader's place in the events of one prefix.
//
// # Laws
//
//   - A transaction is acknowledged only when it is durable, and visible (table, cursors, answer) only then,
//     in revision order, whole.
//   - A condition compares with the head, so that writers of one key need not wait for each other's sync. A
//     refusal that rests on an unsynced record is answered after that record's sync.
//   - A snapshot never changes. Nothing in an item is written after it entered the table, its cache of forms
//     excepted.
//   - A list at a snapshot and a cursor from its revision see every change exactly once, in order; a cursor
//     that has fallen out of the ring gets ErrExpired, and never slows a writer.
//   - A failed sync ends the log: every waiting and later write fails.
//
// # What it leaves to others
//
// The store knows keys, bytes and revisions. What the bytes mean, who may write them and why is said by
// the packages kinds and api.
package store
