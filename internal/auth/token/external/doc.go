// Package external has service accounts' tokens signed by another program, so that no key stands on this machine's disk: upstream's external JWT signer
// (KEP-740, k8s.io/externaljwt v1), a gRPC server at a unix socket.
//
// # Vocabulary
//
// The signer is that program. It has keys with ids of its own choice, and tells which of them are hidden: good for tokens of before, signing nothing more, and
// not told to others. Its data time is when it had its keys from wherever they are kept; its hint is how long what it said is new enough.
//
// # Laws
//
//   - A server does not start without a signer that answers, has keys and lets tokens live for ten minutes or more.
//   - A token is given out only when its header is of type JWT, names a key that is not hidden and an algorithm that this API takes, and says nothing else.
//   - The keys are asked for when the hint has passed, and when a token names one that is not known. What a signer says is taken whole or not at all; until it
//     says something right again, the keys of before are good.
//   - One question for keys is under way at a time: whoever comes meanwhile gets its outcome. So a flood of tokens with unknown keys asks one after another.
//
// # What it leaves to others
//
// Who opens the socket may sign anything: its place and mode are the administrator's. What tokens say, and what they are worth, is package token's.
package external
