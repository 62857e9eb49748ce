// Package servicerepair holds what is taken for services against the services that there are, tells of what is not right and puts right what it
// can.
//
// floe takes addresses and ports in one transaction with the service, so there is nothing to repair of its own. A kube-apiserver on the same data takes
// first and writes the service later, and people edit IPAddresses: that is what it is for.
//
// # Vocabulary
//
// A service and an IPAddress belong together when each names the other. A port has leaked when it is taken and no service has it.
//
// # Laws
//
//   - An address or port that a service has is taken by it, unless another has it too: then an event says so, and nobody loses it.
//   - What is taken for nobody is given back, but not before another API server could have written the service: a minute for an address, three
//     looks for a port.
//   - Reasons and texts of events are upstream's.
//
// # What it leaves to others
//
// Taking and releasing belongs to core.Service.
package servicerepair
