// Package impersonate lets one user act as another, as the headers Impersonate-User, -Group, -Uid and -Extra-KEY ask for.
//
// # Vocabulary
//
// The requestor is who was authenticated, the wanted user who the headers name. A mode is one way of having the right (KEP-5284): associated-node for the
// account of a pod that acts as the pod's own node, arbitrary-node, serviceaccount, and user-info for everybody else; each of these asks for
// impersonate-on:MODE:VERB on what the request is about, then for impersonate:MODE on each part of the wanted user, which is in the group
// authentication.k8s.io. The old mode asks for impersonate on the same parts, of which users, groups and serviceaccounts are in the core group.
//
// # Laws
//
//   - The modes are tried in that order, the one that succeeded last for a requestor first. One suffices; when none does, the first refusal is told.
//   - Every part of the wanted user is asked for by itself: who may act as a user may not add groups, a UID or extra values to it.
//   - The newer modes never give system:masters, and to nodes and accounts nothing but their own groups.
//   - The headers are gone from a request that was let through, so that nobody behind acts upon them again.
//   - Nothing is remembered but the last mode: a right that was taken away is gone with the next request. Upstream remembers rights for ten seconds.
//
// # What it leaves to others
//
// Who the requestor is and what the rights are; writing down both users. An Impersonator is safe for concurrent use.
package impersonate
