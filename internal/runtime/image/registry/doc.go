// Package registry reads images from registries, as the OCI distribution specification has them, for one store at a time.
//
// # Story
//
// A Client opens a Repository: it asks Hosts where the content of that registry may come from (a directory of hosts.toml files, as
// containerd has them, or the registry itself) and goes to each host in turn until one gives what is asked. Manifest reads a small document
// whole; Fetch streams a blob into a Sink, goes on where a broken connection ended, and hands it to the next host when what came has
// the wrong digest.
//
// # Vocabulary
//
//   - registry: what an image's name begins with, as docker.io. host: a server that is asked for its content: the registry itself or a mirror.
//   - capability: what a host is trusted with: pull (content by digest), resolve (which digest a tag means).
//   - realm: the server that gives tokens for a registry, named in the registry's challenge.
//
// # Laws
//
//   - Whatever a server sends, what is held in memory is bounded: headers 64 KiB, documents Config.Document, token answers 1 MiB, blobs one buffer.
//   - A server that says nothing for Config.Idle is given up. Attempts, redirects and the waiting that Retry-After asks are bounded.
//   - Credentials go to a registry's hosts and the realm it names only, never to where a redirect leads, and not to a realm without TLS when the
//     registry has it. They are in no error.
//   - The digest of everything that has one is checked. A tag is resolved only by hosts with that capability.
//
// # Locks
//
// authorizer.mu guards the tokens of one host and is held over no request.
//
// # Left to others
//
// Which image of an index to take, where blobs go, sharing and leases: package image.
package registry
