// Package managed tracks who owns which field of an object, as metadata.managedFields shows it, and applies what a client declares of an object.
//
// # Vocabulary
//
// A manager is who writes: a name, and whether by update or by apply, in which version and through which subresource. An owner is a manager with
// the set of fields that it owns. A path element is one step in an object: a field (f:spec), an element of a list that is known by its keys
// (k:{"name":"main"}) or by its value (v:"x"). A shape is a Go type compiled for the walk. A field is atomic when it is owned as one, whatever is in it.
//
// # Laws
//
//   - What Update makes is what upstream's field manager makes, to the byte; a test holds fuzzed objects of every kind against it.
//   - An update that changes nothing changes no owner and no time.
//   - What nobody owns any more leaves no owner behind; at most ten managers by update are kept apart.
//   - Fields that the system sets (name, uid, versions, times of creation) and those that the kind's strategy resets are owned by nobody.
//
// # Two halves
//
// Writes are many and applies few. A write (Tracker.Update) walks the old object and the new one side by side, by reflection that is compiled once for
// each type, and writes sets of fields directly: no schema is loaded, and nothing is copied into another form. schema.txt has the little that the published schemas
// say and Go types do not. An apply is left to structured-merge-diff, whose schema is made from the OpenAPI documents when it is first needed.
//
// # What it leaves to others
//
// Reading requests, defaults, validation and storing belong to api; what a kind's strategy resets stands with the kind.
package managed
