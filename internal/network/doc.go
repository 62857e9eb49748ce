// Package network gives pods their place on the network of this node: an address, a link to it, routes, and the way out.
//
// # Vocabulary
//
// The pod range is what this node's pods get addresses from. Its first address is the node's own in it, the gateway: every link's host
// end has it, so that pods see the node under one address. A sandbox's link is a pair of virtual Ethernet devices: eth0 inside, and outside one
// whose name is made from the state directory and the sandbox's id.
//
//	pod eth0 10.244.0.7/32 ── veth ── floeXXXYYYYYYYY 10.244.0.1/32      host route: 10.244.0.7/32 to that device
//	   default via 10.244.0.1                                            out of the range: masqueraded
//
// There is no bridge: every packet is routed, so a thousand pods are a thousand routes and no flooding.
//
// # Laws
//
//   - No two sandboxes that are attached share an address, also across restarts and crashes: an address is written down before it
//     is used, and given back only after its link is gone.
//   - An address that was given back is used again only after all others.
//   - Attach of the same sandbox returns the same address and disturbs nothing that works. Detach of what is not there is no error.
//   - Only links, routes and rules of this package's own are touched: links by name, rules in the table "floe".
//   - A lost or broken record costs no sandbox its address: until the sandbox asks again, the route to it keeps the address from others.
//
// On disk, one line each: STATE/ADDRESS holds the id of the sandbox that has the address; STATE/next where the search for a free one begins.
//
// Locks: addresses.mu is a leaf.
//
// # What it leaves to others
//
// Services belong to proxy, names to dns. Routes between machines, policies and IPv6 are not here yet; a host port is refused by name.
package network
