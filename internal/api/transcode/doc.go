// Package transcode writes the JSON of an object straight from its protobuf message, without making the Go object between them.
//
// An answer in JSON used to cost a decoded object, with an allocation for each of its strings, pointers and maps, and then a walk over
// that object by reflection. Both forms hold the same fields, so the one is read here while the other is written.
//
// # Vocabulary
//
// A message is what a published type's Marshal returns. A plan is what one Go type of the API means: its fields in the order of their
// JSON, each with its number in the message. A codec writes one value. A span is where a field stands in a message.
//
//	message   0a 1c (metadata) 0a 03 "web" ...  12 40 (spec) ...
//	            |                                 |
//	plan      ObjectMeta                        PodSpec              compiled once a type, from the tags of its fields
//	            |                                 |
//	JSON      {"metadata":{"name":"web",...},   "spec":{...}}
//
// # Laws
//
//   - What is written is, byte for byte, what encoding/json makes of the object that the message decodes to, with its resourceVersion set.
//   - Only messages as the generated code writes them are read: known fields in the order of their numbers, each at most once unless it is
//     repeated, the keys of maps sorted. Any other message, of another writer or broken, is ErrUnusual: the caller decodes it, and so has all the
//     decoder's rules (what repeats is merged, what is unknown is passed over) and its errors, which exist once.
//   - The work is linear in the message: each byte is looked at once for every message that it is within, and those are at most maxDepth.
//   - A type with a MarshalJSON that is not known here is decoded and asked, alone, where it stands.
//
// A type that no plan can be made for is an error of Compile, never a wrong answer.
//
// # What it leaves to others
//
// The object's kind and apiVersion, which are not stored: package wire. Envelopes: package api.
package transcode
