// Package bench measures a Kubernetes API from outside: how long its answers take, how many it gives in a second, and what its processes on
// this machine pay for them. It knows nothing of floe, so that any server is measured in the same way.
//
// # Vocabulary
//
// A scenario is one thing worth measuring, a value in the table of scenarios.go: it prepares (makes objects, opens watches) and hands back a
// plan. A plan holds the operation, which the one loop (loop.go) runs --count times or for --duration with --clients workers. Each worker has a
// session: its own connection, and the buffers it uses again. A cluster (cluster.go) is what a scheduler is measured on; whoever knows one makes a scenario of it
// beside the table. An error's class is a short name with few values ("409 Conflict", "timeout").
//
// # Laws
//
//   - Closed loop: a worker begins its next operation when the last one has ended, so a latency contains no wait inside this program.
//   - Bodies are encoded once and only numbered afterwards; the client side is kept as cheap as it can be, since it shares the machine.
//   - Nothing is throttled, repeated or hidden: an answer that is not 2xx is counted by its class and is in no latency.
//   - Preparing and cleaning up are not measured. What a scenario made it removes, also after an error or an interrupt.
//   - A server that is gone ends the run with ErrServerGone; garbage from a server is an error class, never a panic.
//   - CPU is that of the processes that are named, user and system time, as Linux counts it: in steps of 10 ms.
//
// # Locks
//
// tracker.mu and fanout.mu are leaves: nothing is called and no other lock is taken under them. Workers share nothing else but atomics.
//
// # What it leaves to others
//
// Flags, signals and the choice of time are the program's (cmd/floe-bench). Starting the servers to compare with is test/peers' work.
package bench
