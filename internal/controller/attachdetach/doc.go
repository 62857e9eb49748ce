// Package attachdetach has volumes of drivers attached to the nodes of the pods that use them, and detached when nobody does.
//
// # Vocabulary
//
// A target is a volume of a driver (CSI) as one node is to have it: that of a bound claim, or one of upstream's own plug-ins whose driver stands in for it. It is wanted
// on a node while a pod there that has not ended uses it. An attachment is the VolumeAttachment of target and node, whose name is made of both; the driver's attacher
// does what it says, and reports. A node reports what is mounted (status.volumesInUse), and is told what is attached (status.volumesAttached): it mounts nothing else.
//
//	wanted ──► attachment made ──► attached by the driver ──► in volumesAttached ──► mounted, in volumesInUse
//	gone   ◄── attachment deleted ◄── taken from volumesAttached ◄── not in volumesInUse ◄── wanted no longer
//
// # Laws
//
//   - A volume that one node at a time may have gets no second attachment while there is a first. Nodes are judged one after another (one worker), and who was given it is
//     remembered until a view shows it, so no two of them get it.
//   - A volume that a node has mounted is not detached, unless the node is marked out of service, or is not ready and has not let go for six minutes. What is taken from
//     volumesAttached is taken from the node as it was seen, so that it has not mounted it meanwhile.
//   - Only attachments are touched whose name says that they are the controller's, of nodes that leave this to it (volumes.kubernetes.io/controller-managed-attach-detach).
//   - Work is by node: it costs the node's pods and attachments.
//
// What is remembered, and forgotten with the process, is since when an attachment is not wanted, and what was told of it: after a restart six minutes begin anew, as
// upstream's do.
//
// # What it leaves to others
//
// Attaching belongs to the drivers, mounting to nodes. Volumes of iSCSI and Fibre Channel, of which upstream's controller only keeps the books, are not attached.
package attachdetach
