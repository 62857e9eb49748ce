// Package volumebinding binds claims and volumes to each other, asks provisioners to make volumes, and says what becomes of volumes whose claim is gone.
//
// # Vocabulary
//
// A volume is a PersistentVolume, a claim a PersistentVolumeClaim. They are bound when each names the other and both say so. A volume that names a claim by name
// alone, or a claim that names a volume, is reserved by a person; what the controller wrote itself it marks with pv.kubernetes.io/bound-by-controller, and undoes
// by itself. A claim of a class that waits for its first consumer gets a volume from the scheduler, which reserves one or writes for which node it is to be made.
//
//	claim:   Pending ──► Bound ──► Lost          volume:  Pending ──► Available ◄──► Bound ──► Released ──► Failed
//	            └──────────────────►                                     └────────────────────────►
//
// # The steps of a binding
//
//  1. the volume names the claim with its UID
//  2. the claim names the volume, and says that this is complete
//  3. the volume's phase is Bound (by the volume's key, which waits for 2)
//  4. the claim's status is Bound (by the claim's key, which waits for 3)
//
// Each is a write of what was seen, which wakes the next. A stop between any two leaves what the next look goes on from.
//
// # Laws
//
//   - A volume is bound to one claim, a claim to one volume: step 1 fails when anybody wrote the volume since it was seen, and another claim has it then.
//   - A complete binding is not undone: a claim that loses its volume is Lost, and a volume that loses its claim Released, for good.
//   - What is found for a claim are free volumes of its class and access modes (by index): those with the fewest modes first, then the smallest that will do; of a size the
//     first by name, where upstream takes any.
//   - A volume that becomes free wakes the claims that it will do for.
//
// # Provisioners
//
// A claim that needs a new volume is annotated with the provisioner of its class (volume.kubernetes.io/storage-provisioner, and the older
// volume.beta.kubernetes.io/storage-provisioner) once its class does not wait, or the scheduler has chosen a node. Whoever is that provisioner makes a volume called
// pvc-UID that names the claim with its UID and says pv.kubernetes.io/provisioned-by; steps 2 to 4 follow by themselves. A volume that is Released, with the reclaim policy
// Delete and that annotation, its provisioner deletes: it holds it with a finalizer of its own (external-provisioner.volume.kubernetes.io/finalizer) until the storage is gone. This
// is the contract of CSI's external-provisioner, and the only way to make or delete a volume: floe has no plug-ins in its own tree. Names of upstream's, whose
// drivers took them over, stand for these drivers.
//
// # What it leaves to others
//
// Making and deleting storage belongs to provisioners, choosing nodes to the scheduler, keeping what is in use to volumeprotection. There is no recycler: volumes of the policy
// Recycle fail as upstream's without one do.
package volumebinding
