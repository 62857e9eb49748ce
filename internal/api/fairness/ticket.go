package fairness

import (
	"time"

	"github.com/floe-k8s/floe/internal/auth"
)

// Call is what of a request decides when it runs.
type Call struct {
	User       auth.User
	Attributes auth.Attributes // Resource "" says that it is about Path
	Load       Load
}

// state is where a ticket is. See machine for the picture.
type state uint8

const (
	waits state = iota + 1
	runs
	over
)

// Ticket is one request's place. Make it part of what the request has anyway: Enter fills it, Leave gives the place back. It is for one goroutine and
// one request.
type Ticket struct {
	call          Call
	flow          *flow
	level         *level
	distinguisher string
	forget        func() // of a watch; nil for others
	controller    *Controller
	changes       bool // something that concerns so many watchers
	concerns      int
	flowHash      uint64 // 0 where the level deals no hands
	turn          turn

	// The level's mutex guards what follows.
	tally         *tally
	state         state
	width         Width
	work, lingers seatSeconds // all of it, and what of it lingers
	arrived       time.Time
	arrivedR      seatSeconds
	started       time.Time
	queue         *queue  // nil: it runs without one
	before, after *Ticket // in its line
	ready         chan struct{}
}

// The headers in which an answer says what its request matched.
const (
	SchemaHeader = "X-Kubernetes-Pf-Flowschema-Uid"
	LevelHeader  = "X-Kubernetes-Pf-Prioritylevel-Uid"
)

// Matched are the values of the two headers: the UIDs of the flow schema and of the priority level, empty for those that are assumed because they
// are not stored. They are shared and must not be changed.
func (t *Ticket) Matched() (schema, level []string) { return t.flow.schemaUID, t.flow.levelUID }
