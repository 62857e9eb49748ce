// Package aggregate leads requests to the servers that others add to the API, which API services name.
//
// # Vocabulary
//
// An API service (APIService) says who answers for a group and version: this server, or a service of the cluster. The latter is aggregated. Its server
// is what stands behind the service. An identity is the certificate by which such a server knows this one, and then believes what it says of users.
//
// # Laws
//
//   - Nothing is led on before its user was authenticated and authorized here; wire does that, and hands over the user.
//   - A server is told of the user by this server only: X-Remote-User, -Uid, -Group and -Extra- of a client are taken away, and so are its credentials. What
//     a client calls hop-by-hop (Connection) cannot take away what is said here.
//   - A server is believed only when its certificate is SERVICE.NAMESPACE.svc's, of caBundle's authorities or, without any, the host's; unless
//     insecureSkipTLSVerify.
//   - A path is authorized as it is sent on. Those that a server could take for others (with . or .. or empty segments) are not led on.
//   - Bodies go through as they come, in both directions, and are held in memory nowhere.
//   - Connections of an API service are never used again once its service or trust is another.
//
// # What it leaves to others
//
// Which groups and versions this server answers for itself, and deadlines, belong to wire; where a service is to cluster; whether a server answers, and
// the condition that says so, to controller/apiservice.
//
// Locks: Proxy.mu is a leaf; nothing waits with it held.
package aggregate
