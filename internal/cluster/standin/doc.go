// Package standin is how floe runs where kube-apiserver and etcd are expected as two programs, as controller-runtime's envtest does.
//
// # The two programs
//
//	etcd              holds nothing but a place: it listens where it is told to, says that it is well, and tells where the store is
//	kube-apiserver    asks the etcd that it is told of for that place, and is a floe server on it
//
// So the data directory that etcd was given is the server's: a server that ends and begins again finds what it had as long as the directory lasts, a second server on
// the same etcd is told that the first has it. An etcd that is none of ours is used as etcd: the server then keeps only its authority beside its certificates.
//
// # What they say to each other
//
// GET StorePath at a client URL answers a Place in JSON. Nothing else of etcd is answered but its health.
//
// # What runs
//
// Choice is what the environment variable FLOE_ENVTEST asks for, over cluster.Housekeeping.
package standin
