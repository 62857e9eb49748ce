// Package claims finds devices for the resource claims of pods: kube-scheduler v1.36's DynamicResources, as a rule of
// package place.
//
// Which devices a claim may have on a node is what k8s.io/dynamic-resource-allocation computes, upstream's own library; this
// package keeps what it is asked about (claims, classes, slices, devices taken) up to date, and its answers as long as they
// hold.
//
// # Vocabulary
//
// A claim is allocated when its status has devices, pending when a decision gave it some that are not written yet; both
// have their devices taken. The special claim is the one that a pod gets for extended resources that a node has as devices
// (spec.extendedResourceName of a class, or deviceclass.resource.kubernetes.io/NAME): nobody has written it, and each node
// needs its own form of it. A demand is what pods with equal claims ask for; its offers are the answers by node.
//
// # Laws
//
//   - Statuses and words are upstream's, with its feature gates at their defaults: admin access, prioritized lists,
//     partitionable devices, consumable capacity, device taints (by slices; DeviceTaintRules are an API that is off),
//     binding conditions and extended resources are on; list-type attributes, node-allocatable resources and claims of pod
//     groups are off.
//   - Devices taken are counted as claims come and go, never gathered. A device that is given back while another claim has
//     it too stays taken.
//   - A change is looked at where it matters: devices of a node's own slices concern that node, others all nodes that asked.
//   - Pods without claims cost a look at the names of their requests.
//   - Nothing here writes. Reserve gives out devices until Forget or until the claim itself says so (SetClaim).
//
// # How a shell uses it
//
//	Gate(pod) ─→ Decide ─→ Reserve(pod, node) ─→ write each Binding ─→ Bound? ─→ bind the pod
//	                │             └─ what fails ─→ Forget(pod), undo what is Held, try again
//	                └─ no node ─→ Release(pod) ─→ preemption, unless it is final
//
// Each session begins with Reset, lists Followed and gives every change of those to Apply. One Rule serves all profiles: With makes those
// of the others. A pod that Gate keeps back is not nominated anywhere. What the API answers to a write goes to SetClaim at once.
//
// # What it leaves to others
//
// Claims are made from templates by a controller, and given back by it when their pods are gone. Waiting for a device's
// binding conditions is the shell's: Bound says whether they are met.
//
// A Rule belongs to the goroutine of its table.
package claims
