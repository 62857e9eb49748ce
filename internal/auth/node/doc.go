// Package node decides what the agents of nodes may do, as upstream's node authorizer: each may read what the pods on its own node need, and no more.
//
// # Vocabulary
//
// A node is a user system:node:NAME in the group system:nodes. An object is related to it when a pod that is bound to the node uses the object, directly or
// through a claim and its volume, or when the object itself names the node.
//
// # Laws
//
//   - The table says what is related, at the moment of asking: there is no graph to keep, and none that lags behind. A question looks at the pods of the
//     one node, by the index of spec.nodeName, and at no others. An index of pods by what they use would answer faster and cost every write of a pod its decoding.
//   - A mirror pod, which a node makes itself, relates its node to nothing but itself.
//   - Secrets of a volume are related through a claim of a pod that is bound to the volume which is bound to it. (Upstream takes the volume's word alone.)
//   - Reasons are upstream's, word for word. There is never a Deny: what is not allowed here others may allow.
//
// # What it leaves to others
//
// What a node may write into objects that it may write is seen by the admission plug-in NodeRestriction, in package admission/noderestriction. An Authorizer
// is safe for concurrent use and remembers nothing.
package node
