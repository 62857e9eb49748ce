// Package differential has only tests: they hold floe's decisions against those of kube-scheduler, on thousands of random clusters.
//
// The clusters and pods come from test/peers/scheduling/cases, by family of rules; what kube-scheduler decided is recorded in
// test/peers/recorded/scheduling. For each pod: the same nodes fit; those that do not are refused by the same plug-in with the same code and
// reasons; floe's choice is among those to which upstream gives the highest score, and its score is upstream's; a pod that fits nowhere gets
// upstream's message; whom preemption evicts, and from which of the nodes that upstream finds equally good.
//
// A family whose rules floe does not have yet stands in the list of pending ones, and the test fails as soon as it passes. What differs for a reason
// stands in the list of exceptions, which holds five at most.
//
// To see what differs: go test ./internal/scheduler/differential -findings FILE writes a paragraph for each difference, the first few of each sort.
package differential
