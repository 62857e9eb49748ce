// Package floetest is a Kubernetes control plane inside a Go test: a whole one, of the test's own, in some milliseconds.
//
//	func TestOperator(t *testing.T) {
//		cluster := floetest.Start(t)
//		_, err := cluster.Client().CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{})
//		...
//	}
//
// What answers is floe itself, the API of Kubernetes v1.36 over HTTPS, in the test's process: every kind, custom resources, admission with webhooks and policies, RBAC,
// watches, server-side apply. Nothing is simulated but nodes, when a test wants some.
//
// # What runs
//
// The API always does, and housekeeping unless Controllers says otherwise: a namespace that is deleted goes with all that is in it, objects go with the last of their
// owners, each namespace has its service account "default", quotas are counted. Workload controllers (Controllers), the scheduler (Scheduler) and nodes (Nodes) are off:
// most tests of operators set by hand what those would work out. With all three a Deployment becomes pods that run:
//
//	cluster := floetest.Start(t, floetest.Controllers("*"), floetest.Scheduler(), floetest.Nodes(3))
//
// The admission plug-in ServiceAccount is off, as in envtest, so that a pod can be created before its namespace has its service account; see Admission.
//
// # Laws
//
//   - A control plane shares nothing with another, nor with anything outside the process. As many as memory allows run at once.
//   - It listens on 127.0.0.1 alone, at a port that was free, and asks every client for credentials.
//   - It ends with the test, after the test's own clean-ups that were registered later: no goroutine, listener, file or connection of it stays.
//   - What it stores lies in memory. A directory that is removed again holds its authority and kubeconfig file, readable by the user alone.
//
// # What it leaves to others
//
// Tests that are written for controller-runtime's envtest need not be changed: `floe envtest` makes the programs which that starts. See docs/testing.md.
package floetest
