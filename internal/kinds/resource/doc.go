// Package resource is the group resource.k8s.io: devices that nodes have and pods claim (KEP-4381).
//
// # Vocabulary
//
// A driver publishes the devices of a pool in resource slices. A device class says by selectors, in CEL, which devices are of its sort. A resource claim asks
// for devices of classes; who allocates writes the outcome into its status, and who uses it is listed there as a consumer. A template makes a claim for each
// pod that names it.
//
// # Laws
//
// Selectors are compiled when a new one is validated, by a compiler that is made at the first. What a claim asks for never changes; its allocation
// is made and taken away as a whole, by who may bind claims; a driver's reports are changed by who may speak for it.
//
// # What it leaves to others
//
// Allocation is the scheduler's, use the node's.
package resource
