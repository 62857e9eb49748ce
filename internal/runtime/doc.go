// Package runtime is the container runtime inside floe. The node agent calls it in process through the methods and messages of
// the CRI v1 definition; nothing is encoded. Package serve answers the same over gRPC.
//
// # Story
//
// A pod is a sandbox: namespaces that its containers share, a cgroup, and one floe-shim process that stands over it. RunPodSandbox
// makes the namespaces and, while Network gives them an address, starts the shim. CreateContainer turns the request into an OCI
// spec and writes it down; StartContainer sends it to the shim, which mounts the root file system, starts the process with
// libcontainer, writes its log and keeps its exit code on disk. floe only remembers, asks and listens. So a restart of floe, however
// rude, restarts no container: Run finds the shims again by their sockets and hears what happened in between.
//
// An exec or attach does not pass the shim's protocol: floe makes the pipes, or receives the terminal, and hands the other ends over. It hangs on
// a leash, a socket that both hold, so it ends with whoever asked for it: a client that left, an ExecSync that took too long, a floe that died. The
// URLs that Exec, Attach and PortForward return lead to a server on the loopback, which listens from the first of them on; Streams are the same
// calls without it.
//
// # Vocabulary
//
//   - sandbox: what CRI calls a pod sandbox. Its ID, like a container's, is 64 hexadecimal digits (log collectors expect that).
//   - shim: the floe-shim process of one sandbox; package shim holds what it and floe agree on.
//   - image, layer, chain: see package image. A container's root file system is an overlay of its image's layers below a writable
//     directory of its own.
//
// # On disk
//
//	Config.Root/                          survives reboots
//	  blobs/ layers/ index.json lock …    package image
//	  pins/CONTAINER                      the layers a container uses, so that nobody removes them
//	  containers/CONTAINER/{upper,work}   its writable layer
//	  filters/HASH                        compiled seccomp filters, by profile; a shim compiles one that is missing beside the start
//	Config.Passage/CONTAINER/rootfs/      0711; the overlay of a container whose pod has a user namespace, whose root cannot pass State
//	Config.State/                         0700; what was running. After a reboot everything in it is found dead
//	  SANDBOX/
//	    sandbox.json                      the request, addresses, state; written by floe
//	    shim.sock shim.log                0600
//	    ns/{net,ipc,uts,user}             namespaces, held by bind mounts, so there is no pause process
//	    shm/                              the tmpfs its containers see as /dev/shm
//	    c/CONTAINER/container.json        the request as understood; written by floe
//	    c/CONTAINER/config.json           the bundle of a handler's program, whose state is in oci/ beside c/
//	    c/CONTAINER/state.json            running or exited, code, times; written by the shim
//	    c/CONTAINER/rootfs/               the overlay, mounted while it runs
//
// The cgroup of a sandbox is PARENT/SANDBOX, its shim's PARENT/SANDBOX/shim, a container's PARENT/SANDBOX/CONTAINER and that of an exec
// one below it, so that all an exec started can be ended (on v1 in the pids hierarchy only). PARENT is what the request asks, or Config.CgroupParent.
//
// # Users
//
// A pod with a user namespace of its own has all its namespaces inside it; its IDs are a range of the host's. Images keep their numbers: layers are
// mounted ID-mapped below the overlay, and the overlay's writable directory holds the host's numbers. A volume is mapped when its mount says so.
//
// # Handlers
//
// A sandbox whose request names a handler has its containers run by that handler's program (crun, runc) instead of libcontainer. All else is the
// same: the shim mounts, writes logs, waits for the processes, which become its children, and the namespaces and cgroup are those made here.
//
// # Devices by name
//
// What a request names by the Container Device Interface is looked up, in package cdi, when the container is created, and changes its specification
// last of all. Hooks among it are run by the shim with floe's rights, within a limit, and find the specification as config.json where OCI's state
// says that the bundle is; those for after the end are not run when the shim was killed.
//
// # States
//
//	sandbox:    RunPodSandbox → READY ─ StopPodSandbox, or its shim died → NOTREADY ─ RemovePodSandbox → gone
//	container:  CreateContainer → CREATED ─ StartContainer → RUNNING ─ its process ended → EXITED ─ RemoveContainer → gone
//	                                └─ StartContainer failed (128, StartError), or its shim died (255, Unknown) ┘
//
// # Laws
//
//   - What a request asks and this runtime cannot give is refused with an error that names it; nothing is silently left out. What
//     the host lacks (CAP_SYS_RESOURCE, AppArmor, SELinux) is degraded, and Status says so.
//   - Every method may be repeated: stopping what is stopped and removing what is gone succeed.
//   - Killing one shim touches no other pod. Its own containers are killed through their cgroup and reported as exited.
//   - A half-made sandbox or container is undone at once, or, after a crash, by the next Run.
//
// # Locks
//
// Each sandbox has an operation lock (run, stop, remove, create: one at a time) that is taken before Runtime.mu; Runtime.mu guards
// what is remembered and is never held over I/O. Waiting for a container to stop holds neither.
//
// # Measured
//
// BenchmarkPod, one pod after the other on two cores of a small virtual machine, image unpacked, RuntimeDefault seccomp, medians: sandbox 11 ms
// (the shim starts within that), create 0.6 ms, start 25 ms when its seccomp filter is compiled and 10 ms less when it is found ready, as all but
// the first of a profile are; kill 4 ms, removal 5 ms. The rest of the start is libcontainer's three stages and the cgroups of ten hierarchies. A
// shim with a running container takes 4.4 MB, of which 3 MB are its own.
//
// # Left to others
//
// Addresses, links and host ports belong to Network; /etc/hosts, /etc/resolv.conf and volumes come as mounts from the node agent,
// which also decides when anything happens at all.
package runtime
