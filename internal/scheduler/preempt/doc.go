// Package preempt finds whom a pod that fits nowhere may put out: kube-scheduler v1.36's DefaultPreemption, remembered
// instead of tried anew.
//
// Upstream copies every node that refuses the pod, takes all pods of lower priority away, and puts back as many as it can:
// 30 ms with 5,000 nodes. Here what came of that is kept by node and kind of pod, and a decision tries only the nodes that
// changed since the last one like it; then it compares the outcomes, a few nanoseconds each.
//
// # Vocabulary
//
// The preemptor is the pod that wants room, a victim a pod that would have to go. A candidate is a node with the victims
// that would do. A budget is a PodDisruptionBudget; a victim violates it when it has no disruptions left to allow.
//
// A memory is the outcomes of one kind of preemptor (place.Trial.Kind, with a priority) by row. It knows what a row says by
// itself. Where rules about domains count pods of the row (it is entangled), or pods are nominated to it, or it is the
// preemptor's own nominated node, the row is tried for the decision at hand; where those rules refuse a row none of whose
// pods they count, no victim there helps.
//
// # Laws
//
//   - Only pods of lower priority are victims, and no more of them than are needed: none could stay while those before it
//     stay (upstream's order: those that violate budgets first, then the most important).
//   - The candidate is upstream's: fewest violations, then the least important most important victim, the smallest sum of
//     priorities, the fewest victims, the latest start of its most important ones; then, where upstream leaves it to
//     chance, the first in the table.
//   - All nodes are tried: minCandidateNodesPercentage is 100, so minCandidateNodesAbsolute means nothing.
//   - What is remembered does not show. Memories are few and bounded by rows.
//   - Nothing here reads a clock or writes anything. Pods that have not started count as the latest to start.
//
// # How a shell uses it
//
//	Decide: no node ─→ other PostFilter plug-ins ─→ Preempt(pod, policy, failure, extend)
//	   plan.Node != "" ─→ Table.Nominate(pod, plan.Node) ─→ Writes(pod, plan), done beside deciding
//	   plan.Clear      ─→ Table.Nominate(pod, "") and an empty status.nominatedNodeName
//	   otherwise       ─→ the nomination stays; failure.Message(Tail(others, plan.Message)) is what is told,
//	                      and with plan.Failed plan.Message alone
//
// # What it leaves to others
//
// Preempt decides; Plan.Writes lists what is then written, and in which order. Who calls it, and what that means for the
// queue, is the scheduler's; so are other PostFilter plug-ins, whose words come before these (Tail).
//
// A Preemptor belongs to the goroutine of its table.
package preempt
