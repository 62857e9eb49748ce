// Command floe-shim stands over the containers of one pod, and unpacks image layers in a cell of its own.
//
//	floe-shim pod SANDBOX CGROUP   stands over a sandbox; the working directory is the sandbox's, descriptor 3 its listening socket
//	floe-shim unpack               unpacks one layer, see package layer; the descriptors are listed in unpack.go
//	floe-shim rest                 is the first process of a process namespace that a pod's containers share; the shim runs it
//	floe-shim filter               compiles a seccomp profile, from standard input, to a filter on standard output
//	floe-shim init                 libcontainer's second stage; never called by people
//
// It is small and quick to start because a node pays for it once per pod: it imports nothing of Kubernetes, keeps no copy of what is
// on disk, and gives memory back after each start. It outlives floe: it has a session of its own, reads nothing from floe but the
// socket, and writes the containers' logs and exit codes itself. It ends when floe asks it to and no container runs.
//
// Each request runs in a goroutine of its own. A container has one owner, the goroutine in (*container).watch, from the moment its
// process runs until its end has been written down; Pod.mu guards only the map and the states in it and is never held over I/O.
package main
