// Package bootstrap makes what every cluster begins with, and keeps true what an API server says of itself.
//
// # Vocabulary
//
// An initial object is one that upstream's API server makes by itself: namespaces, priority classes, the range of services' addresses, the service
// default/kubernetes, the API services of what the server answers for itself, and how requests are shared out (flow schemas and priority levels). Those last are mandatory, and always as they must be, or
// suggested, and an administrator's own as soon as their annotation apf.kubernetes.io/autoupdate-spec says false. A server's lease in the
// endpoints is an object at /registry/masterleases/ADDRESS, kube-apiserver's key, which it renews while it lives; its identity
// is a Lease in kube-system.
//
// # Laws
//
//   - What is there is left alone, but for what is said above; an object that somebody deleted is made again,
//     an API service as the next server starts: see registerServed.
//   - Objects that do not need each other are written at once, so that the log syncs few times: a start waits for nothing else.
//   - The endpoints of default/kubernetes name the servers whose leases live, and nobody when there are none only as the last one stops. A
//     lease that nobody has renewed for leaseLife, by this server's own clock, is dead: clocks of several machines are never compared.
//   - Run owns all its goroutines and returns after they have ended.
//
// # What it leaves to others
//
// Roles and their bindings belong to auth's bootstrap; ranges' conditions and finalizers after the first to controller/servicecidr; the
// certificates that extension-apiserver-authentication tells of to the parts that serve extensions.
package bootstrap
