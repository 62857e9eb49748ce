// Package allocation is what services take that no two may share: addresses in the cluster, and ports on nodes.
//
// # Vocabulary
//
// A range is where addresses come from, as a ServiceCIDR object says; it is ready when that object is. An address is taken while an IPAddress
// of its name exists, whose parent is the service that has it. The lower band of a range, of addresses or of ports, is left to who asks
// for one by name; chance takes from the upper band while anything is free there. Ports that are taken are the bits of one stored number.
//
// # Laws
//
//   - Pure: what is chosen follows from the objects that are read and from the chance that is given.
//   - What is stored is what kube-apiserver stores, under its keys, so that both agree on the same data: IPAddresses with its two labels, and one
//     RangeAllocation whose data are the ports' bits, the highest first.
//
// # What it leaves to others
//
// When a service takes and releases belongs to core.Service, whose writes api commits with the service's own change. What went astray
// nevertheless, by other hands, is found and put right by controller/servicerepair.
package allocation
