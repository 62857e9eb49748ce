// Package oidc knows users by JSON web tokens (RFC 7519) of issuers outside of the cluster, as OpenID Connect Core 1.0 has them and upstream's
// AuthenticationConfiguration says.
//
// # Vocabulary
//
// An issuer is a URL that signs tokens; its discovery document says where its keys are. A claim is what a token says. Mappings make a user of claims: by the
// claim's name, or by an expression in CEL. A generation is the issuers of one content of the configuration file.
//
// # Laws
//
//   - Nothing of a token but the name of its issuer, which only says whom to ask, is read before its signature was checked with that issuer's keys.
//   - A token of another issuer is nobody's here; one of ours that is not good is an error, and no further issuer is asked.
//   - Until an issuer has been found, its tokens are refused. It is looked for every ten seconds.
//   - A changed file counts when all of it is right and all of its issuers have been found; until then the one before holds. Whether strangers are let in does
//     not change while the server runs.
//   - What a peer answers is read up to maxAnswer bytes, and waited for no longer than requestLimit.
//   - Expressions are compiled when there is one; a server without issuers builds no CEL environment.
//
// # What it leaves to others
//
// Signatures and key sets are go-oidc's, expressions and the checks of a configuration k8s.io/apiserver's. Caching, and the group of all who are known, belong
// to auth. Egress through a selector is refused: floe has none.
package oidc
