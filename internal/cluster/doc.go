// Package cluster is the composition root: it builds a server from the parts, starts them in order, and stops them in the reverse
// order. It holds no decision of its own about the cluster.
//
// # The data directory
//
//	DataDir/            0700
//	  VERSION           the format of this directory, one line
//	  LOCK              held (flock) by the one server that uses it
//	  log/              the log (package store)
//	  pki/              the authority (package pki)
//	  images/           images and layers (package runtime)
//	  run/              what pods run from: shims, sockets, addresses
//	  bin/HASH/         carried programs, unpacked (package carry)
//	  admin.kubeconfig  the administrator's way in, 0600
//
// # Order
//
// Start: directory, authority, log, table, API, then the components that use it: controllers, scheduler, node. The API is ready
// when its table is loaded and the initial namespaces are there; nothing waits for a component. Stop: components, then the API's
// intake and watches, then the table, then the log. Containers stay.
package cluster
