// Package fairness decides which requests the API serves at once, which wait and which it refuses, so that nobody who asks much takes the server from
// those who ask little. It follows upstream's API priority and fairness (KEP-1040), with its objects, headers, metrics and pages.
//
// # Vocabulary
//
// A flow schema says which requests belong together; the first that matches, by precedence, has the request. It names a priority level, which has seats:
// how many requests of width one it may run at a time. A request takes as many seats as it is estimated to be wide, and may keep some a while after it was
// answered, for what it costs watchers (it lingers). A flow is the requests of one schema and one distinguisher, a user or a namespace. The
// flows of a level are dealt onto its queues: each has a hand of a few, and a request joins the one of its hand with the least work. A ticket is one
// request's place in all this.
//
// # How queues take turns
//
// R is a level's virtual clock: the seat-seconds that each busy queue has had, were seats handed out evenly in infinitely small parts. A queue's next start is
// the R at which its first request would begin in that world; it moves by the work that is dispatched from it (seats × an assumed 3 ms, and
// what lingers), and is corrected when the real time is known. Of the queues that wait, the one whose first request would end soonest goes
// first. A start never lies before the arrival of the request that it is about, so that nobody saves up turns.
//
// # Who works
//
// A request that has seats works by turns (turns.go): as many at a time as there are processors, and beside them whoever's flow had nobody at work. A turn is given away while
// its request waits for something outside, which it says through package aside. This is floe's own; upstream has seats alone.
//
// # Laws
//
//   - The seats in use never pass a level's limit by a dispatch, but for one request that is wider than the limit: it runs alone.
//   - While a request waits and the next one in turn fits, it runs: no seat is kept empty on purpose.
//   - Every request that waits is dispatched, or gives up when its patience ends. No flow waits for ever for others.
//   - A machine (machine.go) knows no clock, lock or goroutine: what happens depends on what it was told, in order, and the times in that.
//   - Nothing grows without bound: queues have lengths, tallies exist for the flow schemas that are stored, and those of a level that is gone go with it.
//
// # Locks
//
// Controller.mu, over changes of the configuration, is taken before the mutex of a level, over its machine. No two levels' mutexes are held together. The mutex
// of turns is a leaf.
// A request that finds a place takes one mutex twice, for well under a microsecond, and allocates nothing.
//
// # What it leaves to others
//
// Who a request comes from: auth. How a refusal is written: wire. The initial objects, and what a flow schema's status says of its level: bootstrap.
package fairness
