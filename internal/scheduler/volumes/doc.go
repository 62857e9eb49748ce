// Package volumes has kube-scheduler v1.36's rules about volumes, as rules of package place: VolumeRestrictions,
// NodeVolumeLimits, VolumeBinding and VolumeZone; and what is written before a pod whose claims have no volume yet is bound.
//
// Upstream looks through all volumes of a class for every node and every pod. Here an Index is told of every change and keeps
// things where the question will be: free volumes by the label of the node that they can be reached from and by size, what is
// attached by node. A question about a node costs the pod's volumes and what there is at that node.
//
// # Vocabulary
//
// A claim is a PersistentVolumeClaim, a volume a PersistentVolume. A claim is bound when it names a volume and the controller
// has said that it is done; it waits when its class binds for the first consumer; otherwise it ought to be bound already.
//
// A waiting claim gets a static match (the smallest free volume that will do, or the one reserved for it by name), or it is
// provisioned: its class' driver makes a volume once the claim says for which node.
//
// Reach is where a thing can be had: a label and its value, for most, or whatever their selector says. A shelf holds things
// by their reach.
//
// An assumption is a volume or a claim as it will be once the API has been told: a decision counts from the moment it is
// made. It stands until the API serves another version of the object, whatever that says, or until it is taken back.
//
//	Decide ─→ Index.Assume ─→ Bindings.Writes ─→ written, one by one ─→ Index.Check … until bound ─→ bind the pod
//	                              └─ refused ─────────┴─ no more possible, or too long ─→ Index.Undo
//
// # Laws
//
//   - What Assume chooses is what the rule found when it said that the node will do, as long as nothing changed in between.
//   - A rule's key is made of what the claims ask for, not of their names, so pods of one StatefulSet share answers. What is
//     not in the key is told to the table: by Touch for the few nodes in reach, otherwise by a new generation in the key.
//   - Among volumes of the same size the choice goes by name, where upstream takes any.
//   - A pod without claims and disks costs a look at its list of volumes.
//   - Objects are kept by pointer and never changed; of pods only what their volumes say is kept.
//
// # How a shell uses it
//
// Policies are compiled with Rules; one Index serves all of a scheduler's profiles. Each session begins with Reset, lists Followed and
// gives every change of those and of nodes to Apply, and tells SetPod, RemovePod and Nominate what it tells the table. For a pod that
// was decided:
//
//	b, err := index.Assume(pod, node)       // before table.SetPod; ErrChanged: decide again
//	for _, o := range b.Writes() { … b.Wrote(updated) }  // none with nil b; at the first refusal Undo, and the pod has failed
//	done, err := index.Check(b)             // now and after each change that Apply took, for BindTimeout at most
//
// then the pod is bound. An error of Check, ErrLate, the end of the pod or a refused binding is followed by Undo, like everything else
// that is taken back then.
//
// An Index, its rules and its Bindings belong to the goroutine that owns the table.
//
// # What it leaves to others
//
// Writing, waiting and telling belong to the shell; completing a binding belongs to the controller of claims and to drivers.
// Which changes wake a parked pod is the queue's. Scores: none, since upstream's StorageCapacityScoring is off by default;
// VolumeLimitScaling is off likewise.
package volumes
