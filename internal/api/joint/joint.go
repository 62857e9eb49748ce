// Package joint is what floe's own parts and the API say to each other beyond Kubernetes' API: names only, no code.
//
// # The joint watch
//
// A GET of Path follows several collections at once. Each parameter Of is what an ordinary watch would ask for, such as
// /api/v1/pods?fieldSelector=spec.nodeName%3Done; each collection is authorized as its watch is. The answer is an ordinary watch in protobuf, frames
// of WatchEvents, but of all the collections together:
//
//   - With After, every later change; without it, first everything that exists, as ADDED.
//   - A BOOKMARK is a mark: everything up to its revision has been said, and a transaction ends there. Between marks, changes come in the order
//     of their revisions; only what comes before the first mark of a watch without After may repeat an object.
//   - A mark follows at once on changes, and otherwise comes every MarkEvery.
//   - An ERROR ends it, with the code 410 when what comes next is no longer kept.
//
// # Headers
//
// A request's CauseHeader says why it writes; an answer's RevisionHeader is the revision of the record that a write made, or of the object's last one
// when it made none. Both are only for floe's own identities and for administrators; other users' causes are not kept.
package joint

import "time"

const (
	// Path is where the API serves the joint watch.
	Path = "/floe.dev/v1/watch"
	// Of names a collection, and After the revision after which changes are wanted.
	Of, After = "of", "after"
	// CauseHeader is escaped as a segment of a path is; the API keeps the first MaxCause bytes of it.
	CauseHeader = "Floe-Cause"
	MaxCause    = 1 << 10
	// RevisionHeader is a decimal number.
	RevisionHeader = "Floe-Revision"
	// MarkEvery is how long a joint watch is silent at most.
	MarkEvery = 15 * time.Second
)
