// Package backup keeps the newest state of a store's log in one file that belongs to no engine and no cluster: what one
// log has saved, any other can be restored from.
//
// # Vocabulary
//
// A snapshot is the file. The source is the log that is saved, the destination the one that is restored into. A frame
// is a checked piece of the file. A snapshot is sealed when its values went through a store.Codec; keys, actors and causes
// are never sealed. A collection is what stands under the first two elements of a key's path, such as /registry/pods.
//
// # The file
//
//	"floe snapshot 1\n"       the format
//	frame 'h'                 header, JSON: format, version of floe, time, name of the codec
//	frame 'r'  *              records, keys strictly rising (by bytes)
//	frame 't'                 trailer; nothing follows it
//
//	frame:
//	kind      byte            'h', 'r' or 't'
//	length    4 bytes BE      of the payload: at most 4 KiB, 2 MiB and exactly 56 bytes
//	payload
//	checksum  4 bytes BE      CRC-32C of kind, length and payload
//
//	payload of a record:
//	flags     byte            1: minor
//	revision  uvarint
//	previous  uvarint         less than revision; 0: none
//	time      varint          microseconds since 1970
//	key       uvarint length, bytes
//	actor     uvarint length, bytes
//	cause     uvarint length, bytes
//	value     the rest        sealed when the header names a codec
//
//	payload of the trailer:
//	records   8 bytes BE      how many there are
//	revision  8 bytes BE      of the state; no record has a higher one
//	bytes     8 bytes BE      of the file before the trailer's frame
//	digest    32 bytes        SHA-256 of those bytes
//
// The revision stands in the trailer since a log that is being written knows it only when all has been read. The
// checksums find damage early and say where it is; the digest, with the count and the length, binds the whole. None of it
// is proof against somebody who writes a file on purpose: that is the codec's part, for values.
//
// # Laws
//
//   - Save never holds more than one record, and writes nothing that Verify would refuse.
//   - Nothing that a file says is believed before it is checked: a length costs memory only as bytes arrive, and never
//     more than one record's limit. Whatever is wrong is refused with the offset of the byte where it was seen.
//   - A format that is not known is refused by its name, never guessed at.
//   - Restore writes nothing before it has verified all, and opened every sealed value.
//   - Restore replaces nothing: every key must be absent, and every revision above all that clients may have seen.
//   - SaveFile shows a whole, synced file under its name, or none.
//
// # What it leaves to others
//
// Restored records keep actor, cause and minor; revision and time are those of the destination, the file keeps the old ones. Making
// the destination, with revisions that begin store.RevisionLeap above the snapshot's, and removing it after a failed restore
// are the caller's, as is the name of the file in errors of Save, Verify and Restore. Older versions of the keys,
// the log's history, are not saved.
//
// There is no lock; Restore's goroutines share one queue and end before it returns.
package backup
